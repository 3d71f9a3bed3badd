"""What is kept of a round when it is over: numbers and pseudonyms, never a vector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """One round, whether it gave a new shared adapter or not.

    ``clients`` are the nodes in the sum; ``dropped`` tells after which stage a chosen node was
    gone, ``refused`` why one was not taken (or did not want to be), as a sentence. Bytes are
    those of all messages of the round. ``epsilon`` is what all rounds so far have spent (0: no
    noise). ``loss_shared`` is the devices' mean held-out loss with the new shared adapter,
    ``loss_local`` with what each had right after its own training; None where none was told.
    ``loss_canary`` is on the home's own held-out set, ``norm`` the L2 norm of the mean update.
    ``failed`` is a sentence, or empty; ``rolled_back``: a sum came, and was not taken. ``at`` is in
    UTC (ISO 8601), ``seconds`` how long it took.
    """

    number: int
    clients: tuple[int, ...] = ()
    dropped: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0
    epsilon: float = 0.0
    loss_shared: float | None = None
    loss_local: float | None = None
    loss_canary: float | None = None
    norm: float = 0.0
    rolled_back: bool = False
    failed: str = ""
    at: str = ""
    seconds: float = 0.0

    def json(self) -> dict[str, Any]:
        """As it is kept, and as the API shows it."""
        return asdict(self) | {
            "clients": list(self.clients),
            "dropped": {str(node): stage for node, stage in self.dropped.items()},
            "refused": {str(node): reason for node, reason in self.refused.items()},
        }

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The record that ``json`` wrote."""
        return cls(
            **dict(fields)
            | {
                "clients": tuple(fields["clients"]),
                "dropped": {int(node): stage for node, stage in fields["dropped"].items()},
                "refused": {int(node): reason for node, reason in fields["refused"].items()},
            }
        )


def is_record(said: Mapping[str, Any]) -> bool:
    """Whether what somebody says of a round has fields of a record, each of its kind."""
    return all(name in _KINDS and _KINDS[name](value) for name, value in said.items())


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and -1e300 < value < 1e300)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_told(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, (*value, *value.values())))


def _are_nodes(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


_KINDS: Mapping[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("number", "bytes_up", "bytes_down"), _is_count),
    **dict.fromkeys(("epsilon", "loss_shared", "loss_local", "loss_canary"), _is_number),
    **dict.fromkeys(("norm", "seconds"), _is_number),
    **dict.fromkeys(("failed", "at"), _is_text),
    **dict.fromkeys(("dropped", "refused"), _is_told),
    "clients": _are_nodes,
    "rolled_back": lambda value: isinstance(value, bool),
}
