"""Further answers to the same prompt: how far they agree with the one that was given
(benchmarks/confidence/meanings.py)."""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks" / "confidence"))

from meanings import Meaning, agreeing, of_samples

NOT_THERE = "Not in these documents."
ANSWERS = (
    NOT_THERE,
    "not in these documents.",
    "이 문서들에는 없습니다.",
    "Bay of Knots [1]",
    "the Bay of Knots [2]",
    "Knots",
    "1,850 [1]",
    "1850",
    "no",
    "not",
    "",
    "[1]",
    "서울에서 [2]",
)
answers = some.sampled_from(ANSWERS) | some.text(max_size=12)
samples = some.lists(answers, min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(answers, samples)
def test_every_signal_stays_within_its_bounds(said: str, drawn: list[str]) -> None:
    found = of_samples(said, drawn)
    entropy = next(value for name, value in found.items() if name.endswith("_entropy"))
    assert -1e-9 <= entropy <= math.log(len(drawn) + 1) + 1e-9
    assert all(0.0 <= v <= 1.0 for name, v in found.items() if not name.endswith("_entropy"))
    assert agreeing(said, drawn) == round(_of(found, "agree") * len(drawn))


@settings(max_examples=60, deadline=None)
@given(answers, samples, some.integers(0, 100))
def test_the_order_of_the_samples_changes_nothing(said: str, drawn: list[str], seed: int) -> None:
    mixed = random.Random(seed).sample(drawn, len(drawn))
    before, after = of_samples(said, drawn), of_samples(said, mixed)
    assert after == pytest.approx(before)


@settings(max_examples=60, deadline=None)
@given(answers, some.integers(1, 8))
def test_an_answer_said_again_and_again_agrees_with_itself(said: str, count: int) -> None:
    found = of_samples(said, [said] * count)
    assert _of(found, "agree") == 1.0
    assert _of(found, "entropy") == _of(found, "distinct") == _of(found, "rival") == 0.0
    assert {found.get("samples_f1", 1.0), found.get("samples_cite", 1.0)} == {1.0}


@given(answers, answers)
def test_agreement_is_mutual(one: str, other: str) -> None:
    assert Meaning.of(one).agrees(Meaning.of(other)) == Meaning.of(other).agrees(Meaning.of(one))


@pytest.mark.parametrize(
    ("said", "sample", "agree"),
    [
        ("the Bay of Knots [1]", "Bay of Knots [2]", True),
        ("about 23 days [1]", "23 days", True),
        ("1,850 [1]", "1850 [1]", True),
        ("a marriage contract of 1541 [1]", "a marriage contract", True),
        ("96,000 [1]", "1900 [1]", False),
        ("Emile Dautry [1]", NOT_THERE, False),
        (NOT_THERE, "not in these documents.", True),
        (NOT_THERE, "이 문서들에는 없습니다.", True),
        ("Ruth Ansell [1]", "Ruth Anselm [1]", False),
        ("nine [1]", "9 [1]", True),
        ("yes", "no", False),
        ("no", "No [1]", True),
    ],
)
def test_whether_two_answers_are_one(said: str, sample: str, agree: bool) -> None:
    assert agreeing(said, [sample]) == agree


def test_what_the_samples_of_an_answer_say() -> None:
    drawn = ["Bay of Knots [2]", "the Sea of Glass [1]", NOT_THERE, "Sea of Glass"]
    found = of_samples("the Bay of Knots [1]", drawn)
    assert found["samples_agree"] == 0.25
    assert found["samples_abstain"] == 0.25
    assert found["samples_rival"] == 0.5
    assert found["samples_distinct"] == 0.5  # two other answers of four
    assert found["samples_cite"] == 0.25
    shares = (0.4, 0.4, 0.2)
    assert found["samples_entropy"] == pytest.approx(-sum(p * math.log(p) for p in shares))


def test_an_abstention_has_signals_of_its_own() -> None:
    found = of_samples(NOT_THERE, [NOT_THERE, "nine [1]", "nine states [2]", NOT_THERE])
    assert {name.partition("_")[0] for name in found} == {"abstained"}
    assert found["abstained_samples_agree"] == found["abstained_samples_rival"] == 0.5


def test_without_samples_there_are_no_signals() -> None:
    assert of_samples("nine [1]", []) == {}
    assert agreeing("nine [1]", []) == 0


def _of(found: dict[str, float], name: str) -> float:
    return next(value for key, value in found.items() if key.endswith(f"samples_{name}"))
