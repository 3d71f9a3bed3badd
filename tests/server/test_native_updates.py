"""Updates in the server: one at a time, stopped while they wait, told of when they are over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from ondol.errors import UpdateFailedError
from ondol.server.native.installing import Tell, Update, UpdateNotFoundError, Updates

WHAT = {"hub": "clinic", "publisher": "clinic", "item": "letters", "version": "", "name": ""}
OTHER = WHAT | {"item": "formal"}


@pytest.fixture
def updates() -> Iterator[Updates]:
    found = Updates()
    yield found
    found.close()


class Work:
    """Waits inside until it is let go; tells one step."""

    def __init__(self) -> None:
        self.began, self.go_on = threading.Event(), threading.Event()
        self.error: Exception | None = None

    def __call__(self, tell: Tell, cancel: threading.Event) -> dict[str, Any]:
        tell("fetch", 10, 40)
        self.began.set()
        assert self.go_on.wait(20)
        if self.error is not None:
            raise self.error
        return {"what": "installed"}


def ended(update: Update) -> Update:
    assert update.thread is not None
    update.thread.join(20)
    return update


def test_the_same_that_is_under_way_goes_on(updates: Updates) -> None:
    work = Work()
    first, is_new = updates.start("install", WHAT, work)
    assert is_new and work.began.wait(20)
    assert updates.start("install", dict(WHAT), Work()) == (first, False)
    assert (first.state, first.step, first.completed, first.total) == ("running", "fetch", 10, 40)
    work.go_on.set()
    assert ended(first).json()["outcome"] == {"what": "installed"} and first.state == "done"
    again, is_new = updates.start("install", WHAT, work)
    assert is_new and again.id != first.id
    # What came of the first one is no news any more.
    assert [one.id for one in updates.list()] == [again.id] and first.id in updates.removed
    ended(again)


def test_one_goes_on_at_a_time_and_who_waits_can_be_stopped(updates: Updates) -> None:
    work, second = Work(), Work()
    first, _ = updates.start("install", WHAT, work)
    assert work.began.wait(20)
    waiting, _ = updates.start("install", OTHER, second)
    assert waiting.state == "waiting"
    assert updates.stop(waiting.id).state == "stopped"
    ended(waiting)
    assert waiting.state == "stopped" and not second.began.is_set()
    work.go_on.set()
    assert ended(first).state == "done"


def test_what_fails_says_why_in_words(updates: Updates) -> None:
    work = Work()
    work.error = UpdateFailedError("It did not pass.", "Wait for a newer one.")
    work.go_on.set()
    update = ended(updates.start("install", WHAT, work)[0])
    assert update.state == "failed" and update.error is not None
    assert (update.error["code"], update.error["message"]) == ("update_failed", "It did not pass.")


def test_what_was_stopped_in_the_middle_is_no_failure(updates: Updates) -> None:
    work = Work()
    work.error = RuntimeError("called off")
    update, _ = updates.start("install", WHAT, work)
    assert work.began.wait(20)
    updates.stop(update.id)
    work.go_on.set()
    assert ended(update).state == "stopped" and update.error is None


def test_what_was_stopped_too_late_tells_what_was_done(updates: Updates) -> None:
    work = Work()
    update, _ = updates.start("install", WHAT, work)
    assert work.began.wait(20)
    updates.stop(update.id)
    work.go_on.set()
    assert ended(update).state == "done" and update.outcome == {"what": "installed"}


def test_what_is_removed_is_not_listed(updates: Updates) -> None:
    work = Work()
    work.go_on.set()
    update = ended(updates.start("evaluate", {"name": "law"}, work)[0])
    updates.remove(update.id)
    assert updates.list() == [] and updates.removed[update.id] == updates.number
    for deed in (updates.stop, updates.remove):
        with pytest.raises(UpdateNotFoundError):
            deed(update.id)
