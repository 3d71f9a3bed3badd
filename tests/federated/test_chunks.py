"""Long messages in pieces: whole at the end, whatever is lost, killed or lied about on the way."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from ondol.errors import MalformedMessageError, RoundRefusedError
from ondol.federated import chunks
from ondol.federated.chunks import ChunkedDevice, ChunkedGrid
from ondol.federated.coordinating.in_process import InProcessGrid
from ondol.federated.grid import Device, Failure
from ondol.federated.wire import pack, unpack

LONG = random.Random(1).randbytes(1_700_000)


class Echo:
    """Answers with what it was asked, backwards, and counts."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def answer(self, stage: str, body: bytes) -> bytes:
        self.asked.append((stage, len(body)))
        if stage == "refuse":
            raise RoundRefusedError("not now")
        return body[::-1]


class Link:
    """A grid that loses questions, or their answers, as ``loses`` says, and counts bytes."""

    def __init__(self, devices: Mapping[int, Device], losses: Sequence[str] = ()) -> None:
        self.inner = InProcessGrid(devices)
        self.losses = list(losses)
        self.bytes = 0

    def nodes(self) -> Sequence[int]:
        return self.inner.nodes()

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        loss = self.losses.pop(0) if self.losses else ""
        self.bytes += sum(map(len, bodies.values()))
        if loss == "question":
            return {node: Failure("gone", "") for node in bodies}
        said = self.inner.ask(stage, bodies, timeout_seconds)
        self.bytes += sum(len(a) for a in said.values() if isinstance(a, bytes))
        return {node: Failure("gone", "") for node in bodies} if loss == "answer" else said


def over(link: Link, folder: Path) -> ChunkedGrid:
    return ChunkedGrid(link, folder, pause=lambda seconds: None)


def test_short_messages_take_one_question(tmp_path: Path) -> None:
    echo = Echo()
    link = Link({1: ChunkedDevice(echo)})
    assert over(link, tmp_path).ask("train", {1: b"abc"}, 5) == {1: b"cba"}
    assert link.bytes < 400
    assert echo.asked == [("train", 3)]


def test_long_messages_arrive_whole_both_ways(tmp_path: Path) -> None:
    echoes = {1: Echo(), 2: Echo()}
    link = Link({node: ChunkedDevice(echo) for node, echo in echoes.items()})
    said = over(link, tmp_path).ask("train", {1: LONG, 2: LONG[:300_000]}, 5)
    assert said == {1: LONG[::-1], 2: LONG[:300_000][::-1]}
    assert echoes[1].asked == [("train", len(LONG))]
    assert link.bytes < 2 * 2_000_000 * 1.01


# The question itself goes through: who does not answer it in its time is the coordinator's matter.
@pytest.mark.parametrize("seed", range(4))
def test_a_lossy_link_loses_pieces_only(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    losses = [rng.choice(["", "", "question", "answer"]) for _ in range(200)]
    device = ChunkedDevice(Echo())

    class Unsure(Link):
        def ask(
            self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
        ) -> dict[int, bytes | Failure]:
            if stage == chunks.ASK:
                self.losses.insert(0, "")
            return super().ask(stage, bodies, timeout_seconds)

    link = Unsure({1: device}, losses)
    assert over(link, tmp_path).ask("train", {1: LONG}, 5) == {1: LONG[::-1]}


def test_a_killed_home_does_not_ask_for_what_it_has(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    class Dying(Link):
        def ask(
            self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
        ) -> dict[int, bytes | Failure]:
            if stage == chunks.GET and self.bytes > 2_400_000:
                raise Killed
            return super().ask(stage, bodies, timeout_seconds)

    device = ChunkedDevice(Echo())
    with pytest.raises(Killed):
        over(Dying({1: device}), tmp_path).ask("mask", {1: LONG}, 5)
    again = Link({1: device})
    assert over(again, tmp_path).ask("mask", {1: LONG}, 5) == {1: LONG[::-1]}
    # Nothing of the question goes down a second time, and of the answer what was missing comes up.
    assert again.bytes < 0.6 * len(LONG)


def test_a_restarted_device_is_told_again_and_answers_the_rest(tmp_path: Path) -> None:
    echo = Echo()
    devices = {1: ChunkedDevice(echo)}

    class Restarting(Link):
        asked = 0

        def ask(
            self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
        ) -> dict[int, bytes | Failure]:
            self.asked += 1
            if self.asked in (3, 6):
                devices[1] = self.inner.devices[1] = ChunkedDevice(echo)  # type: ignore[index]
            return super().ask(stage, bodies, timeout_seconds)

    assert over(Restarting(devices), tmp_path).ask("mask", {1: LONG}, 5) == {1: LONG[::-1]}


def test_a_device_that_stays_away_is_gone_and_the_others_are_not(tmp_path: Path) -> None:
    class Away:
        def answer(self, stage: str, body: bytes) -> bytes:
            raise OSError

    link = Link({1: ChunkedDevice(Echo()), 2: Away()})
    said = over(link, tmp_path).ask("train", {1: LONG, 2: LONG, 3: b"x"}, 5)
    assert said[1] == LONG[::-1]
    assert all(isinstance(said[node], Failure) and said[node].code == "gone" for node in (2, 3))


def test_a_refusal_comes_with_its_reason(tmp_path: Path) -> None:
    link = Link({1: ChunkedDevice(Echo())})
    said = over(link, tmp_path).ask("refuse", {1: LONG}, 5)[1]
    assert said == Failure("round_refused", "not now")


class Liar(ChunkedDevice):
    def __init__(self, says: bytes) -> None:
        super().__init__(Echo())
        self.says = says

    def answer(self, stage: str, body: bytes) -> bytes:
        return self.says if stage == chunks.ASK else pack({"part": bytes(40_000)})


@pytest.mark.parametrize(
    "says",
    [
        b"nonsense",
        pack({}),
        pack({"id": "../../etc", "size": 40_000}),
        pack({"id": "0" * 64, "size": chunks.MOST_BYTES + 1}),
        pack({"id": "0" * 64, "size": -1}),
        pack({"id": "0" * 64, "size": 40_000}),  # and then it sends something else
        pack({"id": "0" * 64, "size": 39_000}),  # and then it sends more
        pack({"have": "much"}),
    ],
)
def test_a_lying_device_fails_alone(tmp_path: Path, says: bytes) -> None:
    link = Link({1: Liar(says), 2: ChunkedDevice(Echo())})
    said = over(link, tmp_path / "pieces").ask("train", {1: b"a", 2: b"bc"}, 5)
    assert said[2] == b"cb"
    assert isinstance(said[1], Failure)
    assert said[1].code == "malformed_message"
    assert not list((tmp_path / "pieces").glob("*"))


@pytest.mark.parametrize(
    ("stage", "body"),
    [
        (chunks.PUT, b""),
        (chunks.PUT, pack({"id": "0" * 64, "offset": 0, "part": b"x", "more": 1})),
        (chunks.PUT, pack({"id": "x", "offset": 0, "part": b"x"})),
        (chunks.PUT, pack({"id": "0" * 64, "offset": True, "part": b"x"})),
        (chunks.PUT, pack({"id": "0" * 64, "offset": 0, "part": bytes(11)})),
        (chunks.GET, pack({"id": "0" * 64, "offset": -1, "length": 5})),
        (chunks.ASK, pack({"stage": "train"})),
        (chunks.ASK, pack({"stage": chunks.PUT, "body": b""})),
        (chunks.ASK, pack({"stage": "train", "body": 5})),
    ],
)
def test_a_device_refuses_pieces_that_do_not_fit(stage: str, body: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        ChunkedDevice(Echo(), most_bytes=10).answer(stage, body)


def test_a_device_holds_no_more_than_two_long_questions() -> None:
    device = ChunkedDevice(Echo())
    for name in "abc":
        device.answer(chunks.PUT, pack({"id": name * 64, "offset": 0, "part": b"12345"}))
    have = [
        unpack(device.answer(chunks.PUT, pack({"id": k * 64, "offset": 9, "part": b""})), 999)
        for k in "cba"
    ]
    assert have == [{"have": 5}, {"have": 5}, {"have": 0}]


def test_pieces_of_the_question_before_are_thrown_away(tmp_path: Path) -> None:
    grid = over(Link({1: ChunkedDevice(Echo())}), tmp_path)
    grid.ask("mask", {1: LONG}, 5)
    assert len(list(tmp_path.iterdir())) == 1
    grid.ask("ready", {1: b""}, 5)
    assert not list(tmp_path.iterdir())


class Forgetful:
    """Has a piece, then has nothing, then has it again: never done, and never silent."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, stage: str, body: bytes) -> bytes:
        self.asked += 1
        return pack({"have": 0 if self.asked % 3 == 0 else chunks.MOST_CHUNK})


class Thrifty:
    """Gives a byte of its answer at a time."""

    def __init__(self) -> None:
        self.asked = 0

    def answer(self, stage: str, body: bytes) -> bytes:
        self.asked += 1
        if stage == chunks.ASK:
            return pack({"id": "0" * 64, "size": chunks.MOST_BYTES})
        return pack({"part": b"0"})


def test_a_device_that_is_never_done_is_given_up_and_the_others_are_not(tmp_path: Path) -> None:
    endless = Forgetful()
    link = Link({1: ChunkedDevice(Echo()), 2: endless})
    said = over(link, tmp_path).ask("train", dict.fromkeys((1, 2), LONG), 60)
    assert said[1] == LONG[::-1]
    assert isinstance(said[2], Failure)
    assert endless.asked < 200


def test_a_device_gives_as_much_of_its_answer_as_it_was_asked_for(tmp_path: Path) -> None:
    endless = Thrifty()
    said = over(Link({1: endless}), tmp_path).ask("train", {1: b"short"}, 60)
    assert isinstance(said[1], Failure)
    assert endless.asked == 2
