"""Things that are built when they are first used, once, and then stay."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

T = TypeVar("T")


class Once:
    """The base of who owns such things. Safe to use from several threads; what one is built of may
    be built by it."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._built: dict[str, Any] = {}

    def _once(self, name: str, build: Callable[[], T]) -> T:
        """What ``build`` made when ``name`` was first asked for."""
        with self._lock:
            if name not in self._built:
                self._built[name] = build()
            part: T = self._built[name]
            return part


class Closing(Once):
    """The same, closed at the end of a ``with``."""

    def close(self) -> None:
        """Let go of what was built."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
