"""A stream of tokens that can be stopped from any thread.

``Generation`` is what every engine's ``generate`` returns. Closing it while another thread waits
for its next token ends that wait: the waiting thread gets a last token, ``"cancelled"``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType

from ondol.types import Token


class Cancelled(Exception):
    """The caller closed the generation; leaves the engine only where the caller brought the
    ``Cancellation``."""


class Cancellation:
    """A flag that calls back whoever is waiting when it is raised; and what goes on besides."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._meanwhile: Callable[[], None] | None = None
        self.cancelled = False

    def cancel(self) -> None:
        with self._lock:
            self.cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled

    def meanwhile(self, work: Callable[[], None]) -> None:
        """``work`` is to be done while the model thinks of its first word."""
        self._meanwhile = work

    def waiting(self) -> None:
        """The model has been asked, and has said nothing yet."""
        work, self._meanwhile = self._meanwhile, None
        if work is not None:
            work()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` if the flag is raised inside the block, or already is."""
        with self._lock:
            self._callbacks.append(callback)
            late = self.cancelled
        if late:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)


class Generation(Iterator[Token]):
    """Tokens, produced while iterated; nothing happens before the first ``next``."""

    def __init__(self, produce: Callable[[Cancellation], Generator[Token]]) -> None:
        self._cancellation = Cancellation()
        self._tokens = produce(self._cancellation)

    def __iter__(self) -> Generation:
        return self

    def __next__(self) -> Token:
        try:
            return next(self._tokens)
        except ValueError:
            if not self._cancellation.cancelled:
                raise
            raise StopIteration from None  # another thread is just closing it

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Do ``work`` once, in the thread that takes the first token, while the model is at work on
        it; perhaps never. It must not raise."""
        self._cancellation.meanwhile(work)

    def close(self) -> None:
        """Stop generating. Safe to call from any thread, and more than once."""
        self._cancellation.cancel()
        try:
            self._tokens.close()
        except ValueError:
            pass  # another thread is inside the generator; the cancellation ends its wait

    def __enter__(self) -> Generation:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
