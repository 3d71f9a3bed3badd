"""What a tuning found: the table, the choice, and the machine that it was measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from ondol.lab.tuning.choosing import Row
from ondol.lab.tuning.mix import Mix


@dataclass(frozen=True, slots=True)
class Report:
    """``rows`` begin with the weights as they came; ``variants`` are other ways to compute with
    those of ``chosen``. ``engine`` names what computed, ``bandwidth`` is in bytes a second;
    ``was_busy`` says that others used the machine meanwhile."""

    model: str
    origin: str
    engine: str
    cpu: str
    cores: int
    bandwidth: float
    mix: Mix
    rows: Sequence[Row]
    variants: Sequence[Row] = ()
    chosen: Row = field(default_factory=lambda: Row("", 0, is_original=True))
    seconds: float = 0.0
    was_busy: bool = False
    applied: bool = False

    @property
    def original(self) -> Row:
        return self.rows[0]

    @property
    def changes_something(self) -> bool:
        return not self.chosen.is_original or bool(self.chosen.running)

    def gain(self) -> float:
        """How many times as fast the owner's request is."""
        return self.original.seconds(self.mix) / self.chosen.seconds(self.mix)

    def as_applied(self) -> Report:
        return replace(self, applied=True)

    def json(self) -> dict[str, Any]:
        """For the API and the record."""
        return {
            "model": self.model,
            "origin": self.origin,
            "engine": self.engine,
            "cpu": self.cpu,
            "cores": self.cores,
            "memory_bandwidth": round(self.bandwidth),
            "prompt_tokens": self.mix.prompt_tokens,
            "answer_tokens": self.mix.answer_tokens,
            "requests": self.mix.requests,
            "rows": [row.json(self.mix) for row in self.rows],
            "variants": [row.json(self.mix) for row in self.variants],
            "chosen": self.chosen.json(self.mix),
            "gain": round(self.gain(), 3) if self.chosen.prefill else None,
            "seconds": round(self.seconds, 1),
            "was_busy": self.was_busy,
            "applied": self.applied,
        }


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
