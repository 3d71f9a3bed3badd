"""Installing and updating from a hub, in the server, whoever looks: start, stop, follow.

One at a time, for each may load a model to try it; the others wait their turn. What had arrived
stays where the hub's client keeps it, so that one that is started again goes on from there. Raises
``UpdateNotFoundError``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from uuid import uuid4

from ondol.errors import HubError
from ondol.i18n import t
from ondol.server.errors import body_in, failure_of

State = Literal["waiting", "running", "done", "failed", "stopped"]
Deed = Literal["install", "evaluate"]
UNFINISHED = ("waiting", "running")

SPEED_SECONDS = 4.0
KEPT = 50
"""So many that are over are listed; what was installed is told by its history."""


class UpdateNotFoundError(HubError):
    """No update of that id is under way, or was since the server began."""

    code = "update_not_found"
    status = 404


@dataclass(slots=True)
class Update:
    """One of them as it stands. ``step`` is what is done now, ``outcome`` what came of it;
    ``number`` is that of its latest event."""

    id: str
    deed: Deed
    what: dict[str, str]
    started_at: str
    state: State = "waiting"
    step: str = ""
    completed: int = 0
    total: int | None = None
    outcome: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    number: int = 0
    samples: list[tuple[float, int]] = field(default_factory=list)
    cancel: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def json(self) -> dict[str, Any]:
        """What the API says of it."""
        return {
            "id": self.id,
            "deed": self.deed,
            **self.what,
            "state": self.state,
            "step": self.step,
            "completed": self.completed,
            "total": self.total,
            "bytes_per_second": self._speed(),
            "started_at": self.started_at,
            "outcome": self.outcome,
            "error": self.error,
        }

    def tell(self, step: str, completed: int, total: int | None) -> None:
        """Take note of how far it is."""
        now = time.monotonic()
        if step != self.step:
            self.samples = []
        self.step, self.completed, self.total = step, completed, total
        self.samples = [one for one in self.samples if now - one[0] < SPEED_SECONDS]
        self.samples.append((now, completed))

    def _speed(self) -> int:
        if self.state != "running" or len(self.samples) < 2:
            return 0
        (began, before), (latest, after) = self.samples[0], self.samples[-1]
        if time.monotonic() - latest > SPEED_SECONDS / 2:
            return 0
        return int(max(0, after - before) / max(latest - began, 0.1))


Tell = Callable[[str, int, int | None], None]
Work = Callable[[Tell, threading.Event], dict[str, Any]]
"""Does it; tells its step, and how much of it is done of all (bytes of "fetch", questions of a
gate); gives the outcome."""


class Updates:
    """All of one server; safe to use from several threads. ``changed`` is notified at every event;
    ``number`` counts them, and goes on rising over restarts."""

    def __init__(self) -> None:
        self._updates: dict[str, Update] = {}
        self._turn = threading.Lock()
        self.changed = threading.Condition()
        self.number = self.first_number = int(time.time() * 1000)
        self.removed: dict[str, int] = {}
        self.closed = False

    def list(self) -> list[Update]:
        """Every one since the server began, the oldest first."""
        with self.changed:
            return list(self._updates.values())

    def start(self, deed: Deed, what: dict[str, str], work: Work) -> tuple[Update, bool]:
        """Begin ``work``, and whether that is new: the same that is under way goes on instead."""
        with self.changed:
            for one in self._updates.values():
                if (one.deed, one.what) == (deed, what) and one.state in UNFINISHED:
                    return one, False
            self._drop_older(deed, what)
            at = datetime.now(UTC).isoformat(timespec="seconds")
            update = Update(uuid4().hex[:12], deed, what, at)
            self._updates[update.id] = update
            run = partial(copy_context().run, self._run, update, work)
            update.thread = threading.Thread(target=run, name="ondol-update", daemon=True)
            self._happened(update)
            update.thread.start()
            return update, True

    def stop(self, id: str) -> Update:
        """Stop one before it has switched anything; one that is over stays as it is."""
        with self.changed:
            update = self._get(id)
            update.cancel.set()
            if update.state == "waiting":
                update.state = "stopped"
                self._happened(update)
            return update

    def remove(self, id: str) -> None:
        """Stop one, and list it no more."""
        with self.changed:
            self._get(id).cancel.set()
            self._forget(id)
            self.changed.notify_all()

    def close(self) -> None:
        """Stop all of them."""
        with self.changed:
            self.closed = True
            going = [one for one in self._updates.values() if one.state in UNFINISHED]
            for one in going:
                one.cancel.set()
            self.changed.notify_all()
        for one in going:
            if one.thread is not None:
                one.thread.join(2)

    def _run(self, update: Update, work: Work) -> None:
        while not self._turn.acquire(timeout=0.2):
            if update.cancel.is_set():
                return self._end(update, "stopped")
        try:
            if update.cancel.is_set():
                return self._end(update, "stopped")
            with self.changed:
                update.state = "running"
                self._happened(update)
            outcome = work(partial(self._tell, update), update.cancel)
        except Exception as error:
            if update.cancel.is_set():
                return self._end(update, "stopped")
            return self._end(update, "failed", error=error)
        finally:
            self._turn.release()
        # Who stopped it too late is told what was done.
        self._end(update, "done", outcome)

    def _tell(self, update: Update, step: str, completed: int, total: int | None) -> None:
        with self.changed:
            update.tell(step, completed, total)
            self._happened(update)

    def _end(
        self,
        update: Update,
        state: State,
        outcome: dict[str, Any] | None = None,
        error: Exception | None = None,
    ) -> None:
        with self.changed:
            update.state, update.outcome = state, outcome
            if error is not None:
                update.error = body_in("native", failure_of(error))["error"]
            self._happened(update)

    def _get(self, id: str) -> Update:
        update = self._updates.get(id)
        if update is None:
            raise UpdateNotFoundError(t("hub_page.no_update"))
        return update

    def _drop_older(self, deed: Deed, what: dict[str, str]) -> None:
        """What came of an earlier try is no news once there is another; the oldest go, too."""
        over = [one for one in self._updates.values() if one.state not in UNFINISHED]
        for place, one in enumerate(over):
            is_same = one.deed == deed and _subject(one.what) == _subject(what)
            if is_same or place < len(over) - KEPT:
                self._forget(one.id)

    def _forget(self, id: str) -> None:
        del self._updates[id]
        self.number += 1
        self.removed[id] = self.number

    def _happened(self, update: Update) -> None:
        self.number += 1
        update.number = self.number
        self.changed.notify_all()


def _subject(what: dict[str, str]) -> tuple[str, ...]:
    """What it is about: an item, whatever it is to be called here, else a name."""
    if "item" in what:
        return what["hub"], what["publisher"], what["item"]
    return (what["name"],)
