"""This device's part in its federations, going on in the background for as long as somebody holds
it: hears from home how each stands, comes to the rounds of those that run, and puts what came of
them through the gate when nobody is answered.

Whatever goes wrong with one is told in its ``Standing`` and tried again; nothing is raised.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ondol import idle, paths
from ondol.errors import ClosingError, OndolError, TrainingError
from ondol.household import adopting, joining, layouts, leaving
from ondol.household.device import FederatedDevice
from ondol.household.federations import Federation, Federations
from ondol.household.joining import join, look
from ondol.household.leaving import leave
from ondol.household.readiness import readiness
from ondol.i18n import t
from ondol.models.locks import hold
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.flower.node import Node
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


class _Taken:
    """One federation that is taken part in: its device, and its link while home runs it."""

    def __init__(
        self, parts: Parts, one: Federation, make: Callable[[Path], Learning] | None
    ) -> None:
        self._parts, self._one = parts, one
        self._device = FederatedDevice(parts, one.id, make)
        self._node: Node | None = None
        self._port: int | None = None
        self._locks = ExitStack()
        try:
            place = paths.ensure(leaving.folder(one.id)) / "node.lock"
            self._locks.enter_context(hold(place, _busy))
        except BaseException:
            self._device.close()
            raise

    @property
    def link(self) -> str:
        return self._node.condition.state if self._node is not None else ""

    def follow(self, port: int | None) -> None:
        """Be where the rounds are, or nowhere."""
        if port == self._port:
            return
        self._leave()
        if port is not None:
            self._come(port)
        self._port = port

    def _come(self, port: int) -> None:
        from ondol.federated.chunks import ChunkedDevice, longest
        from ondol.federated.flower.node import Node
        from ondol.federated.flower.node_key import NodeKey

        one, homes = self._one, self._parts.oversight.homes
        self._node = Node(
            ChunkedDevice(self._device, longest(layouts.layout_for(self._parts, one.plan).size)),
            leaving.folder(one.id) / "link",
            link_url(one.url, port),
            one.home.hex(),
            one.me.node,
            NodeKey.of(homes.identity, one.id),
            self._parts.egress,
        )

    def _leave(self) -> None:
        node, self._node, self._port = self._node, None, None
        if node is not None:
            node.close()

    def close(self) -> None:
        self._leave()
        self._device.close()
        self._locks.close()


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
        self._taken: dict[str, _Taken] = {}
        self._standings: dict[str, Standing] = {}
        self._wake, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own."""
        run = copy_context().run
        work = lambda: run(self._run)  # noqa: E731
        self._thread = threading.Thread(target=work, name="ondol-federations", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Look now: something was joined, left, paused."""
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

    def look(self) -> None:
        """Look after all of them, once."""
        with Federations.open() as kept:
            found = {one.id: one for one in kept.all() if one.state != "ended"}
        for id in self._taken.keys() - found.keys():
            self._taken.pop(id).close()
        for id in self._standings.keys() - found.keys():
            del self._standings[id]
        for one in found.values():
            self._say(self._looked_after(one))

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._wake.clear()
                before = self.standings
                try:
                    self.look()
                except OndolError:
                    pass  # the library is locked or busy: again at the next look
                is_same = self.standings == before
                longer = min(2 * self._pause_seconds, self._longest_seconds)
                self._pause_seconds = longer if is_same else self._look_seconds
                if self._wake.wait(self._pause_seconds):
                    self._pause_seconds = self._look_seconds
        finally:
            for taken in self._taken.values():
                taken.close()
            self._taken.clear()

    def _looked_after(self, one: Federation) -> Standing:
        try:
            one, told = joining.sync(self._parts, one.id)
            runs = told.state == "running" and one.state == "active"
            taken = self._taken.get(one.id)
            if taken is None and runs:
                taken = self._taken[one.id] = _Taken(self._parts, one, self._make)
            if taken is not None:
                taken.follow(told.port if runs else None)
            if adopting.is_waiting(one.id) and not idle.is_answering():
                adopting.adopt(self._parts, one.id, self._heed)
            link = taken.link if taken is not None else ""
            return Standing(one.id, one.name, told.state, link)
        except OndolError as error:
            return self._failed(one, error.message)
        except Exception as error:
            # What nobody foresaw in one must not end the thread of all.
            _log.error("A federation was not looked after: %s", type(error).__name__)
            return self._failed(one, t("server.unexpected"))

    def _failed(self, one: Federation, why: str) -> Standing:
        taken = self._taken.get(one.id)
        return Standing(one.id, one.name, "", taken.link if taken is not None else "", why)

    def _heed(self, done: int, total: int) -> None:
        """Let a gate that is half through be: it begins anew the next time."""
        if self._closing.is_set():
            raise ClosingError("")

    def _say(self, now: Standing) -> None:
        if self._standings.get(now.id) != now:
            self._standings[now.id] = now
            self._on_change(now)


def link_url(home: str, port: int) -> str:
    """Where the rounds are of the home at the address ``home``."""
    host = urlsplit(home).hostname or ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _busy() -> Any:
    from ondol.i18n import t

    raise TrainingError(t("household.taken_elsewhere"), t("household.taken_elsewhere_hint"))
