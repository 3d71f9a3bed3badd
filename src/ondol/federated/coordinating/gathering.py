"""Who takes part in a round: those who say, just now, that they can.

Devices that are in use or away are waited for, less and less often. Raises ``RoundFailedError``
where there are never enough, and ``BehindError`` where devices are further than home.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ondol.errors import RoundFailedError
from ondol.federated.coordinating import asking, checks, messages, sums
from ondol.federated.coordinating.asking import Heard, Patience
from ondol.federated.coordinating.messages import Message
from ondol.federated.grid import Grid
from ondol.federated.plan import Plan
from ondol.i18n import t

LONGEST_SECONDS = 60.0
"""Between two times that devices are asked whether they can."""
SLOWER = 1.5
FURTHEST = 1 << 20
"""How far home lets devices lead it: their word for it is not signed."""


class BehindError(Exception):
    """Enough devices were in ``round`` already, and home has not begun it: its folder is an older
    one, from a backup. No device goes back, so home has to go on behind it."""

    def __init__(self, round: int) -> None:
        super().__init__(round)
        self.round = round


@dataclass(frozen=True, slots=True)
class Ready:
    """``holds`` is the digest of the vector that each has; ``heard`` what was said."""

    holds: dict[int, str]
    heard: Heard


def gather(
    plan: Plan,
    grid: Grid,
    number: int,
    nodes: Callable[[], Sequence[int]],
    *,
    patience: Patience,
    wait: Callable[[float], None],
) -> Ready:
    """Ask ``nodes`` until enough of them can take part in round ``number``."""
    needed, body = sums.clients_needed(plan), messages.write(plan, number)
    pause = patience.again
    for turn in range(patience.ready):
        if turn:
            wait(pause)
            pause = min(pause * SLOWER, max(LONGEST_SECONDS, patience.again))
        last: dict[int, int] = {}
        holds: dict[int, str] = {}

        def check(
            node: int, said: bytes, holds: dict[int, str] = holds, last: dict[int, int] = last
        ) -> None:
            message = Message(plan, said)
            holds[node] = checks.ready(plan, message, number)
            last[node] = message.integer("last")

        heard = asking.ask(
            grid,
            messages.READY,
            dict.fromkeys(nodes(), body),
            need=needed,
            check=check,
            patience=replace(patience, tries=patience.grace),
            wait=wait,
        )
        if len(heard.answers) >= needed:
            # So far that many devices say they were: fewer could lead home astray.
            reached = sorted((last[node] for node in heard.answers), reverse=True)[needed - 1]
            if number <= reached <= number + FURTHEST:
                raise BehindError(reached)
            return Ready({node: holds[node] for node in heard.answers}, heard)
    raise RoundFailedError(t("federated_rounds.nobody", needed=needed))
