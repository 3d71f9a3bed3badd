"""Intervals: seeded, within the values, from groups and never from single questions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.training.bootstrap import difference, mean

VALUE = st.one_of(st.none(), st.floats(0, 1))
PAIRS = st.lists(st.tuples(st.sampled_from("abcdef"), VALUE, VALUE), min_size=1, max_size=30).map(
    lambda rows: tuple(list(column) for column in zip(*rows, strict=True))
)
FEW = settings(max_examples=40, deadline=None)


@FEW
@given(PAIRS)
def test_an_interval_stays_within_the_values(rows) -> None:
    groups, values, _ = rows
    known = [v for v in values if v is not None]
    found = mean(groups, values)
    assert found.n == len(known)
    if not known:
        assert math.isnan(found.value)
        return
    assert found.value == pytest.approx(sum(known) / len(known))
    if not math.isnan(found.low):
        assert min(known) - 1e-9 <= found.low <= found.high <= max(known) + 1e-9


@FEW
@given(PAIRS)
def test_nothing_changed_is_exactly_no_difference(rows) -> None:
    groups, values, _ = rows
    found = difference(groups, values, values)
    if found.n:
        assert found.value == 0
        assert math.isnan(found.low) or found.low == found.high == 0


@FEW
@given(PAIRS)
def test_a_difference_turns_around_with_its_sides(rows) -> None:
    groups, before, after = rows
    there, back = difference(groups, before, after), difference(groups, after, before)
    assert there.n == back.n
    if not math.isnan(there.value):
        assert there.value == pytest.approx(-back.value)
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low), nan_ok=True)


def test_the_same_values_give_the_same_interval() -> None:
    groups, values = list("aabbccdd"), [0, 1, 1, 1, 0, 0, 1, 0]
    assert mean(groups, values) == mean(groups, values)


def test_questions_of_one_article_count_as_one_observation() -> None:
    values = [1.0] * 50 + [0.0] * 50
    articles = mean(["a"] * 50 + ["b"] * 50, values)
    alone = mean([str(i) for i in range(100)], values)
    assert (articles.low, articles.high) == (0, 1)
    assert alone.high - alone.low < 0.25


def test_one_article_says_nothing_of_the_spread() -> None:
    found = mean(["a"] * 9, [1.0] * 9)
    assert found.value == 1
    assert math.isnan(found.low) and math.isnan(found.high)


def test_a_paired_difference_is_surer_than_two_intervals() -> None:
    groups = [str(i) for i in range(40)]
    before = [i / 40 for i in range(40)]
    after = [value + 0.02 for value in before]
    found = difference(groups, before, after)
    assert found.low == pytest.approx(0.02) == found.high
    assert mean(groups, before).high > mean(groups, after).low
