"""Which way is chosen: the fastest for what the owner asks, unless it costs something."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.lab.tuning.choosing import Row, choose, is_better, judged
from ondol.lab.tuning.mix import FEWEST, Mix, mix_of
from ondol.ledger.entries import Entry
from ondol.training.bootstrap import Estimate

MIX = Mix()
PLENTY = 8 << 30


def estimate(low: float, high: float) -> Estimate:
    return Estimate((low + high) / 2, low, high, 1000)


ORIGINAL = Row("Q4_1", 98, 370, prefill=110.0, decode=35.0, is_original=True)
FAST = Row("BF16", 244, 520, prefill=400.0, decode=40.0, loss=estimate(-0.001, 0.002))


def verdict(row: Row, original: Row = ORIGINAL, memory: int = PLENTY) -> str:
    return judged(row, original, MIX, memory).refused


def test_what_is_faster_and_costs_nothing_is_chosen() -> None:
    rows = [ORIGINAL, judged(FAST, ORIGINAL, MIX, PLENTY)]
    assert choose(rows, MIX) is rows[1]
    assert ORIGINAL.seconds(MIX) == pytest.approx(480 / 110 + 64 / 35)


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"loss": estimate(0.19, 0.21)}, "perplexity"),
        ({"loss": estimate(0.005, 0.011)}, "perplexity"),  # not sure enough
        ({"loss": None}, "unproven"),
        ({"loss": Estimate(0.0, math.nan, math.nan, 1)}, "unproven"),
        ({"prefill": 100.0, "decode": 30.0}, "slower"),
        ({"prefill": 112.0, "decode": 35.5}, "slower"),  # two measurements of the same
        ({"resident_bytes": PLENTY + 1}, "memory"),
        ({"accuracy_change": estimate(-0.4, -0.1)}, "accuracy"),
        ({"accuracy_change": estimate(-0.2, 0.1)}, ""),  # within chance
        ({"loss": estimate(-0.05, -0.01)}, ""),
    ],
)
def test_what_costs_something_is_only_offered(changes: dict, refused: str) -> None:
    row = judged(replace(FAST, **changes), ORIGINAL, MIX, PLENTY)
    assert row.refused == refused
    assert choose([ORIGINAL, row], MIX) is (ORIGINAL if refused else row)


def test_long_answers_choose_another_format_than_long_questions() -> None:
    reader = replace(FAST, format="F16", prefill=400.0, decode=30.0)
    writer = replace(FAST, format="Q8_0", prefill=150.0, decode=60.0)
    rows = [ORIGINAL, reader, writer]
    assert choose(rows, Mix(2000, 20)).format == "F16"
    assert choose(rows, Mix(50, 800)).format == "Q8_0"


def test_what_failed_is_never_chosen() -> None:
    row = Row("Q8_0", 140, refused="failed", reason="broken")
    assert choose([ORIGINAL, row], MIX) is ORIGINAL
    assert verdict(row) == "failed"
    assert row.json(MIX)["seconds"] is None


def test_variant_must_beat_its_own_noise() -> None:
    steady = replace(FAST, prefill=420.0, decode=42.0, prefill_spread=1.0, decode_spread=0.1)
    assert is_better(steady, FAST, MIX)
    assert not is_better(replace(steady, prefill_spread=90.0, decode_spread=9.0), FAST, MIX)


@given(
    st.lists(
        st.tuples(
            st.floats(1, 5000),
            st.floats(1, 500),
            st.floats(-0.5, 0.5),
            st.floats(0, 0.2),
            st.integers(1, 2 * PLENTY),
        ),
        max_size=6,
    )
)
def test_choice_is_never_slower_nor_worse_than_what_came(measured: list) -> None:
    rows = [ORIGINAL]
    for number, (prefill, decode, low, more, memory) in enumerate(measured):
        loss = estimate(low, low + more)
        row = Row(str(number), 1, memory, prefill, decode, loss=loss)
        rows.append(judged(row, ORIGINAL, MIX, PLENTY))
    chosen = choose(rows, MIX)
    assert chosen.seconds(MIX) <= ORIGINAL.seconds(MIX)
    if not chosen.is_original:
        assert chosen.loss is not None and chosen.loss.high <= 0.01
        assert chosen.resident_bytes <= PLENTY


def answer(prompt: int | None, said: int | None, route: str = "local") -> Entry:
    return Entry("answer", route=route, prompt_tokens=prompt, completion_tokens=said)


def test_mix_is_the_owners_once_there_are_enough_answers() -> None:
    few = [answer(100, 10)] * (FEWEST - 1)
    assert mix_of(few) == Mix()
    assert mix_of([*few, answer(300, 50)]) == Mix(110, 12, FEWEST)


def test_answers_from_home_and_those_without_a_model_are_no_part_of_the_mix() -> None:
    others = [answer(9000, 900, route="home"), answer(None, None), answer(0, 0)]
    assert mix_of(others * FEWEST) == Mix()


def test_energy_is_told_for_a_token_of_the_answer() -> None:
    row = replace(FAST, watts=10.0)
    assert row.joules_per_token(MIX) == pytest.approx(10 * row.seconds(MIX) / 64)
    assert FAST.joules_per_token(MIX) is None
