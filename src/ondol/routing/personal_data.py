"""Personal data in a text: what identifies a person or opens a door."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """``text[start:end]`` is personal data of this ``kind`` ("phone", "kr_rrn", …)."""

    kind: str
    start: int
    end: int


def find(text: str) -> list[Finding]:
    """Everything personal in ``text``, in order; no two overlap."""
    return []
