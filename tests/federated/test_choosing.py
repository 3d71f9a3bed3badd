"""Who is asked for a round: everybody alike until sums are spoiled, then around those who may do
it."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.federated.choosing import LEAST, MOST, Cautious, cautious, even
from ondol.federated.coordinating.records import RoundRecord

NODES = range(1, 101)


def after(choose: Cautious, spoilers: set[int], rounds: int) -> list[tuple[set[int], bool]]:
    """Members of each round, and whether it was good; a spoiler spoils every sum it is in."""
    found = []
    for number in range(1, rounds + 1):
        members = set(choose(NODES, number))
        is_good = not members & spoilers
        choose.learn(members, is_good, None)
        found.append((members, is_good))
    return found


def test_as_long_as_all_is_well_the_choice_is_by_chance() -> None:
    found = after(Cautious(20), set(), 30)
    assert all(len(members) == 20 for members, _ in found)
    assert len(set().union(*(members for members, _ in found))) > 90


def test_after_spoiled_sums_it_finds_who_is_good() -> None:
    spoilers = set(Random(1).sample(NODES, 10))
    found = after(Cautious(20), spoilers, 60)
    assert sum(is_good for _, is_good in found[-20:]) >= 12
    # Blindly, one sum in eight would be good.
    good = set().union(*(members for members, is_good in found if is_good))
    assert len(good) > 50 and not good & spoilers


def test_who_was_in_a_spoiled_round_alone_is_known() -> None:
    choose = Cautious(10)
    choose.learn([1, 2, 3, 4], True, None)
    choose.learn([1, 2, 3, 9], False, None)
    assert choose.suspicion(9) > 0.9
    assert 9 not in choose(NODES, 5)


def test_a_sum_that_was_taken_but_did_harm_clears_nobody() -> None:
    choose = Cautious(10)
    choose.learn([1, 2, 3], True, 2.0)
    choose.learn([4, 5, 6], True, 2.05)
    assert choose.suspicion(4) > choose.suspicion(1) == LEAST


@settings(deadline=None)
@given(
    rounds=st.lists(
        st.tuples(
            st.sets(st.integers(1, 20), min_size=1, max_size=8),
            st.booleans(),
            st.none() | st.floats(0, 10),
        ),
        max_size=20,
    ),
    ready=st.sets(st.integers(1, 25), max_size=25),
    most=st.integers(3, 12),
)
def test_whatever_was_seen_the_choice_is_of_those_who_are_ready(
    rounds: list[tuple[set[int], bool, float | None]], ready: set[int], most: int
) -> None:
    choose = Cautious(most)
    for clients, is_taken, loss in rounds:
        choose.learn(clients, is_taken, loss)
        assert all(LEAST <= choose.suspicion(node) <= MOST for node in clients)
    chosen = choose(sorted(ready), 1)
    assert set(chosen) <= ready and len(set(chosen)) == len(chosen) <= most
    assert len(chosen) >= min(3, len(ready))


RECORDS = [
    RoundRecord(1, clients=(1, 2, 3), loss_canary=2.0),
    RoundRecord(2, clients=(4, 5, 6), rolled_back=True, failed="spoiled"),
    RoundRecord(3, failed="too few"),
    RoundRecord(4, clients=(4, 1, 2), rolled_back=True, failed="spoiled"),
]


def test_a_coordinator_that_was_killed_goes_on_with_what_its_records_say() -> None:
    first, second = (cautious(lambda: RECORDS, most=20)(NODES, 5) for _ in range(2))
    assert first == second and len(first) < 20
    assert 4 not in first and 3 in first


def test_who_is_busy_does_not_hold_up_the_others() -> None:
    choose = cautious(lambda: RECORDS, most=20)
    assert len({tuple(choose(NODES, 5)) for _ in range(10)}) > 1


def test_in_a_household_everybody_is_asked_whatever_happened() -> None:
    assert list(cautious(lambda: RECORDS, most=20)(range(1, 7), 5)) == [1, 2, 3, 4, 5, 6]


def test_evenly_chosen_devices_take_part_equally_often() -> None:
    times: dict[int, int] = {}
    for number in range(10):
        for node in even(NODES, times, 30, Random(number)):
            times[node] = times.get(node, 0) + 1
    assert set(times.values()) == {3}
