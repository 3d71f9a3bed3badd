"""A file that is read here and there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

BLOCK_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Source:
    """``size`` is in bytes."""

    file: BinaryIO
    size: int

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Iterator[Self]:
        with path.open("rb") as file:
            yield cls(file, path.stat().st_size)

    def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` to ``end``; none where that is not within the file."""
        if not 0 <= start <= end <= self.size:
            return b""
        self.file.seek(start)
        return self.file.read(end - start)

    def same_from(self, at: int, other: Source, start: int, most: int) -> int:
        """How many bytes from ``at`` on are those of ``other`` from ``start`` on; at most so
        many are looked at."""
        most = min(most, self.size - at, other.size - start)
        done = 0
        while done < most:
            length = min(BLOCK_BYTES, most - done)
            here = self.read(at + done, at + done + length)
            there = other.read(start + done, start + done + length)
            same = _same(here, there)
            done += same
            if same < length:
                break
        return done

    def same_before(self, at: int, other: Source, end: int, most: int) -> int:
        """How many bytes before ``at`` are those of ``other`` before ``end``."""
        most = min(most, at, end)
        done = 0
        while done < most:
            length = min(BLOCK_BYTES, most - done)
            here = self.read(at - done - length, at - done)
            there = other.read(end - done - length, end - done)
            same = _same(here[::-1], there[::-1])
            done += same
            if same < length:
                break
        return done


def _same(one: bytes, other: bytes) -> int:
    """How long their common beginning is; they are of one length."""
    import numpy as np

    if one == other:
        return len(one)
    differ = np.frombuffer(one, np.uint8) != np.frombuffer(other, np.uint8)
    return int(differ.argmax())
