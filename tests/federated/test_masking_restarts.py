"""A device or a home that is killed at any moment goes on with the same bytes, or not at all."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ondol import leftovers
from ondol.errors import MaskingError
from ondol.federated.masking.adder import Adder
from ondol.federated.masking.kept import Disk, Memory
from ondol.federated.masking.member import Member
from ondol.federated.masking.rows import join
from ondol.federated.masking.session import Session
from tests.federated.masked_round import Round, identity, seeded, session


class Killed(BaseException):
    """The process is gone."""


class Fragile(Memory):
    """A store whose process is killed before or after its ``moment``-th write."""

    moment = 1 << 30
    after = False

    def first(self, name: str, said: bytes) -> None:
        self.moment -= 1
        if self.moment == 0 and not self.after:
            raise Killed
        super().first(name, said)
        if self.moment == 0:
            raise Killed


def member(asked: Session, number: int, store: Memory | Disk | Path) -> Member:
    return Member(asked, identity(number), set(asked.roster.values()), store)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("moment", range(1, 7))
def test_member_killed_at_any_write_goes_on_and_the_sum_is_exact(moment: int, after: bool) -> None:
    asked = session(3)
    fragile = Fragile()
    masked = Round(asked, stores={11: fragile})
    said: dict[str, object] = {}
    killed = False
    fragile.moment, fragile.after = moment, after
    whole = masked.members[11]

    class Restarted:
        """Asks; and where the process was killed, asks a new one the same."""

        def __getattr__(self, step: str) -> Callable[..., object]:
            def ask(*question: object) -> object:
                nonlocal killed, whole
                try:
                    answer = getattr(whole, step)(*question)
                except Killed:
                    killed = True
                    whole = member(asked, 1, fragile)
                    answer = getattr(whole, step)(*question)
                said[step] = (question, answer)
                return answer

            return ask

    masked.members[11] = Restarted()
    assert np.array_equal(masked.sum(), masked.plain_sum())
    assert killed
    again = member(asked, 1, fragile)
    for step, (question, answer) in said.items():
        assert np.array_equal(getattr(again, step)(*question), answer)


def test_every_answer_is_on_the_disk_before_it_is_given(tmp_path: Path) -> None:
    asked = session(3)
    masked = Round(asked, stores={11: tmp_path / "device"})
    all_keys = masked.keys()
    assert member(asked, 1, tmp_path / "device").keys() == masked.members[11].keys()
    bundles = masked.shares()
    assert member(asked, 1, tmp_path / "device").shares(all_keys) == masked.members[11].shares(
        all_keys
    )
    assert member(asked, 1, tmp_path / "device").masked() is None
    first = masked.members[11].mask(bundles[11], masked.vectors[11])
    second = member(asked, 1, tmp_path / "device")
    assert np.array_equal(second.masked(), first)
    assert np.array_equal(second.mask(bundles[11], masked.vectors[11]), first)
    with pytest.raises(MaskingError, match="different words"):
        second.mask(bundles[11], masked.vectors[12])
    assert np.array_equal(masked.sum(), masked.plain_sum())


def test_what_is_kept_is_for_its_owner_alone_and_gone_when_the_round_is_over(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "device"
    masked = Round(session(3), stores={11: folder})
    masked.sum()
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 4
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    masked.members[11].forget()
    assert [file.name for file in folder.rglob("*")] == ["masked-round-1"]


def test_a_seed_is_overwritten_and_no_kill_leaves_one_of_zeros(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = session(3)
    one = member(asked, 1, tmp_path)
    shown = one.keys()
    (seed,) = tmp_path.rglob("seed")
    with seed.open("rb") as file:
        overwrite = leftovers.overwrite

        def killed(descriptor: int) -> None:
            overwrite(descriptor)
            raise Killed

        monkeypatch.setattr(leftovers, "overwrite", killed)
        with pytest.raises(Killed):
            one.forget()
        assert file.read() == bytes(32)
    assert not seed.exists()
    monkeypatch.undo()
    assert member(asked, 1, tmp_path).keys() != shown
    assert seed.read_bytes() != bytes(32)


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Memory | Disk:
    return Memory() if request.param == "memory" else Disk(tmp_path / "device")


def after_a_round(store: Memory | Disk, number: int = 5) -> Round:
    masked = Round(session(3, round=number), stores={11: store})
    masked.sum()
    return masked


@pytest.mark.parametrize(
    ("number", "attempt"), [(5, 1), (4, 0), (1, 7)], ids=["attempt", "earlier", "much earlier"]
)
def test_a_device_masks_for_a_round_once_and_for_no_earlier_one(
    store: Memory | Disk, number: int, attempt: int
) -> None:
    after_a_round(store)
    again = session(3, round=number, attempt=attempt)
    with pytest.raises(MaskingError, match=f"Round {number} is over on this device"):
        member(again, 1, store).keys()


def test_a_session_that_was_begun_before_cannot_be_masked_after_another_of_its_round(
    store: Memory | Disk,
) -> None:
    """Two sums of one round differ by one device's vector."""
    first = Round(session(3, round=5, attempt=1), stores={11: store})
    bundles = first.shares()
    after_a_round(store)
    with pytest.raises(MaskingError, match="over on this device"):
        first.members[11].mask(bundles[11], first.vectors[11])


def test_of_two_processes_that_mask_in_two_sessions_of_a_round_one_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Memory()
    masked = Round(session(3, round=5), stores={11: store})
    bundles = masked.shares()
    claim = store.first

    def slow(name: str, said: bytes) -> None:
        if name.startswith("masked-round"):
            claim(name, session(3, round=5, attempt=1).digest)
        claim(name, said)

    monkeypatch.setattr(store, "first", slow)
    with pytest.raises(MaskingError, match="Round 5 is over on this device"):
        masked.members[11].mask(bundles[11], masked.vectors[11])
    assert masked.members[11].masked() is None


def test_who_masked_nothing_does_not_sign_that_it_did() -> None:
    fragile = Fragile()
    masked = Round(session(3), stores={11: fragile})
    bundles = masked.shares()
    fragile.moment, fragile.after = 1, True
    with pytest.raises(Killed):
        masked.members[11].mask(bundles[11], masked.vectors[11])
    with pytest.raises(MaskingError, match="earlier one is missing"):
        member(masked.session, 1, fragile).survivors(
            join(dict.fromkeys(masked.session.roster, b""))
        )


def test_a_session_is_over_when_it_was_forgotten(store: Memory | Disk) -> None:
    masked = after_a_round(store)
    request = masked.adder.ask_unmask({})
    masked.members[11].forget()
    for ask in (masked.members[11].keys, lambda: masked.members[11].unmask(request)):
        with pytest.raises(MaskingError, match="Round 5 is over on this device"):
            ask()


def test_the_next_round_erases_what_the_last_left(store: Memory | Disk) -> None:
    before = session(3, round=5)
    after_a_round(store)
    after = session(3, round=6)
    member(after, 1, store).keys()
    shelves = {name.split("/")[0] for name in store.names() if "/" in name}
    assert shelves == {after.digest.hex()[:32]}
    assert before.digest.hex()[:32] not in store.names()
    with pytest.raises(MaskingError, match="over on this device"):
        member(before, 1, store).keys()


def test_secrets_are_new_in_each_session_and_on_each_device() -> None:
    shown = set()
    for asked in (session(3), session(3, attempt=1), session(3, round=2)):
        for number in (1, 2):
            for _ in range(2):
                shown.add(member(asked, number, Memory()).keys())
    assert len(shown) == 12


def test_secrets_do_not_show_in_what_is_printed() -> None:
    masked = Round(session(3))
    masked.sum()
    secrets = masked.members[11]._secrets()
    printed = repr(secrets) + repr(masked.members[11]) + repr(masked.members[11].__dict__)
    assert not any(repr(part) in printed for part in (secrets.mask, secrets.self_mask))


def test_home_killed_between_any_two_steps_goes_on() -> None:
    """With the answers that it kept; more that came meanwhile change nothing in a step before."""
    masked = Round(session(4), leaves={14: 2})
    total = masked.sum()
    keys = {node: masked.members[node].keys() for node in masked.there("keys")}
    all_keys = masked.adder.relay_keys({})
    sent = {node: masked.members[node].shares(all_keys) for node in masked.there("shares")}
    survivors = masked.adder.ask_survivors([])
    signed = {node: masked.members[node].survivors(survivors) for node in masked.masked}
    request = masked.adder.ask_unmask({})
    answers = {node: masked.members[node].unmask(request) for node in masked.masked}
    again = Adder(masked.session)
    assert again.relay_keys(keys) == all_keys == again.relay_keys({})
    assert again.relay_shares(sent) == masked.adder.relay_shares({}) == again.relay_shares({})
    assert again.ask_survivors(masked.masked) == survivors == again.ask_survivors([11])
    assert again.ask_unmask(signed) == request == again.ask_unmask({})
    assert np.array_equal(again.sum(masked.masked, answers), total)
    assert again.stayed == [11, 12, 13] and again.refused == {}


def test_two_processes_of_a_device_have_the_same_secrets(tmp_path: Path) -> None:
    asked = session(3)
    one, other = (member(asked, 1, tmp_path) for _ in range(2))
    assert one.keys() == other.keys()
    assert seeded(asked, 11).read(f"{asked.digest.hex()[:32]}/seed") == (11).to_bytes(32)
