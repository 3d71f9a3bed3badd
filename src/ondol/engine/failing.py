"""Who hears of model processes that failed: that could not be made ready, or ended in an answer.

Of this process. Who listens must not raise, and must not take long: an answer waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from ondol.errors import OndolError


@dataclass(frozen=True, slots=True)
class Failure:
    """The model called ``model``, loaded with ``adapters``, failed with ``error``."""

    model: str
    adapters: tuple[str, ...]
    error: OndolError


Listener = Callable[[Failure], None]

_lock = threading.Lock()
_listeners: list[Listener] = []


def listen(listener: Listener) -> Callable[[], None]:
    """Tell ``listener`` from now on; the call of what is returned ends that."""
    with _lock:
        _listeners.append(listener)

    def stop() -> None:
        with _lock:
            if listener in _listeners:
                _listeners.remove(listener)

    return stop


def tell(failure: Failure) -> None:
    """Tell everybody who listens."""
    with _lock:
        listeners = list(_listeners)
    for listener in listeners:
        listener(failure)
