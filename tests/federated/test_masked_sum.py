"""Whoever leaves, home gets the exact sum of the vectors that came, or nothing."""

from __future__ import annotations

from collections import Counter
from itertools import combinations_with_replacement

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import MaskingError
from ondol.federated.masking import graph
from ondol.federated.masking.session import SMALLEST_SUM, Session
from tests.federated.masked_round import STAYS, STEPS, Round, session


def has_a_sum(count: int, threshold: int, leaves: Counter[int]) -> bool:
    """By arithmetic alone: enough members at each step, and of the vectors enough for a sum."""
    left = count
    for step, name in enumerate(STEPS):
        left -= leaves[step]
        vectors = max(threshold, SMALLEST_SUM)
        if left < (vectors if name in ("keys", "shares", "mask") else threshold):
            return False
    return True


def check(count: int, threshold: int, leaving: tuple[int, ...], **kind: int) -> None:
    masked = Round(session(count, threshold=threshold, **kind))
    masked.leaves = dict(zip(masked.session.roster, leaving, strict=True))
    if has_a_sum(count, threshold, Counter(leaving)):
        assert np.array_equal(masked.sum(), masked.plain_sum())
        stayed = [n for n, step in masked.leaves.items() if step > STEPS.index("mask")]
        assert masked.adder.stayed == stayed
    else:
        with pytest.raises(MaskingError):
            masked.sum()


@pytest.mark.parametrize(("count", "threshold"), [(3, 2), (4, 3)])
def test_sum_is_exact_or_refused_for_every_way_of_leaving(count: int, threshold: int) -> None:
    for leaving in combinations_with_replacement(range(STAYS + 1), count):
        check(count, threshold, leaving)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_sum_is_exact_for_any_ring_threshold_and_leaving(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 9), "count")
    threshold = data.draw(st.integers(count // 2 + 1, count), "threshold")
    often_stays = st.one_of(st.just(STAYS), st.integers(0, STAYS))
    leaving = data.draw(st.lists(often_stays, min_size=count, max_size=count), "leaving")
    bits = data.draw(st.integers(1, 32), "bits")
    check(count, threshold, tuple(leaving), bits=bits, length=data.draw(st.integers(1, 40)))


def test_sum_is_exact_over_blocks_of_the_stream() -> None:
    masked = Round(session(3, bits=20, length=(1 << 20) // 4 + 3), leaves={})
    assert np.array_equal(masked.sum(), masked.plain_sum())


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**32))
def test_sum_is_exact_where_each_shares_with_a_few_only(number: int) -> None:
    random = np.random.default_rng(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, "MOST_NEIGHBOURS", 8)
        patch.setattr(graph, "NEIGHBOURS_THRESHOLD", 6)
        masked = Round(session(14, threshold=8))
        steps = random.choice([1, 2, 3, 4], 2)
        masked.leaves = dict(zip(random.choice(list(masked.vectors), 2, False), steps, strict=True))
        assert np.array_equal(masked.sum(), masked.plain_sum())


def test_sum_fails_where_a_neighbourhood_lost_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "MOST_NEIGHBOURS", 4)
    monkeypatch.setattr(graph, "NEIGHBOURS_THRESHOLD", 3)
    masked = Round(session(14, threshold=8))
    request = masked.survivors()
    gone = masked.adder._circle().graph.neighbours(14)[:3]
    there = [node for node in masked.masked if node not in gone]
    answers = {node: masked.members[node].unmask(request) for node in there}
    with pytest.raises(MaskingError, match="2 devices are left in the round, and 3 are needed"):
        masked.adder.sum(masked.masked, answers)


@pytest.mark.parametrize("step", STEPS)
def test_who_answers_late_is_out_and_the_rest_goes_on(step: str) -> None:
    masked = Round(session(5, threshold=3), leaves={15: STEPS.index(step)})
    assert np.array_equal(masked.sum(), masked.plain_sum())
    before = masked.adder.relay_keys({})
    late = {15: masked.members[15].keys()}
    assert masked.adder.relay_keys(late) == before
    assert set(masked.adder.stayed) == {11, 12, 13, 14} | ({15} if step in STEPS[3:] else set())


@pytest.mark.parametrize(
    ("count", "least", "threshold"),
    [(3, 0, 2), (4, 0, 3), (5, 0, 4), (100, 0, 67), (9, 8, 8), (3, 9, 3)],
)
def test_threshold_is_two_thirds_or_what_the_plan_asks(
    count: int, least: int, threshold: int
) -> None:
    assert Session.threshold_for(count, least) == threshold
