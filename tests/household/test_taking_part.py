"""A device goes to the rounds that run, and nowhere else; a home runs them to their end."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from ondol import config
from ondol.errors import FederationError, RoundFailedError, RoundRefusedError, UsageError
from ondol.federated import canary, chunks
from ondol.federated.coordinating import messages
from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.in_process import InProcessGrid
from ondol.federated.flower import link, node
from ondol.federated.learning.strategies import Update
from ondol.federated.members import Member, keys_of
from ondol.federated.plan import Plan
from ondol.home import coordinating
from ondol.home.coordinating import plan_for
from ondol.home.federations import Coordination
from ondol.homes import enrolment
from ondol.household import adopting, consent, joining, leaving, taking_part
from ondol.household.device import FederatedDevice
from ondol.household.federations import Federation
from ondol.household.presence import link_url
from ondol.household.taking_part import TakingPart
from ondol.identity import Identity
from ondol.models.fingerprints import base_of
from ondol.parts import Parts
from tests.home.homestead import Homestead, device

MODEL = "tiny:1"


@pytest.fixture
def parts(home: Path, base: Path) -> Iterator[Parts]:
    with Parts(config.load()) as opened:
        opened.store.add(MODEL, [opened.store.stage(base, "weights", base.name)])
        yield opened


@pytest.fixture
def family(nest: Homestead, parts: Parts, request: pytest.FixtureRequest) -> Coordination:
    plan = plan_for(parts, MODEL, rounds=1, r=2, clip_norm=32.0)
    return nest.registry.federations.create(request.node.name[:60], plan)


@pytest.fixture
def joined(nest: Homestead, parts: Parts, family: Coordination) -> Federation:
    code = nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id).encode()
    return joining.join(parts, code)


class Door:
    """In the place of Flower's node: what was opened, and whether it is open still."""

    opened: ClassVar[list[Door]] = []

    def __init__(self, device: Any, folder: Path, url: str, *rest: Any) -> None:
        self.url, self.rest, self.is_open = url, rest, True
        self.condition = node.Condition("connected")
        Door.opened.append(self)

    def close(self) -> None:
        self.is_open = False


@pytest.fixture
def doors(monkeypatch: pytest.MonkeyPatch) -> list[Door]:
    monkeypatch.setattr(Door, "opened", [])
    monkeypatch.setattr(node, "Node", Door)
    return Door.opened


def test_device_is_where_the_rounds_are_while_they_are(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, doors: list[Door]
) -> None:
    taking = TakingPart(parts)
    taking.look()
    assert [one.home_state for one in taking.standings] == ["open"]
    assert doors == []
    nest.registry.federations.begin(family.id, 4711)
    taking.look()
    assert [one.link for one in taking.standings] == ["connected"]
    (door,) = doors
    assert door.url == "https://127.0.0.1:4711"
    assert door.rest[:2] == (nest.mine.fingerprint.hex(), joined.me.node)
    taking_part.pause(parts)
    taking.look()
    assert not door.is_open
    taking_part.resume(parts)
    nest.registry.federations.begin(family.id, 4712)
    taking.look()
    assert [one.url[-4:] for one in doors if one.is_open] == ["4712"]
    # Another process of this device is told that this one is there already.
    other = TakingPart(parts)
    other.look()
    assert "already" in other.standings[0].failure
    nest.registry.federations.end(family.id, "done")
    taking.look()
    assert not any(one.is_open for one in doors)
    taking.look()
    assert taking.standings == []
    other.close()
    taking.close()


def test_what_was_shared_waits_until_nobody_is_answered(
    nest: Homestead,
    parts: Parts,
    family: Coordination,
    joined: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[str] = []

    def adopt(parts: Parts, wanted: str, on_progress: Callable[[int, int], None]) -> None:
        on_progress(1, 2)
        judged.append(wanted)
        (leaving.folder(wanted) / adopting.WAITING).unlink()

    monkeypatch.setattr(adopting, "adopt", adopt)
    adopting.keep_for_later(leaving.folder(joined.id), np.ones(4, np.float32), {})
    taking = TakingPart(parts)
    with taking_part.idle.answering():
        taking.look()
    assert judged == []
    taking.look()
    assert judged == [joined.id]
    # Who ends lets it be; it is judged anew the next time.
    adopting.keep_for_later(leaving.folder(joined.id), np.ones(4, np.float32), {})
    taking.close()
    taking.look()
    assert judged == [joined.id]
    assert adopting.is_waiting(joined.id)


def test_gate_that_was_held_up_is_gone_through_when_home_has_ended_it(
    nest: Homestead,
    parts: Parts,
    family: Coordination,
    joined: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list[tuple[str, object]] = []
    taking = TakingPart(parts)

    def adopt(parts: Parts, wanted: str, on_progress: Callable[[int, int], None]) -> None:
        on_progress(3, 9)
        judged.append((wanted, taking.judging(wanted)))
        (leaving.folder(wanted) / adopting.WAITING).unlink()

    monkeypatch.setattr(adopting, "adopt", adopt)
    adopting.keep_for_later(leaving.folder(joined.id), np.ones(4, np.float32), {})
    nest.registry.federations.begin(family.id, 4711)
    nest.registry.federations.end(family.id, "done")
    with taking_part.idle.answering():
        taking.look()
        taking.look()
    assert [one.home_state for one in taking.standings] == ["done"]
    assert judged == []
    taking.look()
    assert judged == [(joined.id, (3, 9))]
    assert taking.judging(joined.id) is None
    taking.look()
    assert taking.standings == []


def test_next_round_and_what_was_shared_are_news_at_once(
    nest: Homestead,
    parts: Parts,
    joined: Federation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    device = FederatedDevice(parts, joined.id, on_news=lambda: told.append("news"))

    def answer(self: Participant, stage: str, body: bytes) -> bytes:
        seen.append(device.doing)
        if stage == "mask":
            raise RoundRefusedError("")
        return b""

    seen: list[object] = []
    monkeypatch.setattr(Participant, "answer", answer)

    def asked(stage: str, number: int) -> None:
        device.answer(stage, messages.write(joined.plan, number))

    asked("ready", 1)
    assert (device.doing, told) == (None, [])
    asked("train", 1)
    assert (device.doing, told) == ((1, "waits"), ["news"])
    asked("keys", 1)
    asked("evaluate", 1)
    assert seen[1:] == [(1, "learns"), (1, "adds"), (1, "measures")]
    asked("train", 2)
    assert told == ["news", "news"]
    with pytest.raises(RoundRefusedError):
        asked("mask", 2)
    assert device.doing is None
    asked("adopt", 2)
    assert (device.doing, told) == (None, ["news", "news", "news"])
    device.close()


def test_news_of_home_are_heard_no_oftener_than_looks_follow_each_other(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[float] = []

    def look() -> None:
        looked.append(time.monotonic())

    taking = TakingPart(parts, look_seconds=0.3, longest_seconds=900.0)
    monkeypatch.setattr(taking, "look", look)
    taking.start()
    while not looked:
        time.sleep(0.01)
    for _ in range(30):
        taking.hear()
        time.sleep(0.02)
    while len(looked) < 3:
        time.sleep(0.01)
    assert looked[2] - looked[0] >= 0.6
    taking.wake()  # its owner is heard at once
    while len(looked) < 4:
        assert time.monotonic() < looked[2] + 0.25
        time.sleep(0.01)
    taking.close()


def test_home_that_is_gone_is_told_of_and_asked_again(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    told: list[str] = []
    taking = TakingPart(parts, lambda now: told.append(now.failure), look_seconds=0.01)
    parts.oversight.homes.enrolments.remove("nest")
    taking.start()
    taking.wake()
    while not told:
        pass
    taking.close()
    assert "left the home" in told[0]


@pytest.mark.parametrize(
    ("home", "expected"),
    [
        ("https://10.0.0.1:11436", "https://10.0.0.1:7"),
        ("https://[fe80::1]:1", "https://[fe80::1]:7"),
    ],
)
def test_rounds_are_at_homes_host(home: str, expected: str) -> None:
    assert link_url(home, 7) == expected


class Learner:
    """What a member learns with, without an Ondol around it."""

    def __init__(self, plan: Plan) -> None:
        self.base_sha256, self.template_sha256 = plan.base_sha256, plan.template_sha256

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        return Update((1.0 - vector) / 2, 5, 2.0, 1.0)

    def evaluate(self, vector: Any) -> tuple[float, int]:
        return 10.0, 10

    def applied(self, vector: Any, delta: Any, round: int) -> Any:
        return vector + delta

    def adopt(self, vector: Any, about: Any) -> None:
        pass


class Hall:
    """In the place of Flower's link: the members' devices in this process."""

    devices: Mapping[int, Any] = {}

    def __init__(self, folder: Path, certificate: Path, host: str, port: int = 0) -> None:
        self.port = port or 4713

    def __enter__(self) -> Hall:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def open(self, federation: str, members: Mapping[int, str]) -> Any:
        return InProcessGrid({n: chunks.ChunkedDevice(d) for n, d in self.devices.items()})


PATIENCE = Patience(other=30.0, training=30.0, again=0.01, tries=2, ready=2, failures=1)


def members(
    nest: Homestead, family: Coordination, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[int, Participant]:
    """Three of them, who joined."""
    identities: list[Identity] = []
    for number in range(3):
        with device(folder / f"member-{number}") as one:
            made = nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id)
            enrolment.join(one.homes, made)
            identities.append(one.homes.identity)
    roster = keys_of(nest.registry.federations.roster(family.id))
    found = {
        Member(family.id, one.public_key).node: Participant(
            folder / f"rounds-{number}", family.plan, Learner(family.plan), one, roster
        )
        for number, one in enumerate(identities)
    }
    monkeypatch.setattr(link, "Link", Hall)
    monkeypatch.setattr(Hall, "devices", found)
    return found


def test_home_runs_the_rounds_writes_them_down_and_ends(
    nest: Homestead,
    parts: Parts,
    family: Coordination,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = members(nest, family, tmp_path, monkeypatch)
    federations = nest.registry.federations
    events: list[str] = []

    def tell(event: str, fields: Mapping[str, Any]) -> None:
        events.append(event)
        if event == "begun":
            assert federations.get(family.id).port == 4713

    def start(**how: Any) -> list[Any]:
        given: dict[str, Any] = {"host": "127.0.0.1", "patience": PATIENCE, "has_canary": False}
        return coordinating.start(parts, federations, family.name, **given | how)

    gone = found.popitem()
    with pytest.raises(RoundFailedError):  # two are too few
        start()
    assert federations.get(family.id).state == "running"
    assert federations.get(family.id).port is None
    found[gone[0]] = gone[1]
    records = start(on_event=tell)
    assert len(records[-1].clients) == 3
    assert events[0] == "begun"
    assert "handed_out" in events
    one = federations.get(family.id)
    assert (one.state, one.port) == ("done", None)
    assert [each["number"] for each in federations.rounds(family.id)] == [r.number for r in records]
    entries = list(parts.ledger.entries(kind="round", limit=10))
    assert entries[0].count == 3
    assert entries[0].request == family.id
    with pytest.raises(UsageError):
        start()
    coordinating.erase(family.id)
    assert not coordinating.folder(family.id).exists()


def test_nothing_starts_without_enough_members(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    with pytest.raises(UsageError):
        coordinating.start(parts, nest.registry.federations, family.name, host="127.0.0.1")
    assert nest.registry.federations.get(family.id).state == "open"


def test_plan_knows_the_model_whatever_it_is_called(parts: Parts, family: Coordination) -> None:
    fingerprint = base_of(parts.store, parts.store.get(MODEL))
    assert family.plan.base_sha256 == fingerprint.base_sha256
    assert len(fingerprint.template_sha256) == 64
    assert plan_for(parts, MODEL).clip_norm > 0
    assert plan_for(parts, MODEL).value_bits == 8
    assert plan_for(parts, MODEL, noise_multiplier=1.0).value_bits == 4
    with pytest.raises(UsageError):
        plan_for(parts, MODEL, min_clients=2)
    with pytest.raises(FederationError):  # no sum would hold that much noise
        plan_for(parts, MODEL, noise_multiplier=1e9, value_bits=16)


def test_canary_is_ordinary_text_in_two_parts() -> None:
    found = canary.examples()
    assert len(found) > 5
    assert all(one.messages[0].content and one.reply for one in found)


def documents(folder: Path, count: int) -> Path:
    folder.mkdir()
    passages = [
        {"id": str(n), "title": f"Article {n}", "text": f"The stove {n} is {n} feet high."}
        for n in range(count)
    ]
    questions = [
        {"question": f"How high is the stove {n}?", "answers": [f"{n} feet"], "passage": str(n)}
        for n in range(count)
    ]
    for name, rows in (("passages", passages), ("questions", questions)):
        text = "\n".join(json.dumps(row) for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    return folder


def test_folder_of_documents_teaches_and_holds_out_the_same_articles(
    parts: Parts, joined: Federation, tmp_path: Path
) -> None:
    folder = documents(tmp_path / "papers", 30)
    one = consent.give(parts, joined.id, [], [str(folder)])
    learned, held_out = consent.count(parts, one)
    assert learned + held_out == 30
    assert min(learned, held_out) > 0
    titles = {each.title for each in consent.held_out_documents(one)}
    assert len(titles) == held_out
    (row,) = consent.sources(parts, joined.id)
    assert (row["kind"], row["is_agreed"], row["num_examples"]) == ("folder", True, learned)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    assert consent.count(parts, one) == (0, 0)
    with pytest.raises(UsageError):
        consent.give(parts, joined.id, [], [str(tmp_path)])
