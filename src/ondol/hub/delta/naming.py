"""Where deltas lie in a hub, between which files there may be one, and how large one may be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = "deltas"
KIND = "delta1"
"""The format and its version, as the last part of a delta's name: what comes after it is called
otherwise, so that nobody reads one for the other."""
SMALLEST_BYTES = 8_000_000
"""Smaller files, and adapters of any size, travel whole: a new adapter shares nothing with the
old one, and one of 1 to 5 MB costs less than asking for a delta."""
MOST_SHARE = 0.9
"""A delta that is larger than this share of the new file is not worth its time."""
WHOLE_ROLES = frozenset({"adapter"})


@dataclass(frozen=True, slots=True)
class Delta:
    """A delta in a hub's folder: what turns ``old_digest`` (``sha256:…``) into ``new_digest``."""

    path: Path
    old_digest: str
    new_digest: str
    size_bytes: int
    new_bytes: int


def is_worth(role: str, size_bytes: int) -> bool:
    """Whether a file of that role (``models.manifest``'s words) and size may have deltas."""
    return role not in WHOLE_ROLES and size_bytes >= SMALLEST_BYTES


def most_bytes(new_bytes: int) -> int:
    """How long a delta of a file of ``new_bytes`` may be; a longer one is not even downloaded."""
    return int(new_bytes * MOST_SHARE)


def offers(old_digest: str, new_digest: str) -> tuple[str, ...]:
    """The paths, relative to the hub, where a delta between the two may lie; ask in this order."""
    old, new = (digest.removeprefix("sha256:") for digest in (old_digest, new_digest))
    return (f"{FOLDER}/{old}-{new}.{KIND}",)
