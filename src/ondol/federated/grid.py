"""How a coordinator reaches devices, whatever carries the messages: Flower's links between
machines, its simulation, or this process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Failure:
    """No answer of a device: ``code`` is an error's code or "gone", ``reason`` a sentence."""

    code: str
    reason: str


class Grid(Protocol):
    """Node ids are Flower's: positive integers."""

    def nodes(self) -> Sequence[int]:
        """The devices that can be asked now."""

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        """Ask each device its body; what came back in time, ``Failure("gone", ...)`` for the rest.
        Never raises for one device's fault."""


class Device(Protocol):
    """What answers on a device (``household`` builds it; a simulation has thousands)."""

    def answer(self, stage: str, body: bytes) -> bytes:
        """The answer to one question. Raises ``OndolError`` where it refuses, with its reason."""
