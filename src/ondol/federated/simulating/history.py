"""What a simulation finds out, round by round."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Ending = Literal["taken", "rolled_back", "refused", "failed"]
"""``rolled_back``: with the new vector home does worse on its own data. ``refused``: the sum is one
that honest devices do not make. ``failed``: too few stayed for a sum."""


@dataclass(frozen=True, slots=True)
class Round:
    """``chosen`` devices were asked, of which ``attackers`` attack; ``nodes`` are in the mean.
    ``loss`` (nats) and ``accuracy`` are of the shared vector after the round, on text that nobody
    has. ``bytes_up`` and ``bytes_down`` are of all messages in the whole protocol, and of the
    encoded updates alone in the arithmetic."""

    number: int
    chosen: int
    attackers: int = 0
    nodes: tuple[int, ...] = ()
    ended: Ending = "failed"
    reason: str = ""
    loss: float = 0.0
    accuracy: float = 0.0
    loss_canary: float | None = None
    norm: float = 0.0
    bytes_up: int = 0
    bytes_down: int = 0
    seconds: float = 0.0

    @property
    def clients(self) -> int:
        """How many are in the mean."""
        return len(self.nodes)

    @property
    def is_spoiled(self) -> bool:
        """Whether a sum came that was not taken."""
        return self.ended in ("rolled_back", "refused")

    def json(self) -> dict[str, Any]:
        fields = asdict(self) | {"clients": self.clients}
        del fields["nodes"]
        return fields
