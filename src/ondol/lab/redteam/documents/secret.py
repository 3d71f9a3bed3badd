"""What a hostile file tries to get hold of, or to reach."""

from __future__ import annotations

from dataclasses import dataclass

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Secret:
    """What must be in no text that comes out, and who must hear nothing."""

    path: str
    url: str


Made = tuple[str, bytes]
"""A file's name and its bytes."""
