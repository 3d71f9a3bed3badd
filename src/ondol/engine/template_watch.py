"""A chat template that never ends is noticed, and its process ended.

llama.cpp renders a model's own template (a program in Jinja's language, with loops) before it takes
up a request, and no limit holds it. Whoever waits for the first word of an answer is registered
here; where that takes long and no slot of the process is at work, only the template can be.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import EngineTimeoutError
from ondol.i18n import t

if TYPE_CHECKING:
    import httpx2

# Rendering takes milliseconds; reading a prompt may take minutes, but occupies a slot.
TEMPLATE_SECONDS = 30.0
LOOK_SECONDS = 2.0
ANSWER_SECONDS = 10.0


@dataclass(eq=False, slots=True)
class _Waiting:
    client: httpx2.Client
    end: Callable[[], object]
    since: float
    is_ended: bool = False


class TemplateWatch:
    """Everybody who waits for a first word. A thread looks after them while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[_Waiting] = set()
        self._is_looking = False

    def follow(
        self,
        client: httpx2.Client,
        end: Callable[[], object],
        events: Iterable[Mapping[str, Any]],
    ) -> Generator[Mapping[str, Any]]:
        """``events``; ``end`` is called where the first never comes. Raises then
        ``EngineTimeoutError``."""
        found = iter(events)
        waiting = _Waiting(client, end, time.monotonic())
        self._begin(waiting)
        try:
            first = next(found)
        except StopIteration:
            return
        except Exception:
            if waiting.is_ended:
                raise _stalled() from None
            raise
        finally:
            with self._lock:
                self._waiting.discard(waiting)
        yield first
        yield from found

    def _begin(self, waiting: _Waiting) -> None:
        with self._lock:
            self._waiting.add(waiting)
            if self._is_looking:
                return
            self._is_looking = True
        threading.Thread(target=self._look, name="ondol-template-watch", daemon=True).start()

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            with self._lock:
                if not self._waiting:
                    self._is_looking = False
                    return
                since = time.monotonic() - TEMPLATE_SECONDS
                late = [one for one in self._waiting if one.since < since]
            for one in late:
                if _is_idle(one.client):
                    one.is_ended = True
                    one.end()


@contextmanager
def ending_template(path: str, end: Callable[[float | None], object]) -> Iterator[float | None]:
    """How long a question to ``path`` may take, where it is for what a template makes of something;
    None: as long as it takes."""
    import httpx2

    if path != "/apply-template":
        yield None
        return
    try:
        yield TEMPLATE_SECONDS
    except httpx2.ReadTimeout:
        end(TEMPLATE_SECONDS)
        raise _stalled() from None


def _stalled() -> EngineTimeoutError:
    return EngineTimeoutError(
        t("engine.template_stalled", seconds=f"{TEMPLATE_SECONDS:g}"),
        t("engine.template_stalled_hint"),
    )


def _is_idle(client: httpx2.Client) -> bool:
    """Whether the process has slots, and none of them is at work."""
    import httpx2

    try:
        slots = client.get("/slots", timeout=ANSWER_SECONDS).json()
        return not any(slot["is_processing"] for slot in slots)
    except (httpx2.HTTPError, RuntimeError, ValueError, KeyError, TypeError):
        return False  # it is gone already, or another program that has no slots to show


watch = TemplateWatch()
