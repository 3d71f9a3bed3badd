"""One stage of a round: everybody is asked, who is gone is asked again, who refuses is let be.

A killed device is back after a moment and answers what it had answered; home waits as long as it
needs it, and a little longer. Nothing that a device says or leaves out raises here; ``wait`` may,
when home is to stop.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ondol.errors import OndolError
from ondol.federated.grid import Failure, Grid
from ondol.i18n import t

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: ``training`` is the longest that home waits for a training, ``other`` what it waits
    for one answer before it asks again (a device that is training answers when it is done, however
    often it was asked), ``again`` the pause in between. ``tries`` is how often those who are gone
    are asked while too few answered, ``grace`` how often at least once enough have. ``ready`` is
    how often devices are asked whether they can take part, ``failures`` how many rounds in a row
    may come to nothing."""

    training: float = 3600.0
    other: float = 120.0
    again: float = 5.0
    tries: int = 60
    grace: int = 2
    ready: int = 17_280
    failures: int = 5


@dataclass(slots=True)
class Heard:
    """What came of a stage: answers that stand, and of the others why not."""

    answers: dict[int, bytes] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    dropped: tuple[int, ...] = ()
    bytes_up: int = 0
    bytes_down: int = 0


AS_LONG = 2.0
"""Times what it took until enough had answered, the slower ones are waited for."""

Check = Callable[[int, bytes], object]
"""Raises ``OndolError`` for an answer that does not stand."""


def ask(
    grid: Grid,
    stage: str,
    bodies: Mapping[int, bytes],
    *,
    need: int,
    check: Check,
    patience: Patience,
    most_seconds: float = math.inf,
    wait: Callable[[float], None] = time.sleep,
) -> Heard:
    """Ask each of ``bodies`` until all have answered or refused, or ``need`` of them have answered
    and the others had as long again (``AS_LONG``), or nobody can be waited for any longer."""
    heard, waiting = Heard(), set(bodies)
    began, enough_at = time.monotonic(), math.inf
    seconds = min(patience.other, most_seconds)
    for turn in range(max(1, patience.tries)):
        if turn:
            wait(patience.again)
        heard.bytes_down += sum(len(bodies[node]) for node in waiting)
        came = grid.ask(stage, {node: bodies[node] for node in sorted(waiting)}, seconds)
        for node in sorted(waiting & came.keys()):
            if _settle(heard, node, came[node], check):
                waiting.discard(node)
        elapsed = time.monotonic() - began
        if len(heard.answers) >= need:
            enough_at = min(enough_at, elapsed)
        is_fair = patience.grace <= 1 or elapsed >= AS_LONG * enough_at
        is_hopeless = len(heard.answers) + len(waiting) < need
        if not waiting or is_hopeless or elapsed >= most_seconds:
            break
        if enough_at < math.inf and turn + 1 >= patience.grace and is_fair:
            break
    heard.dropped = tuple(sorted(waiting))
    return heard


def _settle(heard: Heard, node: int, said: bytes | Failure, check: Check) -> bool:
    """Whether that was the last word of ``node``."""
    if isinstance(said, Failure):
        if said.code != "gone":
            heard.refused[node] = said.reason
        return said.code != "gone"
    heard.bytes_up += len(said)
    try:
        check(node, said)
    except OndolError as error:
        heard.refused[node] = error.message
    except Exception as error:
        # Whatever a device's bytes set off here: it is that device's fault, and no other's.
        _log.error("An answer of a device could not be read: %s", type(error).__name__)
        heard.refused[node] = t("federated_rounds.malformed", what=type(error).__name__)
    else:
        heard.answers[node] = said
    return True
