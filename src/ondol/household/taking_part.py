"""This device's part in its federations, going on in the background for as long as somebody holds
it: hears from home how each stands, comes to the rounds of those that run, and puts what came of
them through the gate when nobody is answered.

Whatever goes wrong with one is told in its ``Standing`` and tried again; nothing is raised.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import idle
from ondol.errors import ClosingError, OndolError
from ondol.household import adopting, joining
from ondol.household.device import Doing
from ondol.household.federations import Federation, Federations
from ondol.household.joining import join, look
from ondol.household.leaving import leave
from ondol.household.presence import Presence
from ondol.household.readiness import readiness
from ondol.i18n import t
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.learning.strategies import Learning

__all__ = ["Standing", "TakingPart", "join", "leave", "look", "pause", "readiness", "resume"]

_log = logging.getLogger(__name__)

LOOK_SECONDS, LONGEST_SECONDS = 20.0, 900.0
"""Between two looks: longer and longer while nothing changes, for each is a request to home and two
entries of the ledger."""


def pause(parts: Parts, wanted: str = "") -> Federation:
    """Take part in no further round until ``resume``; one that ended stays so."""
    return _switch(wanted, "active", "paused")


def resume(parts: Parts, wanted: str = "") -> Federation:
    """Take part again."""
    return _switch(wanted, "paused", "active")


def _switch(wanted: str, before: str, after: Any) -> Federation:
    with Federations.open() as kept:
        one = kept.get(wanted)
        return kept.set_state(one.id, after) if one.state == before else one


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with one federation now. ``link`` is "", or how the way to home's rounds is
    (``flower.node``); ``failure`` a sentence, or ""."""

    id: str
    name: str
    home_state: str = ""
    link: str = ""
    failure: str = ""


class TakingPart:
    """Of one process. ``start`` it, ``close`` it in the end. ``on_change`` is told how it stands
    with a federation whenever that changed. ``make`` as ``Learner`` has it."""

    def __init__(
        self,
        parts: Parts,
        on_change: Callable[[Standing], None] = lambda standing: None,
        *,
        look_seconds: float = LOOK_SECONDS,
        longest_seconds: float = LONGEST_SECONDS,
        make: Callable[[Path], Learning] | None = None,
    ) -> None:
        self._parts, self._on_change = parts, on_change
        self._look_seconds, self._longest_seconds = look_seconds, longest_seconds
        self._pause_seconds, self._make = look_seconds, make
        self._taken: dict[str, Presence] = {}
        self._judging: dict[str, tuple[int, int]] = {}
        self._standings: dict[str, Standing] = {}
        self._wake, self._closing = threading.Event(), threading.Event()
        self._is_asked = self._has_news = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        run = copy_context().run
        work = lambda: run(self._run)  # noqa: E731
        self._thread = threading.Thread(target=work, name="ondol-federations", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look now: something was joined, left, paused."""
        self._is_asked = True
        self._wake.set()

    def hear(self) -> None:
        """Something came of a round: look soon. It is home that says so: never sooner after the
        last look than looks follow each other anyhow."""
        self._has_news = True
        self._wake.set()

    def close(self) -> None:
        """Leave every link; rounds under way go on when somebody takes part again."""
        self._closing.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()

    @property
    def standings(self) -> list[Standing]:
        """How it stands with each, as it was at the last look."""
        return list(self._standings.values())

    def doing(self, id: str) -> Doing | None:
        """What this device does in a round of that one now."""
        taken = self._taken.get(id)
        return taken.doing if taken is not None else None

    def judging(self, id: str) -> tuple[int, int] | None:
        """How many of how many questions this device's gate has asked, while it judges."""
        return self._judging.get(id)

    def look(self) -> None:
        """Look after all of them, once."""
        with Federations.open() as kept:
            found = {one.id: one for one in kept.all() if is_looked_after(one)}
        for id in self._taken.keys() - found.keys():
            self._taken.pop(id).close()
        for id in self._standings.keys() - found.keys():
            del self._standings[id]
        for one in found.values():
            self._say(self._looked_after(one))

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._is_asked = self._has_news = False
                before = self.standings
                try:
                    self.look()
                except OndolError:
                    pass  # the library is locked or busy: again at the next look
                is_same = self.standings == before
                longer = min(2 * self._pause_seconds, self._longest_seconds)
                self._pause_seconds = longer if is_same else self._look_seconds
                if self._rest():
                    self._pause_seconds = self._look_seconds
        finally:
            for taken in self._taken.values():
                taken.close()
            self._taken.clear()

    def _rest(self) -> bool:
        """Until the next look; whether somebody wanted it before its time."""
        now = time.monotonic()
        soonest, latest = now + self._look_seconds, now + self._pause_seconds
        while not self._closing.is_set() and not self._is_asked:
            left = (soonest if self._has_news else latest) - time.monotonic()
            if left <= 0:
                return self._has_news
            self._wake.wait(left)
            self._wake.clear()
        return True

    def _looked_after(self, one: Federation) -> Standing:
        try:
            if one.state == "ended":  # what came of it waits to be judged
                self._judge(one)
                known = one.reason if one.reason in joining.STATES else ""
                return Standing(one.id, one.name, known)
            one, told = joining.sync(self._parts, one.id)
            runs = told.state == "running" and one.state == "active"
            taken = self._taken.get(one.id)
            if taken is None and runs:
                taken = self._taken[one.id] = Presence(self._parts, one, self._make, self.wake)
            if taken is not None:
                taken.follow(told.port if runs else None)
            self._judge(one)
            link = taken.link if taken is not None else ""
            return Standing(one.id, one.name, told.state, link)
        except OndolError as error:
            return self._failed(one, error.message)
        except Exception as error:
            # What nobody foresaw in one must not end the thread of all.
            _log.error("A federation was not looked after: %s", type(error).__name__)
            return self._failed(one, t("server.unexpected"))

    def _judge(self, one: Federation) -> None:
        if not adopting.is_waiting(one.id) or idle.is_answering():
            return
        self._judging[one.id] = (0, 0)
        try:
            adopting.adopt(self._parts, one.id, partial(self._heed, one.id))
        finally:
            del self._judging[one.id]

    def _failed(self, one: Federation, why: str) -> Standing:
        taken = self._taken.get(one.id)
        return Standing(one.id, one.name, "", taken.link if taken is not None else "", why)

    def _heed(self, id: str, done: int, total: int) -> None:
        """Let a gate that is half through be: it begins anew the next time."""
        self._judging[id] = (done, total)
        if self._closing.is_set():
            raise ClosingError("")

    def _say(self, now: Standing) -> None:
        if self._standings.get(now.id) != now:
            self._standings[now.id] = now
            self._on_change(now)


def is_looked_after(one: Federation) -> bool:
    """Whether there is anything to do for ``one``: a gate that somebody's question or a kill held
    up is gone through when home has ended the federation, too."""
    return one.state != "ended" or (one.reason != "left" and adopting.is_waiting(one.id))
