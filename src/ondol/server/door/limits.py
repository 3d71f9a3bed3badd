"""What one caller may ask: so many requests at once, so many in a minute.

Stands behind the door, which says who calls (``callers``). The minute slides: in no sixty seconds
are there more. Who asks too much is told when to come again (``RateLimitError``, 429).
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ondol import callers
from ondol.callers import Caller
from ondol.errors import RateLimitError
from ondol.i18n import t
from ondol.server import errors
from ondol.server.clients import family_of

MINUTE_SECONDS = 60.0
# When one of its own requests will have ended nobody knows.
RUNNING_SECONDS = 2


class Limits:
    """What every caller has done lately. For one event loop."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._running: Counter[str] = Counter()
        self._asked: dict[str, deque[float]] = {}

    @contextmanager
    def one(self, caller: Caller) -> Iterator[None]:
        """A request of ``caller``. Raises ``RateLimitError``; a refused one does not count."""
        most, per_minute = caller.max_running, caller.requests_per_minute
        if most is not None and self._running[caller.id] >= most:
            told = t("load.too_many_running", limit=most)
            hint = t("load.too_many_running_hint")
            raise RateLimitError(told, hint, retry_after_seconds=RUNNING_SECONDS)
        if per_minute is not None:
            self._ask(caller.id, per_minute)
        self._running[caller.id] += 1
        try:
            yield
        finally:
            self._running[caller.id] -= 1
            if not self._running[caller.id]:
                del self._running[caller.id]

    def _ask(self, id: str, per_minute: int) -> None:
        now, asked = self._now(), self._asked.setdefault(id, deque())
        while asked and asked[0] <= now - MINUTE_SECONDS:
            asked.popleft()
        if len(asked) >= per_minute:
            left = asked[len(asked) - per_minute] + MINUTE_SECONDS - now if per_minute else 60.0
            seconds = max(1, math.ceil(left))
            told = t("load.too_many_a_minute", limit=per_minute)
            hint = t("load.too_many_a_minute_hint", seconds=seconds)
            raise RateLimitError(told, hint, retry_after_seconds=seconds)
        asked.append(now)


class LimitsMiddleware:
    """Applies ``Limits``, and says in which program's name the owner's own requests wait."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.limits = Limits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        caller = callers.current()
        named = nullcontext() if caller.name else callers.calling(_program(caller, scope))
        try:
            with named, self.limits.one(caller):
                await self.app(scope, receive, send)
        except RateLimitError as error:
            dialect = errors.dialect_of(scope["path"])
            await errors.response(dialect, errors.failure_of(error))(scope, receive, send)


def _program(caller: Caller, scope: Scope) -> Caller:
    """``caller`` by the name of the program that asks, as it says itself: the owner's programs
    without keys take turns too."""
    return replace(caller, name=family_of(Headers(scope=scope).get("user-agent", "")))
