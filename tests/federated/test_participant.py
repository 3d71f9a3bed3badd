"""A device's side: what it answers twice, and what it never answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rounds import PLAN, SIZE, Household, Towards, identity

from ondol.errors import (
    MalformedMessageError,
    MaskingError,
    OndolError,
    PlanMismatchError,
    RoundRefusedError,
)
from ondol.federated.coordinating import messages, sums
from ondol.federated.coordinating.device import Participant
from ondol.federated.coordinating.messages import Message
from ondol.federated.masking import rows
from ondol.federated.masking.adder import Adder
from ondol.federated.masking.session import Session

START = np.zeros(SIZE, np.float32)


@pytest.fixture
def household(tmp_path: Path) -> Household:
    return Household(tmp_path)


def train(round: int = 1, vector: Any = START, **changed: Any) -> bytes:
    fields = {"start": messages.digest(vector), **messages.with_vector(vector), **changed}
    return messages.write(PLAN, round, **fields)


def secret(round: int = 1, what: str = "update", **fields: Any) -> bytes:
    return messages.write(PLAN, round, sum=what, **fields)


def session(household: Household, nodes: list[int]) -> Session:
    vector = messages.digest(START)
    return sums.session(PLAN, 1, "update", nodes, household.roster, length=SIZE, vector=vector)


def masked_up_to(household: Household, stage: str) -> dict[int, bytes]:
    """What each device would be asked at ``stage`` of round 1, all before it answered."""
    nodes = sorted(household.nodes)
    devices = household.grid.devices
    for node in nodes:
        devices[node].answer("train", train())
    adder = Adder(session(household, nodes))
    asked = {node: secret(nodes=nodes) for node in nodes}
    for now in ("keys", "shares", "mask", "survivors", "unmask"):
        if now == stage:
            return asked
        said = {node: Message(PLAN, devices[node].answer(now, asked[node])) for node in nodes}
        if now == "keys":
            relay = adder.relay_keys({node: one.raw("reply") for node, one in said.items()})
            asked = {node: secret(relay=relay) for node in nodes}
        elif now == "shares":
            bundles = adder.relay_shares({node: one.raw("reply") for node, one in said.items()})
            asked = {node: secret(relay=bundle) for node, bundle in bundles.items()}
        elif now == "mask":
            relay = adder.ask_survivors(nodes)
            asked = {node: secret(relay=relay) for node in nodes}
        else:
            relay = adder.ask_unmask({node: one.raw("reply") for node, one in said.items()})
            asked = {node: secret(relay=relay) for node in nodes}
    raise AssertionError(stage)


@pytest.mark.parametrize("stage", ["keys", "shares", "mask", "survivors", "unmask"])
def test_the_same_question_gets_the_same_bytes_after_a_restart(
    household: Household, stage: str
) -> None:
    asked = masked_up_to(household, stage)
    node = household.nodes[0]
    said = household.device(0).answer(stage, asked[node])
    assert household.device(0).answer(stage, asked[node]) == said
    assert household.learners[0].trained == [1]


@pytest.mark.parametrize("stage", ["keys", "shares", "mask", "survivors", "unmask"])
def test_another_question_at_the_same_stage_gets_no_answer(
    household: Household, stage: str
) -> None:
    asked = masked_up_to(household, stage)
    household.device(0).answer(stage, asked[household.nodes[0]])
    others = secret(nodes=sorted(household.nodes[:3])) if stage == "keys" else secret(relay=b"x")
    with pytest.raises(RoundRefusedError, match="once"):
        household.device(0).answer(stage, others)


def test_a_vector_is_never_masked_with_what_another_was_masked_with(household: Household) -> None:
    """Not even by a device whose journal of the round was lost."""
    asked = masked_up_to(household, "mask")
    node = household.nodes[0]
    first = household.device(0).answer("mask", asked[node])
    journal = household.folder / "device-0" / "round-1" / "update-mask.answer"
    journal.unlink()
    household.learners[0].target = -household.learners[0].target
    assert household.device(0).answer("mask", asked[node]) == first


def test_a_round_that_is_over_is_not_gone_back_to(household: Household) -> None:
    asked = masked_up_to(household, "mask")
    device = household.device(0)
    device.answer("train", train(2))
    for stage, body in (("mask", asked[household.nodes[0]]), ("train", train(1))):
        with pytest.raises(RoundRefusedError, match="over"):
            device.answer(stage, body)


def test_a_stage_without_the_ones_before_is_refused(household: Household) -> None:
    device = household.device(0)
    nodes = sorted(household.nodes)
    with pytest.raises(RoundRefusedError, match="trained"):
        device.answer("keys", secret(nodes=nodes))
    device.answer("train", train())
    with pytest.raises(RoundRefusedError, match="keys"):
        device.answer("mask", secret(relay=b""))
    with pytest.raises(RoundRefusedError):
        device.answer("mask", secret(what="weights", relay=b""))
    with pytest.raises(RoundRefusedError):
        device.answer("open", secret())
    device.answer("keys", secret(what="loss", nodes=nodes))
    with pytest.raises(OndolError):
        device.answer("unmask", secret(what="loss", relay=b""))


def test_losses_are_not_told_before_there_are_any_or_where_there_is_noise(
    tmp_path: Path,
) -> None:
    noisy = replace(PLAN, noise_multiplier=1.0)
    household = Household(tmp_path, plan=noisy)
    body = train().replace(PLAN.digest.encode(), noisy.digest.encode())
    household.device(0).answer("train", body)
    asked = messages.write(noisy, 1, sum="loss", nodes=sorted(household.nodes))
    with pytest.raises(RoundRefusedError):
        household.device(0).answer("keys", asked)


@pytest.mark.parametrize(
    "nodes", [lambda all: all[:2], lambda all: [*all[:2], 77], lambda all: all[1:]]
)
def test_groups_that_are_too_small_or_strange_get_no_keys(household: Household, nodes: Any) -> None:
    device = household.device(0)
    device.answer("train", train())
    chosen = sorted(nodes(household.nodes))
    with pytest.raises((RoundRefusedError, MaskingError)):
        device.answer("keys", secret(nodes=chosen))


def test_a_group_smaller_than_the_plan_promised_gets_no_keys(tmp_path: Path) -> None:
    plan = replace(PLAN, min_clients=4)
    household = Household(tmp_path, 5, plan)
    start = {"start": messages.digest(START), **messages.with_vector(START)}
    household.device(0).answer("train", messages.write(plan, 1, **start))
    chosen = sorted(household.nodes[:3])
    with pytest.raises(RoundRefusedError, match="4 or more"):
        household.device(0).answer("keys", messages.write(plan, 1, sum="update", nodes=chosen))


def test_who_was_sent_another_vector_cannot_be_summed_with_the_others(household: Household) -> None:
    """Else a home could send one of them the real one, and the others one that teaches nothing."""
    nodes = sorted(household.nodes)
    said = {}
    for number, node in enumerate(household.nodes):
        vector = np.ones(SIZE, np.float32) if number == 0 else START
        household.device(number).answer("train", train(vector=vector))
        keys = household.device(number).answer("keys", secret(nodes=nodes))
        said[node] = Message(PLAN, keys).raw("reply")
    adder = Adder(session(household, nodes))
    adder.relay_keys(said)
    assert list(adder.refused) == [household.nodes[0]]
    # And where home relays them all the same, the others do not go on.
    with pytest.raises(MaskingError, match="signed"):
        household.device(1).answer("shares", secret(relay=rows.join(said)))


def test_another_plan_or_model_is_refused(household: Household) -> None:
    with pytest.raises(PlanMismatchError):
        household.device(0).answer("ready", messages.write(replace(PLAN, r=4), 1))
    for wrong in ({"base_sha256": "c"}, {"template_sha256": "c"}):
        learner = Towards(START, **wrong)
        for stage, body in (("ready", messages.write(PLAN, 1)), ("train", train())):
            with pytest.raises(PlanMismatchError, match="tiny"):
                household.device(1, learner=learner).answer(stage, body)


def test_a_shared_vector_must_be_the_one_it_is_called(household: Household) -> None:
    device, other = household.device(0), np.ones(SIZE, np.float32)
    with pytest.raises(RoundRefusedError, match="have"):
        device.answer("train", messages.write(PLAN, 1, start=messages.digest(START)))
    with pytest.raises(MalformedMessageError):
        device.answer("train", train(start=messages.digest(other)))
    for wrong in (np.full(SIZE, np.nan), np.full(SIZE, np.inf), np.full(SIZE, 1e6)):
        with pytest.raises(MalformedMessageError):
            device.answer("train", train(vector=wrong.astype(np.float32)))
    with pytest.raises(MalformedMessageError):
        device.answer("train", train(length=SIZE + 1))
    device.answer("train", train(vector=other))
    assert Message(PLAN, device.answer("ready", messages.write(PLAN, 1))).text(
        "holds"
    ) == messages.digest(other)


def test_a_training_that_diverged_sends_nothing(household: Household) -> None:
    learner = Towards(np.full(SIZE, np.nan, np.float32))
    with pytest.raises(RoundRefusedError, match="diverged"):
        household.device(0, learner=learner).answer("train", train())
    assert not household.device(0).contributions.has_released(1)


def test_a_paused_device_ends_no_round_it_is_in_but_begins_none(household: Household) -> None:
    asked = masked_up_to(household, "mask")

    def paused() -> None:
        raise RoundRefusedError("Paused.")

    device = household.device(0, condition=paused)
    device.answer("mask", asked[household.nodes[0]])
    for stage, body in (("ready", messages.write(PLAN, 2)), ("train", train(2))):
        with pytest.raises(RoundRefusedError, match="Paused"):
            device.answer(stage, body)
    assert device.round == 1


def test_a_stranger_answers_nothing(household: Household) -> None:
    stranger = Participant(
        household.folder / "stranger", PLAN, Towards(START), identity(50), household.roster
    )
    stranger.answer("train", train())
    with pytest.raises(RoundRefusedError, match="chosen"):
        stranger.answer("keys", secret(nodes=sorted(household.nodes)))


def test_the_last_vector_is_adopted_once(household: Household) -> None:
    body = messages.write(
        PLAN, 1, start=messages.digest(START), **messages.with_vector(START), about={"rounds": 1}
    )
    for _ in range(2):
        household.device(0).answer("adopt", body)
    assert len(household.learners[0].adopted) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"nodes": []},
        {"nodes": [2, 1]},
        {"nodes": [1, 1]},
        {"nodes": [0, 1]},
        {"nodes": [True]},
        {"nodes": "all"},
        {},
    ],
)
def test_lists_of_nodes_are_read_strictly(household: Household, fields: Any) -> None:
    household.device(0).answer("train", train())
    with pytest.raises(MalformedMessageError):
        household.device(0).answer("keys", secret(**fields))


@pytest.mark.parametrize("round", [0, -1, True, 1.0, "1", None])
def test_a_round_is_a_positive_number(household: Household, round: Any) -> None:
    with pytest.raises(MalformedMessageError):
        household.device(0).answer("ready", messages.write(PLAN, round))
