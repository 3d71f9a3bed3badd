"""On whose behalf a request is answered: the owner, or a program that has a key of its own.

Set by whoever lets a request in; read wherever something is given out (models, collections, turns
in a queue). It goes along into the threads that a request's work is done in.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """``id`` tells callers apart. ``dialects``, ``models`` and ``collections`` are all that it may
    use; ``None`` means any. ``max_running`` requests of it are answered or wait at once, and it may
    make ``requests_per_minute``; ``None`` means no limit of its own. Who ``manages_models`` may add
    and remove them."""

    id: str = "owner"
    name: str = ""
    dialects: frozenset[str] | None = None
    models: frozenset[str] | None = None
    collections: frozenset[str] | None = None
    max_running: int | None = None
    requests_per_minute: int | None = None
    manages_models: bool = True

    def may_speak(self, dialect: str) -> bool:
        return self.dialects is None or dialect in self.dialects

    def may_use(self, model: str) -> bool:
        """``model`` is a full name; a caller that may use a model may use its adapters."""
        return self.models is None or any(
            model == name or model.startswith(f"{name}:") for name in self.models
        )

    def may_read(self, collection: str) -> bool:
        return self.collections is None or collection in self.collections


OWNER = Caller()

_current: ContextVar[Caller] = ContextVar("caller", default=OWNER)


def current() -> Caller:
    """Who asks, here and now."""
    return _current.get()


@contextmanager
def calling(caller: Caller) -> Iterator[None]:
    """``caller`` asks inside the block, and in the threads that are started from it."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)
