"""This device's part in its federations while the server is up: it begins when there is one, and
ends with the app. Who belongs to none has no thread for it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI

from ondol import paths
from ondol.errors import OndolError
from ondol.parts import Parts
from ondol.server.streaming import in_thread

if TYPE_CHECKING:
    from ondol.household.taking_part import TakingPart


class Federating:
    """Safe to use from several threads."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._taking_part: TakingPart | None = None
        self._is_closed = False

    def look(self) -> None:
        """Something was joined, left, paused or resumed, or the server begins: look after it."""
        with self._lock:
            if self._is_closed:
                return
            if self._taking_part is not None:
                self._taking_part.wake()
            elif _belongs_to_any():
                from ondol.household.taking_part import TakingPart

                self._taking_part = TakingPart(self._parts)
                self._taking_part.start()

    def standing(self, id: str) -> dict[str, Any] | None:
        """How it stands with one at home, as it was at the last look; None before the first."""
        taking_part = self._taking_part
        found = taking_part.standings if taking_part is not None else []
        return next(
            (
                {"home_state": one.home_state, "link": one.link, "failure": one.failure}
                for one in found
                if one.id == id
            ),
            None,
        )

    def under_way(self, id: str, told: Collection[int]) -> dict[str, Any] | None:
        """The round that this device is in now, and what it does there; None for one that home has
        ``told`` of already."""
        taking_part = self._taking_part
        doing = taking_part.doing(id) if taking_part is not None else None
        if doing is None or doing.round in told:
            return None
        return {"number": doing.round, "doing": doing.what}

    def gate(self, id: str) -> dict[str, Any] | None:
        """Whether what was shared waits for this device's gate, or how far that is with it."""
        from ondol.household.adopting import is_waiting

        taking_part = self._taking_part
        judging = taking_part.judging(id) if taking_part is not None else None
        if judging is not None:
            return {"state": "judging", "done": judging[0], "total": judging[1]}
        return {"state": "waiting", "done": 0, "total": 0} if is_waiting(id) else None

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            taking_part, self._taking_part = self._taking_part, None
        if taking_part is not None:
            taking_part.close()

    def go_with(self, routes: APIRouter) -> None:
        """Begin and end with the app of ``routes``."""
        before = routes.lifespan_context

        @asynccontextmanager
        async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
            async with before(app) as state:
                await in_thread(self.look)
                try:
                    yield state
                finally:
                    await in_thread(self.close)

        routes.lifespan_context = lifespan


def _belongs_to_any() -> bool:
    if not paths.database_file().exists():
        return False
    from ondol.household.federations import Federations
    from ondol.household.taking_part import is_looked_after

    try:
        with Federations.open() as kept:
            return any(is_looked_after(one) for one in kept.all())
    except OndolError:  # locked, or busy: whoever takes part looks again
        return True
