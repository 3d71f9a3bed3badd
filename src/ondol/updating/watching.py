"""Hearing of model processes that fail, in whichever process of the owner; ``health`` says what
follows. Costs nothing until one does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from typing import TYPE_CHECKING

from ondol.engine import failing
from ondol.engine.failing import Failure

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.updating.bringing import Outcome

JOIN_SECONDS = 60.0

_lock = threading.Lock()
_watched: set[int] = set()


@contextmanager
def watching(
    parts: Parts, on_rollback: Callable[[Outcome], None] = lambda outcome: None
) -> Iterator[None]:
    """Hear of model processes that fail inside the block, and go back where it is due. What is to
    be done is done beside the answer that met it."""
    with _lock:
        is_watched = id(parts) in _watched
        _watched.add(id(parts))
    if is_watched:
        yield  # each failure counts once
        return
    threads: list[threading.Thread] = []

    def heard(failure: Failure) -> None:
        if not parts.store.releases_directory(failure.model).is_dir():
            return  # nothing of it came from a hub
        run = copy_context().run
        thread = threading.Thread(
            target=lambda: run(_after, parts, failure, on_rollback),
            name="ondol-health",
            daemon=True,
        )
        threads.append(thread)
        thread.start()

    stop = failing.listen(heard)
    try:
        yield
    finally:
        stop()
        with _lock:
            _watched.discard(id(parts))
        for thread in threads:
            thread.join(JOIN_SECONDS)


def _after(parts: Parts, failure: Failure, on_rollback: Callable[[Outcome], None]) -> None:
    from ondol.updating import health

    health.after_failure(parts, failure, on_rollback)
