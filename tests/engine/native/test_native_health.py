"""The check: an engine that computes the same passes, and one that lies is found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from lora_gguf import random_adapter

from ondol.engine import runtime
from ondol.engine.native import health, trial_adapter
from ondol.engine.native.health import Health
from ondol.engine.native.probe import Heard, Step
from ondol.engine.settings import EngineSettings, ModelSpec


def heard(*steps: tuple[int, float, Mapping[int, float]]) -> Heard:
    return Heard(tuple(Step(*step) for step in steps), "", 1.0, 1.0, 0)


A = (1, -0.1, {1: -0.1, 2: -2.5})
TIE = (1, -0.7, {1: -0.7, 2: -0.72})


def test_rounding_may_choose_between_two_that_are_as_likely() -> None:
    other = heard(A, (2, -0.69, {2: -0.69, 1: -0.71}), (9, -3.0, {9: -3.0, 8: -3.1}))
    assert health.compared(heard(A, TIE, A), other) == [0.0]


@pytest.mark.parametrize(
    "other",
    [
        heard((2, -0.1, {2: -0.1, 1: -2.5}), A),
        heard((1, -0.1, {1: -0.1, 2: -2.5})),
        heard((7, -0.1, {7: -0.1}), A),
        heard((1, float("nan"), {1: float("nan"), 3: 0.0}), A),
        heard(),
    ],
    ids=["another token", "too short", "an unlikely token", "not a number", "nothing"],
)
def test_what_rounding_cannot_explain_is_a_difference(other: Heard) -> None:
    with pytest.raises(health._Differs):
        health._summed(health.compared(heard(A, A), other))


def test_the_same_token_at_another_probability_is_a_difference() -> None:
    with pytest.raises(health._Differs):
        health._summed(health.compared(heard(A), heard((1, -1.1, {1: -1.1, 2: -2.5}))))


def test_embeddings_of_other_lengths_or_of_nothing_are_not_alike() -> None:
    assert health._cosine([1.0, 0.0], [1.0]) == 0.0
    assert health._cosine([0.0], [0.0]) == 0.0
    assert health._cosine([1.0, 2.0], [2.0, 4.0]) == pytest.approx(1.0)


@pytest.mark.model
@pytest.mark.parametrize(
    ("mode", "wrong"),
    [("fail", "starts"), ("wrong", "answers"), ("deaf", "adapters"), ("forgetful", "slots")],
)
def test_an_engine_that_lies_is_found_out(
    spec: ModelSpec, llama_server: Path, monkeypatch: pytest.MonkeyPatch, mode: str, wrong: str
) -> None:
    def write(model: Path, file: Path) -> bool:
        return bool(random_adapter(model, file, modules=("attn_q",)))

    monkeypatch.setenv("DOUBLE_MODE", mode)
    monkeypatch.setattr(trial_adapter, "write", write)  # the same, without a second of reading
    monkeypatch.setattr(health, "NUM_TOKENS", 8)
    monkeypatch.setattr(health, "FEWEST_CACHED", 16)
    monkeypatch.setattr(health, "LONG", health.LONG[:200])
    found = checked(spec, llama_server)
    assert not found.ok
    assert [one.name for one in found.findings if not one.ok] == [wrong]


def checked(spec: ModelSpec, binary: Path) -> Health:
    bundled = runtime.launch(spec, health.NUM_CTX, EngineSettings())
    return health.check(bundled, replace(bundled, binary=str(binary), takes_socket=True))
