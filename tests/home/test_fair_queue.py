"""The queue at home: turns between devices, and never more at work than there is room for."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.errors import HomeBusyError
from ondol.home.fair_queue import FairQueue, Ticket


def order(queue: FairQueue, at_work: Ticket, tickets: dict[str, Ticket]) -> list[str]:
    """The names of ``tickets`` in the order of being called in, one after the other."""
    called: list[str] = []
    while tickets:
        with at_work:
            pass
        (name,) = [name for name, ticket in tickets.items() if ticket.began]
        called.append(name)
        at_work = tickets.pop(name)
    with at_work:
        pass
    return called


def test_devices_take_turns() -> None:
    queue = FairQueue(1, 20)
    first = queue.join("a")
    tickets = {f"a{n}": queue.join("a") for n in range(4)}
    tickets |= {"b0": queue.join("b"), "b1": queue.join("b"), "c0": queue.join("c")}
    assert order(queue, first, tickets) == ["a0", "b0", "c0", "a1", "b1", "a2", "a3"]


def test_room_is_taken_at_once() -> None:
    queue = FairQueue(2, 1)
    assert [queue.join("a").began > 0, queue.join("a").began > 0] == [True, True]
    waiting = queue.join("b")
    assert not waiting.began and queue.load("b").waiting == 1


def test_full_queue_refuses_and_says_how_long() -> None:
    queue = FairQueue(1, 2)
    queue.join("a")
    queue.join("a")
    queue.join("b")
    with pytest.raises(HomeBusyError) as refused:
        queue.join("c")
    assert refused.value.retry_after_seconds >= 1


def test_one_device_cannot_fill_the_queue() -> None:
    queue = FairQueue(1, 4)
    queue.join("a")
    queue.join("a")
    queue.join("a")
    with pytest.raises(HomeBusyError):
        queue.join("a")
    queue.join("b")
    queue.join("c")


def test_cancelled_place_is_given_up() -> None:
    queue = FairQueue(1, 4)
    at_work, waiting, last = queue.join("a"), queue.join("b"), queue.join("c")
    waiting.cancel()
    waiting.cancel()
    assert waiting.wait() is False
    assert queue.load("b").waiting == 1
    with at_work:
        pass
    assert last.wait() is True


def test_cancelling_ends_a_wait_in_another_thread() -> None:
    queue = FairQueue(1, 4)
    queue.join("a")
    waiting = queue.join("b")
    result: list[bool] = []
    thread = threading.Thread(target=lambda: result.append(waiting.wait()))
    thread.start()
    waiting.cancel()
    thread.join(30)
    assert result == [False]


def test_wait_is_longer_for_who_has_more_waiting() -> None:
    queue = FairQueue(1, 20)
    queue.join("a")
    for _ in range(5):
        queue.join("a")
    assert 0 < queue.load("b").wait_seconds < queue.load("a").wait_seconds
    assert FairQueue(1, 1).load("a").wait_seconds == 0


@settings(max_examples=60)
@given(
    slots=st.integers(1, 3),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["join", "leave", "cancel"]))),
)
def test_nobody_is_lost_and_the_room_is_used(slots: int, steps: list[tuple[str, str]]) -> None:
    queue = FairQueue(slots, 6)
    known: list[Ticket] = []
    for device, step in steps:
        mine = [ticket for ticket in known if ticket.device == device]
        if step == "join":
            try:
                known.append(queue.join(device))
            except HomeBusyError:
                assert len(mine) >= 3 or len(known) >= 6
        elif mine and step == "leave" and mine[0].began:
            known.remove(mine[0])
            with mine[0]:
                pass
        elif mine and step == "cancel" and not mine[-1].began:
            known.remove(mine[-1])
            mine[-1].cancel()
        load = queue.load(device)
        at_work = sum(ticket.began > 0 for ticket in known)
        assert load.active == at_work == min(slots, len(known))
        assert load.waiting == len(known) - at_work
    while known:
        ticket = next(ticket for ticket in known if ticket.began)
        known.remove(ticket)
        with ticket:
            pass
    assert queue.load("a").active == 0
