"""From the thread that makes an answer to the loop that sends it, and how many there may be.

An answer is made in a thread of its own, at its own speed: whoever reads slowly holds up neither a
model nor a thread until it is ``AHEAD_BYTES`` behind. The first chunks are sent at once; of those
after, what comes within ``PACE_SECONDS`` is sent together where they come fast.
When the server ends, ``Places.close`` lets nobody in, and ``Places.cut`` ends what is still going
on with ``ClosingError``.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from anyio.to_thread import run_sync

from ondol.errors import ClosingError, ServerBusyError
from ondol.i18n import t

T = TypeVar("T")

logger = logging.getLogger(__name__)

# The chunk after the last one.
LAST = b""
# How far an answer may be ahead of who reads it.
AHEAD_BYTES = 256 * 1024
# A fast model says more tokens than anybody reads one by one, and to send each costs time that its
# own threads then wait for (``benchmarks/gateway``). To look in vain costs as much, so that only
# chunks that come faster than ``FAST_SECONDS`` are waited for.
PACE_SECONDS = 0.02
FAST_SECONDS = 0.012
FIRST_TAKES = 4
# How many may be made at once where nobody says otherwise.
MOST = 512


class Places:
    """Answers on their way in one event loop, each in a thread of its own. They take no thread from
    what is short."""

    def __init__(self, most: int = MOST) -> None:
        self.limiter = CapacityLimiter(most)
        self._cuts: set[Callable[[], None]] = set()
        self._is_closed = False

    def check(self) -> None:
        """Raise ``ServerBusyError`` where there is no place, ``ClosingError`` at the end."""
        if self._is_closed:
            raise closing()
        if self.limiter.available_tokens < 1:
            raise ServerBusyError(t("load.full"), t("load.full_hint"))

    @contextmanager
    def cutting(self, cut: Callable[[], None]) -> Iterator[None]:
        """Call ``cut`` when what goes on inside the block has to end."""
        self._cuts.add(cut)
        try:
            yield
        finally:
            self._cuts.discard(cut)

    def open(self, most: int) -> None:
        """Let ``most`` in at once from now on."""
        self.limiter.total_tokens = most
        self._is_closed = False

    def close(self) -> None:
        """Let nobody in any more."""
        self._is_closed = True

    def cut(self) -> None:
        """End everything that still goes on."""
        for cut in list(self._cuts):
            cut()


_places: RunVar[Places] = RunVar("ondol_places")


def places() -> Places:
    """Those of the event loop that runs here."""
    found = _places.get(None)
    if found is None:
        found = Places()
        _places.set(found)
    return found


def closing() -> ClosingError:
    """What is said to who asks, or still listens, when the server ends."""
    return ClosingError(t("load.closing"), t("load.closing_hint"))


class Relay:
    """``chunks``, made in a thread and taken in the loop. Nothing happens before ``start``. An
    empty chunk (``LAST``) says that nothing comes after it: whoever takes has all, and what is then
    left to do is done without him."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self._happened = asyncio.Event()
        self._is_awaited = False
        self._takes, self._taken_at = 0, self._loop.time()
        self._is_fast = False
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._made: list[bytes] = []
        self._made_bytes = 0
        self._is_over = False
        self.is_said = False
        self._error: BaseException | None = None
        self._making: asyncio.Future[None] | None = None

    def start(self) -> None:
        """Begin to make them. Raises what ``Places.check`` raises."""
        here = places()
        here.check()
        making = run_sync(self._make, abandon_on_cancel=True, limiter=here.limiter)
        self._making = asyncio.ensure_future(making)

    async def take(self) -> tuple[bytes, bool]:
        """What was made meanwhile, and whether that was the last of it. Raises what making them
        raised, once what was made before is taken."""
        await self._pace()
        while True:
            with self._lock:
                number, made = len(self._made), b"".join(self._made)
                self._made.clear()
                self._made_bytes = 0
                self._happened.clear()
                self._room.notify_all()
                is_over, error = self._is_over, self._error
                self._is_awaited = not (made or is_over)
            if is_over and error is not None and not made:
                raise error
            if made or is_over:
                now = self._loop.time()
                self._is_fast = now - self._taken_at < FAST_SECONDS * number
                self._takes, self._taken_at = self._takes + 1, now
                return made, is_over and error is None
            await self._happened.wait()

    async def _pace(self) -> None:
        """Wait until it is time for the next chunks, or they are over."""
        left = self._taken_at + PACE_SECONDS - self._loop.time()
        if self._takes < FIRST_TAKES or not self._is_fast or left <= 0 or self._is_over:
            return
        # Nobody is told of chunks meanwhile, only of the end.
        timer = self._loop.call_later(left, self._happened.set)
        try:
            await self._happened.wait()
        finally:
            timer.cancel()

    def end(self, error: BaseException | None = None) -> None:
        """Take no more; whoever waits in ``take`` gets ``error``, or the end. Any thread may."""
        with self._lock:
            if self._is_over:
                return
            self._is_over, self._error = True, error
            self._room.notify_all()
        self._tell()

    def _make(self) -> None:
        try:
            for chunk in self._chunks:
                if not chunk and not self._is_over:
                    self.is_said = True
                    self.end()
                elif not self.is_said and not self._give(chunk):
                    return
        except BaseException as error:
            if self.is_said:
                # Nobody is there to be told. Never with its words: they may be the prompt's.
                logger.error("The end of an answer failed: %s", type(error).__name__)
            self.end(error)
        else:
            self.end()

    def _give(self, chunk: bytes) -> bool:
        with self._lock:
            is_awaited, self._is_awaited = self._is_awaited, False
            self._made.append(chunk)
            self._made_bytes += len(chunk)
        if is_awaited:
            self._tell()
        with self._lock:
            while self._made_bytes > AHEAD_BYTES and not self._is_over:
                self._room.wait()
            return not self._is_over

    def _tell(self) -> None:
        # A loop that is closed listens no more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._happened.set)
