"""Who shares with whom in large rounds, and what that is worth."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from ondol.federated.masking.graph import MOST_NEIGHBOURS, NEIGHBOURS_THRESHOLD, Graph

LARGE = range(1, 1001)


def test_everybody_shares_with_everybody_in_small_rounds() -> None:
    small = Graph(b"t" * 32, range(1, MOST_NEIGHBOURS + 2), threshold=250)
    assert small.neighbours(7) == [n for n in range(1, MOST_NEIGHBOURS + 2) if n != 7]
    assert small.threshold == 250
    assert sorted(small.point(n) for n in range(1, MOST_NEIGHBOURS + 2))[0] == 1


def test_large_graph_is_mutual_and_regular() -> None:
    large = Graph(b"t" * 32, LARGE, threshold=667)
    neighbours = {node: set(large.neighbours(node)) for node in LARGE}
    assert {len(others) for others in neighbours.values()} == {MOST_NEIGHBOURS}
    assert all(node in neighbours[other] for node in LARGE for other in neighbours[node])
    assert all(node not in neighbours[node] for node in LARGE)
    assert sorted(large.point(node) for node in LARGE) == list(LARGE)
    assert large.threshold == NEIGHBOURS_THRESHOLD


def test_large_graph_is_another_for_other_keys_and_the_same_for_all_members() -> None:
    one = Graph(b"t" * 32, LARGE, threshold=667)
    assert one.neighbours(5) == Graph(b"t" * 32, list(reversed(LARGE)), threshold=667).neighbours(5)
    assert one.neighbours(5) != Graph(b"u" * 32, LARGE, threshold=667).neighbours(5)


def at_least(wanted: int, bad: int, count: int) -> Fraction:
    """The chance that ``wanted`` or more of a member's neighbours are among ``bad`` members."""
    ways = (
        comb(bad, n) * comb(count - 1 - bad, MOST_NEIGHBOURS - n)
        for n in range(wanted, min(bad, MOST_NEIGHBOURS) + 1)
    )
    return Fraction(sum(ways), comb(count - 1, MOST_NEIGHBOURS))


@pytest.mark.parametrize("count", [302, 600, 1000])
def test_degree_is_worth_what_the_documentation_says(count: int) -> None:
    holders = MOST_NEIGHBOURS + 1
    # A tenth is on home's side. Of nobody's neighbours are so many that the rest can be told of in
    # two ways (the threshold is more than half of the holders and of those together),
    least = 2 * NEIGHBOURS_THRESHOLD - holders
    assert count * at_least(least, count // 10, count) < Fraction(1, 2**80)
    # nor so many that fewer than 111 honest ones must have answered for a member in the sum.
    assert NEIGHBOURS_THRESHOLD - (least - 1) == 111
    # A fifth, or a quarter, leaves: of nobody's secrets are too few shares left.
    too_many = holders - NEIGHBOURS_THRESHOLD
    assert count * at_least(too_many, count // 5, count) < Fraction(1, 2**40)
    assert count * at_least(too_many, count // 4, count) < Fraction(1, 10_000)
