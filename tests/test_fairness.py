"""Turns between callers: nobody is lost, nobody waits longer than one round of the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.fairness import RoundRobin


def taken(line: RoundRobin[str]) -> list[str]:
    return [line.take() for _ in range(len(line))]


def test_callers_take_turns_and_each_is_served_in_order() -> None:
    line: RoundRobin[str] = RoundRobin()
    for item in ("a0", "a1", "a2", "a3", "b0", "b1", "c0"):
        line.add(item[0], item)
    assert taken(line) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_who_comes_back_waits_behind_who_came_meanwhile() -> None:
    line: RoundRobin[str] = RoundRobin()
    line.add("a", "a0")
    assert line.take() == "a0"
    line.add("b", "b0")
    line.add("a", "a1")
    assert taken(line) == ["b0", "a1"]


def test_what_leaves_is_not_taken_and_its_caller_loses_no_turn() -> None:
    line: RoundRobin[str] = RoundRobin()
    for item in ("a0", "a1", "b0"):
        line.add(item[0], item)
    line.remove("a", "a0")
    assert (line.count_of("a"), len(line), line.all()) == (1, 2, ["a1", "b0"])
    line.remove("b", "b0")
    assert taken(line) == ["a1"]
    with pytest.raises(ValueError, match="not in"):
        line.remove("a", "a1")
    with pytest.raises(IndexError):
        line.take()


@given(st.lists(st.sampled_from("abcd"), max_size=40), st.sampled_from("abcd"))
def test_a_newcomer_is_told_truly_how_many_go_before_it(known: list[str], who: str) -> None:
    line: RoundRobin[tuple[str, int]] = RoundRobin()
    for number, caller in enumerate(known):
        line.add(caller, (caller, number))
    told = line.ahead_of(who)
    line.add(who, (who, -1))
    order = [line.take() for _ in range(len(line))]
    assert sorted(order) == sorted([*enumerate_callers(known), (who, -1)])
    # One turn more or less of the others: it depends on whose turn it is.
    assert abs(order.index((who, -1)) - told) <= len(set(known))


def enumerate_callers(known: list[str]) -> list[tuple[str, int]]:
    return [(caller, number) for number, caller in enumerate(known)]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40))
def test_nobody_has_two_turns_while_another_waits_for_its_first(known: list[str]) -> None:
    line: RoundRobin[str] = RoundRobin()
    for caller in known:
        line.add(caller, caller)
    order = taken(line)
    assert sorted(order) == sorted(known)
    callers = set(known)
    assert set(order[: len(callers)]) == callers
