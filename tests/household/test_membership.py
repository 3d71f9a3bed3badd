"""A device joins a federation, takes part in a round with two others, judges what came, leaves."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ondol import config, idle, paths
from ondol.errors import (
    DeviceRefusedError,
    FederationNotFoundError,
    HomeError,
    InviteError,
    MalformedMessageError,
    PlanMismatchError,
    RoundRefusedError,
    SourceNotFoundError,
    UsageError,
)
from ondol.federated.coordinating import messages
from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.coordinator import Coordinator
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.in_process import InProcessGrid
from ondol.federated.learning.layout import layout_of
from ondol.federated.learning.strategies import Update, strategy
from ondol.federated.members import Member, keys_of
from ondol.federated.plan import Plan
from ondol.federated.privacy.spending import Accountant
from ondol.home.coordinating import plan_for
from ondol.home.federations import Coordination
from ondol.homes import enrolment
from ondol.household import adopting, consent, joining, leaving, power, readiness, taking_part
from ondol.household.device import FederatedDevice
from ondol.household.federations import Federation, Federations, Round
from ondol.household.preview import preview
from ondol.identity import Identity
from ondol.ledger.entries import Entry
from ondol.models.adapters import Adapter
from ondol.models.fingerprints import base_of
from ondol.parts import Parts
from ondol.personal import gating
from ondol.personal.forgetting import forget_samples
from ondol.samples.records import Draft
from ondol.types import Message
from tests.home.homestead import Homestead, device
from tests.personal.tiny_personal import judged

MODEL = "tiny:1"
WORDS = "stove boiler roof cellar garden attic bridge meadow river orchard".split()


@pytest.fixture
def parts(home: Path, base: Path) -> Iterator[Parts]:
    """A device with a small model, and forty samples of two sources."""
    with Parts(config.load()) as opened:
        opened.store.add(MODEL, [opened.store.stage(base, "weights", base.name)])
        for name, greeting in (("letters", "Yours, M."), ("diary", "Good night.")):
            source = opened.kept.samples.add_source("file", name)
            drafts = [
                Draft(
                    "sft",
                    f"{name}-{number}",
                    (Message("user", f"What of the {word} and {name} {number}?"),),
                    f"The {word} {number} stands. {greeting}",
                )
                for number, word in enumerate(WORDS * 2)
            ]
            opened.kept.samples.add(source.id, drafts)
        yield opened


@pytest.fixture
def family(nest: Homestead, parts: Parts, request: pytest.FixtureRequest) -> Coordination:
    plan = plan_for(
        parts,
        MODEL,
        task="style",
        rounds=2,
        r=2,
        first_layer=0,
        clip_norm=32.0,
    )
    return nest.registry.federations.create(request.node.name[:60], plan)


def code_of(nest: Homestead, family: Coordination) -> str:
    return nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id).encode()


def source(parts: Parts, name: str = "letters") -> str:
    return next(one.id for one in parts.kept.samples.sources() if one.name == name)


@pytest.fixture
def joined(nest: Homestead, parts: Parts, family: Coordination) -> Federation:
    return joining.join(parts, code_of(nest, family), [source(parts)], name="mine")


@dataclass
class Learned:
    """In the place of a training: everybody moves towards the same point."""

    asked: list[tuple[int, int]] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    def train(
        self, plan: Plan, round: int, vector: Any, examples: Sequence[Any], folder: Path
    ) -> Update:
        self.asked.append((round, len(examples)))
        self.examples = [one.reply for one in examples]
        return Update((1.0 - vector) / 2, len(examples), 2.0, 1.0)

    def evaluate(self, plan: Plan, vector: Any, examples: Sequence[Any]) -> tuple[float, int]:
        return float(np.abs(1.0 - vector).mean()) * 10, 10


@dataclass
class Neighbour:
    """Another member's learner, without an Ondol around it."""

    base_sha256: str
    template_sha256: str

    def train(self, round: int, vector: Any, folder: Path) -> Update:
        return Update((1.0 - vector) / 2, 5, 2.0, 1.0)

    def evaluate(self, vector: Any) -> tuple[float, int]:
        return 10.0, 10

    def applied(self, vector: Any, delta: Any, round: int) -> Any:
        return vector + delta

    def adopt(self, vector: Any, about: Any) -> None:
        pass


def test_invite_is_looked_at_before_anything_is_agreed(
    nest: Homestead, parts: Parts, family: Coordination
) -> None:
    told = joining.look(parts, code_of(nest, family)).json()
    assert (told["id"], told["is_model_here"], told["num_members"]) == (family.id, True, 0)
    assert told["plan"]["digest"] == family.plan.digest
    assert told["epsilon"]["whole"] is None
    assert told["words"] and told["seen"] and told["unseen"]
    assert nest.registry.federations.members(family.id) == []
    with Federations.open() as kept:
        assert kept.all() == []
    noisy = nest.registry.federations.create(
        f"{family.name[:50]} noisy", replace(family.plan, noise_multiplier=1.0)
    )
    whole = joining.look(parts, code_of(nest, noisy)).json()["epsilon"]["whole"]
    assert 1 < whole < 50


def test_who_joins_agrees_to_what_was_seen(
    nest: Homestead, parts: Parts, family: Coordination
) -> None:
    code = code_of(nest, family)
    with pytest.raises(PlanMismatchError):
        joining.join(parts, code, expected="another plan")
    with pytest.raises(SourceNotFoundError):
        joining.join(parts, code, ["nothing"])
    with pytest.raises(UsageError):
        joining.join(parts, code, folders=[str(paths.data_dir())])
    one = joining.join(parts, code, [source(parts)], expected=family.plan.digest)
    (member,) = nest.registry.federations.members(family.id)
    assert member.member.pseudonym == one.me.pseudonym
    assert member.node_key is not None
    assert one.safety_number == nest.registry.federations.safety_number(family)
    with pytest.raises(UsageError):  # once is enough
        joining.join(parts, code_of(nest, family))
    (entry,) = parts.ledger.entries(kind="federation", limit=1)
    assert entry.reasons == ("joined",)


def test_invites_of_another_kind_are_told_apart(nest: Homestead, parts: Parts) -> None:
    plain = nest.registry.invite(nest.url, nest.mine.fingerprint).encode()
    with pytest.raises(UsageError):
        joining.look(parts, plain)
    gone = replace(nest.registry.invite(nest.url, nest.mine.fingerprint), is_to_federation=True)
    with pytest.raises(InviteError):
        joining.look(parts, gone.encode())


def test_model_that_is_not_here_is_said_before_joining(
    nest: Homestead, parts: Parts, family: Coordination
) -> None:
    other = nest.registry.federations.create(
        f"{family.name[:50]} other", replace(family.plan, base_sha256="0" * 64)
    )
    code = code_of(nest, other)
    assert not joining.look(parts, code).is_model_here
    with pytest.raises(PlanMismatchError):
        joining.join(parts, code)
    assert nest.registry.federations.members(other.id) == []


def test_members_may_come_until_the_first_round_and_never_after(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    with device(tmp_path / "other") as other:
        enrolment.join(
            other.homes, nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id)
        )
    grown, told = joining.sync(parts, joined.id)
    assert (told.state, len(grown.members)) == ("open", 2)
    assert grown.safety_number != joined.safety_number
    with Federations.open() as kept:
        kept.note(joined.id, Round(1, took_part=True))
    with device(tmp_path / "late") as late:
        enrolment.join(
            late.homes, nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id)
        )
    with pytest.raises(PlanMismatchError):
        joining.sync(parts, joined.id)
    with Federations.open() as kept:
        assert len(kept.get().members) == 2


def test_homes_end_is_heard(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    nest.registry.federations.note(family.id, 1, {"number": 1, "clients": [joined.me.node]})
    nest.registry.federations.end(family.id, "stopped")
    one, _ = joining.sync(parts)
    assert (one.state, one.reason) == ("ended", "stopped")
    with Federations.open() as kept:
        assert kept.rounds(one.id)[0].record["clients"] == [joined.me.node]
    (member,) = nest.registry.federations.members(family.id)
    nest.registry.revoke(member.name)
    with pytest.raises(DeviceRefusedError):
        joining.sync(parts)


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 70_000), ("port", "x"), ("state", "\x1b[2J"), ("plan", {}), ("id", "another")],
)
def test_what_no_home_says_is_not_taken(
    nest: Homestead, family: Coordination, field: str, value: Any
) -> None:
    said = {"federation": family.json() | {field: value}, "members": [], "rounds": []}
    with pytest.raises(HomeError):
        joining.Told.of(said, nest.url)


def test_home_cannot_say_of_a_round_what_no_record_has(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    nest.registry.federations.note(family.id, 1, {"number": 1, "failed": "x"})
    nest.registry.federations.note(family.id, 2, {"number": 2, "failed": "x" * 100_000})
    nest.registry.federations.note(family.id, 3, {"number": 1 << 30, "failed": "x"})
    odd: dict[str, Any]
    for number, odd in enumerate(
        ({"clients": 5}, {"norm": "x"}, {"loss_shared": [1]}, {"refused": {"1": 2}}, {"x": 1}), 4
    ):
        nest.registry.federations.note(family.id, number, {"number": number, "failed": "", **odd})
    joining.sync(parts, joined.id)
    with Federations.open() as kept:
        assert [one.number for one in kept.rounds(joined.id)] == [1]


def test_adapter_of_another_size_is_none_to_judge(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    mine = FederatedDevice(parts, joined.id, lambda base: Learned())
    size = layout_size(parts, joined.plan)
    for length, rounds in ((size - 1, 1), (size + 1, 1), (size, "many")):
        vector = np.zeros(length, np.float32)
        body = messages.write(
            joined.plan,
            1,
            start=messages.digest(vector),
            about={"rounds": rounds},
            **messages.with_vector(vector),
        )
        with pytest.raises(MalformedMessageError):
            mine.answer("adopt", body)
    assert not adopting.is_waiting(joined.id)
    mine.close()


def test_consent_is_given_source_by_source_and_taken_back(parts: Parts, joined: Federation) -> None:
    agreed = {one["name"]: one["is_agreed"] for one in consent.sources(parts)}
    assert agreed == {"letters": True, "diary": False}
    replies = [one.reply for one in consent.lesson(parts, joined).learned]
    assert replies and all("Yours, M." in reply for reply in replies)
    one = consent.give(parts, joined.id, [source(parts, "diary")])
    found = consent.lesson(parts, one)
    assert all("Good night." in each.reply for each in (*found.learned, *found.held_out))
    nothing = consent.give(parts, joined.id, [])
    assert consent.lesson(parts, nothing).learned == ()
    assert "no_consent" in readiness.of(parts, nothing).reasons


def test_preview_says_what_leaves_and_shows_noise(parts: Parts, joined: Federation) -> None:
    found = preview(parts)
    assert found.num_examples + found.num_held_out == 20
    assert [one["name"] for one in found.sources] == ["letters"]
    assert found.length >= layout_size(parts, joined.plan)
    assert found.bytes_up == math.ceil(found.length * found.bits / 8)
    counts = np.array(found.sent.counts)
    expected = counts.sum() / len(counts)
    # Uniform: 31 degrees of freedom, beyond 80 once in a million.
    assert ((counts - expected) ** 2 / expected).sum() < 80
    assert max(found.encoded.counts) > 3 * expected


def layout_size(parts: Parts, plan: Plan) -> int:
    return layout_of(plan, parts.store.path(parts.store.get(MODEL))).size


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, None),
        ({"AC": {"type": "Mains", "online": "1"}}, True),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, True),
        ({"m": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, None),
    ],
)
def test_power_is_read_as_linux_tells_it(
    supplies: dict[str, dict[str, str]], expected: bool | None, tmp_path: Path
) -> None:
    for name, fields in supplies.items():
        (tmp_path / name).mkdir()
        for field_name, value in fields.items():
            (tmp_path / name / field_name).write_text(f"{value}\n")
    assert power.on_power(tmp_path) is expected
    assert power.on_power(tmp_path / "nothing") is None


def test_device_takes_part_only_when_it_may(
    parts: Parts, joined: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert readiness.readiness(parts).json()["is_ready"]
    taking_part.pause(parts)
    assert readiness.readiness(parts).reasons == ("paused",)
    assert taking_part.resume(parts).state == "active"
    monkeypatch.setattr(power, "on_power", lambda: False)
    with idle.answering():
        found = readiness.readiness(parts)
    assert found.reasons == ("in_use", "on_battery")
    assert len(found.told) == 2
    with pytest.raises(RoundRefusedError):
        readiness.check(parts, joined.id)


def coordinated(
    parts: Parts, nest: Homestead, family: Coordination, joined: Federation, folder: Path
) -> tuple[FederatedDevice, Learned, Coordinator, list[bytes]]:
    """The device and two neighbours in one process, and their home."""
    others = []
    for number in range(2):
        with device(folder / f"neighbour-{number}") as other:
            enrolment.join(
                other.homes, nest.registry.invite(nest.url, nest.mine.fingerprint, "", family.id)
            )
            others.append(other.homes.identity)
    one, _ = joining.sync(parts, joined.id)
    roster = keys_of(one.members)
    fingerprint = base_of(parts.store, parts.store.get(MODEL))
    learned, said = Learned(), []
    mine = FederatedDevice(parts, one.id, lambda base: learned)

    class Overheard:
        def answer(self, stage: str, body: bytes) -> bytes:
            answer = mine.answer(stage, body)
            said.append(answer)
            return answer

    def neighbour(identity: Identity, number: int) -> Participant:
        learner = Neighbour(fingerprint.base_sha256, fingerprint.template_sha256)
        return Participant(folder / f"rounds-{number}", one.plan, learner, identity, roster)

    devices: dict[int, Any] = {one.me.node: Overheard()}
    for number, identity in enumerate(others):
        node = Member(one.id, identity.public_key).node
        devices[node] = neighbour(identity, number)
    layout = layout_of(one.plan, parts.store.path(parts.store.get(MODEL)))
    coordinator = Coordinator(
        folder / "home",
        one.plan,
        InProcessGrid(devices, 3),
        start=lambda: layout.begin(one.plan.seed),
        strategy=strategy(one.plan, layout),
        roster=lambda: roster,
        patience=Patience(other=30.0, training=30.0, again=0.01, tries=3, ready=3, failures=2),
    )
    return mine, learned, coordinator, said


def test_device_learns_together_and_keeps_what_passes_its_own_gate(
    nest: Homestead,
    parts: Parts,
    family: Coordination,
    joined: Federation,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mine, learned, coordinator, said = coordinated(parts, nest, family, joined, tmp_path)
    (sample,) = [one for one in parts.kept.samples.all(source=source(parts))][:1]
    records = coordinator.run()
    assert [len(one.clients) for one in records if not one.failed] == [3, 3]
    assert float(np.abs(1 - coordinator.vector()).mean()) < 0.3  # of 1 in the beginning
    with Federations.open() as kept:
        rounds = [one for one in kept.rounds(joined.id) if one.took_part]
        assert len(rounds) == 2
        assert all(one.num_examples == learned.asked[0][1] and one.bytes_up for one in rounds)
        assert sample.id in kept.samples_of(joined.id) or sample.is_held_out
        assert kept.get().epsilon is None
    # No reply and no update in the clear was ever said.
    assert not any(b"Yours" in answer for answer in said)
    entries: list[Entry] = list(parts.ledger.entries(kind="round", limit=10))
    assert len(entries) == 2
    assert all(any(one.startswith("sha256:") for one in entry.reasons) for entry in entries)
    # What was learned waits, and is judged by this device alone.
    assert adopting.is_waiting(joined.id)
    monkeypatch.setattr(gating, "judge", judged)
    before = parts.kept.activations.chosen(MODEL)
    one = adopting.adopt(parts)
    assert one.adapter is None
    assert one.verdict["activates"] is False
    assert parts.kept.activations.chosen(MODEL) == before
    adopting.keep_for_later(leaving.folder(one.id), coordinator.vector(), {"rounds": 2})
    monkeypatch.setenv("ADOPT", "1")
    one = adopting.adopt(parts)
    assert one.adapter is not None
    assert list(parts.kept.activations.active(MODEL)) == [
        one.adapter.partition(":")[2].rpartition(":")[2]
    ]
    # Forgetting a sample names the adapter that was made with it.
    taught = next(each for each in parts.kept.samples.all() if each.id in samples_of(one))
    receipt = forget_samples(parts, [taught.id])
    assert one.adapter in receipt.stale
    assert receipt.federations == (one.name,)
    mine.close()
    # Leaving erases it all.
    gone = leaving.leave(parts)
    assert gone.heard and gone.rounds == 2
    assert one.adapter in gone.adapters
    assert not leaving.folder(joined.id).exists()
    assert leaving.shared_adapters(parts, joined.id) == []
    with Federations.open() as kept:
        assert kept.all() == []
    assert joined.me.public_key not in {
        each.public_key for each in nest.registry.federations.roster(family.id)
    }


def test_gate_of_a_federation_that_was_left_meanwhile_puts_nothing_into_use(
    parts: Parts, joined: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = layout_of(joined.plan, parts.store.path(parts.store.get(MODEL)))
    place = leaving.folder(joined.id)
    adopting.keep_for_later(place, layout.begin(joined.plan.seed), {"rounds": 2})

    def judge(parts: Parts, candidate: Adapter, *args: Any, **kwargs: Any) -> gating.Judged:
        kwargs["on_progress"](1, 9)
        leaving.leave(parts, joined.id)
        kwargs["on_progress"](2, 9)
        raise AssertionError("it went on")

    monkeypatch.setattr(gating, "judge", judge)
    with pytest.raises(FederationNotFoundError):
        adopting.adopt(parts, joined.id)
    assert parts.kept.activations.chosen(MODEL).names == ()
    assert leaving.shared_adapters(parts, joined.id) == []
    assert not place.exists()


def samples_of(one: Federation) -> list[str]:
    with Federations.open() as kept:
        return kept.samples_of(one.id)


def test_forgotten_sample_is_not_in_the_next_round(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    mine, learned, coordinator, _ = coordinated(parts, nest, family, joined, tmp_path)
    coordinator.run(rounds=1)
    first = learned.examples
    gone = next(one for one in parts.kept.samples.all() if one.reply in first)
    forget_samples(parts, [gone.id])
    coordinator.run(rounds=2)
    assert set(first) - set(learned.examples) == {gone.reply}
    mine.close()


def test_what_was_learned_from_a_forgotten_sample_is_not_sent_any_more(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    mine, learned, _, _ = coordinated(parts, nest, family, joined, tmp_path)
    layout = layout_of(family.plan, parts.store.path(parts.store.get(MODEL)))
    start = layout.begin(family.plan.seed)

    def train(round: int) -> bytes:
        fields = {"start": messages.digest(start), **messages.with_vector(start)}
        return mine.answer("train", messages.write(family.plan, round, **fields))

    train(1)
    train(2)  # nobody masked: what was learned is good for the next round
    assert [number for number, _ in learned.asked] == [1]
    gone = next(one for one in parts.kept.samples.all() if one.reply in learned.examples)
    forget_samples(parts, [gone.id])
    train(3)
    assert [number for number, _ in learned.asked] == [1, 3]
    assert gone.reply not in learned.examples
    mine.close()


def test_home_hears_that_a_device_is_not_there_and_never_why(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    mine, _, coordinator, _ = coordinated(parts, nest, family, joined, tmp_path)
    taking_part.pause(parts)
    record = coordinator.run(most_tries=1)[0]
    assert record.clients == ()
    assert record.failed
    told = " ".join(record.refused.values())
    assert "paused" not in told
    with Federations.open() as kept:
        assert not any(one.took_part for one in kept.rounds(joined.id))
    mine.close()


def test_round_that_went_out_is_not_sent_again_after_its_folder_is_gone(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    mine, _, coordinator, _ = coordinated(parts, nest, family, joined, tmp_path)
    coordinator.run(rounds=1)
    leaving.erase(leaving.folder(joined.id))
    with Federations.open() as kept:
        last = max(one.number for one in kept.rounds(joined.id))
    again = messages.write(joined.plan, last)
    with pytest.raises(RoundRefusedError):
        mine.answer(messages.TRAIN, again)
    mine.close()


def test_who_leaves_in_the_middle_of_a_training_keeps_nothing_of_it(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation, tmp_path: Path
) -> None:
    mine, learned, coordinator, _ = coordinated(parts, nest, family, joined, tmp_path)
    train = learned.train

    def leave_meanwhile(*asked: Any) -> Update:
        leaving.leave(parts, joined.id)
        return train(*asked)

    learned.train = leave_meanwhile  # type: ignore[method-assign]
    coordinator.run(most_tries=1)
    assert not leaving.folder(joined.id).exists()
    mine.close()


def test_budget_ends_ones_part(nest: Homestead, parts: Parts, family: Coordination) -> None:
    plan = replace(family.plan, noise_multiplier=1.0, epsilon_budget=1.0, value_bits=4)
    dear = nest.registry.federations.create(f"{family.name[:50]} dear", plan)
    one = joining.join(parts, code_of(nest, dear), [source(parts)])
    assert readiness.of(parts, one).reasons == ("budget",)
    plenty = replace(one, plan=replace(plan, epsilon_budget=100.0))
    assert readiness.of(parts, plenty).json()["is_in_budget"]


def test_budget_counts_rounds_whose_folder_is_gone(
    nest: Homestead, parts: Parts, family: Coordination
) -> None:
    plan = replace(family.plan, noise_multiplier=1.0, value_bits=4)
    once = Accountant(plan, layout_size(parts, plan)).ahead(1, plan.min_clients).epsilon
    for_one = replace(plan, epsilon_budget=1.2 * once)
    nest.registry.federations.create(name := f"{family.name[:50]} one", for_one)
    dear = nest.registry.federations.get(name)
    one = joining.join(parts, code_of(nest, dear), [source(parts)])
    mine = FederatedDevice(parts, one.id, lambda base: Learned())
    mine.answer("ready", messages.write(one.plan, 1))
    with Federations.open() as kept:
        kept.note(one.id, Round(1, took_part=True))
    with pytest.raises(RoundRefusedError):
        mine.answer("ready", messages.write(one.plan, 2))
    mine.close()


def test_device_from_an_older_backup_hears_what_it_sent(
    nest: Homestead, parts: Parts, family: Coordination, joined: Federation
) -> None:
    for number, clients in ((1, [joined.me.node]), (2, [])):
        record = {"number": number, "clients": clients}
        nest.registry.federations.note(family.id, number, record)
    joining.sync(parts, joined.id)
    with Federations.open() as kept:
        assert [one.took_part for one in kept.rounds(joined.id)] == [True, False]


def test_leaving_is_done_here_even_where_home_is_gone(
    nest: Homestead, parts: Parts, joined: Federation
) -> None:
    parts.oversight.homes.enrolments.remove("nest")
    with pytest.raises(HomeError):
        joining.sync(parts, joined.id)
    receipt = leaving.leave(parts, joined.id)
    assert not receipt.heard
    assert receipt.words
    with Federations.open() as kept:
        assert kept.all() == []
