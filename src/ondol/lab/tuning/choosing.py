"""Which of the ways that were measured serves the owner's requests fastest, and costs nothing that
would be missed: perplexity, right answers, memory.

Pure: sees numbers only. What is not chosen says why, and may still be asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ondol.lab.tuning.mix import Mix
from ondol.training.bootstrap import Estimate

MOST_LOSS = 0.01
"""Of perplexity: beyond it a format is only offered."""

LEAST_GAIN = 0.03
"""Below it two measurements of the same differ by as much."""

Refusal = Literal["", "perplexity", "unproven", "accuracy", "memory", "slower", "failed"]


@dataclass(frozen=True, slots=True)
class Row:
    """One way, measured. ``running`` are the fields of ``engine.Running`` that are not left to the
    runtime; ``resident_bytes`` what its process holds after a whole request; ``prefill`` and
    ``decode`` tokens a second (medians), each with its spread; ``watts`` what the machine took, by
    ``energy_source``. ``loss`` is the relative change of perplexity against the weights as they
    came, ``accuracy_change`` that of the share of right answers. ``refused`` is why it may not be
    chosen."""

    format: str
    size_bytes: int
    resident_bytes: int = 0
    prefill: float = 0.0
    decode: float = 0.0
    prefill_spread: float = 0.0
    decode_spread: float = 0.0
    running: Mapping[str, int | str] = field(default_factory=dict)
    watts: float | None = None
    energy_source: str = "unknown"
    perplexity: float | None = None
    loss: Estimate | None = None
    accuracy: float | None = None
    accuracy_change: Estimate | None = None
    is_original: bool = False
    refused: Refusal = ""
    reason: str = ""

    def seconds(self, mix: Mix) -> float:
        """What a request takes; infinite where nothing was measured."""
        if not (self.prefill > 0 and self.decode > 0):
            return math.inf
        return mix.seconds(self.prefill, self.decode)

    def joules_per_token(self, mix: Mix) -> float | None:
        """Of energy for a token of an answer, its prompt included."""
        seconds = self.seconds(mix)
        if self.watts is None or math.isinf(seconds):
            return None
        return self.watts * seconds / mix.answer_tokens

    def json(self, mix: Mix) -> dict[str, Any]:
        """For the API, and for the record of what was applied."""
        seconds, joules = self.seconds(mix), self.joules_per_token(mix)
        return {
            "format": self.format,
            "running": dict(self.running),
            "is_original": self.is_original,
            "size_bytes": self.size_bytes,
            "resident_bytes": self.resident_bytes,
            "prefill": round(self.prefill, 2),
            "prefill_spread": round(self.prefill_spread, 2),
            "decode": round(self.decode, 2),
            "decode_spread": round(self.decode_spread, 2),
            "seconds": round(seconds, 4) if math.isfinite(seconds) else None,
            "perplexity": None if self.perplexity is None else round(self.perplexity, 4),
            "loss": self.loss.as_dict() if self.loss else None,
            "accuracy": None if self.accuracy is None else round(self.accuracy, 4),
            "accuracy_change": self.accuracy_change.as_dict() if self.accuracy_change else None,
            "joules_per_token": None if joules is None else round(joules, 4),
            "energy_source": self.energy_source,
            "refused": self.refused,
            "reason": self.reason,
        }


def judged(row: Row, original: Row, mix: Mix, available_bytes: int) -> Row:
    """``row`` with why it may not be chosen, if so."""
    if row.is_original or row.refused:
        return row
    return replace(row, refused=_refusal(row, original, mix, available_bytes))


def _refusal(row: Row, original: Row, mix: Mix, available_bytes: int) -> Refusal:
    if row.resident_bytes > available_bytes:
        return "memory"
    # Nearly sure to be within it, not only perhaps.
    if row.loss is not None and row.loss.high > MOST_LOSS:
        return "perplexity"
    if row.seconds(mix) > original.seconds(mix) * (1 - LEAST_GAIN):
        return "slower"
    if row.loss is None or not math.isfinite(row.loss.high):
        return "unproven"
    if row.accuracy_change is not None and row.accuracy_change.high < 0:
        return "accuracy"
    return ""


def choose(rows: Sequence[Row], mix: Mix) -> Row:
    """The fastest of those that nothing speaks against; the original where there is no other."""
    free = [row for row in rows if not row.refused and math.isfinite(row.seconds(mix))]
    original = next(row for row in rows if row.is_original)
    best = min(free, key=lambda row: row.seconds(mix), default=original)
    is_gain = best.seconds(mix) <= original.seconds(mix) * (1 - LEAST_GAIN)
    return best if is_gain else original


def is_better(row: Row, than: Row, mix: Mix) -> bool:
    """Whether it is faster by more than the two were uncertain."""
    first, second = row.seconds(mix), than.seconds(mix)
    return first < second * (1 - max(LEAST_GAIN, _uncertainty(row, mix), _uncertainty(than, mix)))


def _uncertainty(row: Row, mix: Mix) -> float:
    """The relative spread of a request's seconds, when those of its parts add."""
    seconds = row.seconds(mix)
    if not math.isfinite(seconds):
        return 0.0
    prompt = mix.prompt_tokens / row.prefill * row.prefill_spread / row.prefill
    answer = mix.answer_tokens / row.decode * row.decode_spread / row.decode
    return math.hypot(prompt, answer) / seconds
