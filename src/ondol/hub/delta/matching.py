"""Which parts of a new file stand in an old one: FastCDC's chunks, cut where the content says.

Xia et al., "FastCDC: a fast and efficient content-defined chunking approach for data
deduplication" (USENIX ATC 2016). What moved is found wherever it is; what changed inside a chunk is
not, and is left to the caller as a gap. Memory: one entry per chunk, at most some 100,000.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ondol.hub.delta.source import Source

AVERAGE_BYTES = 64 << 10
MOST_CHUNKS = 100_000
FORGET_BYTES = 64 << 20


class Chunk(Protocol):
    """What FastCDC yields: where a chunk is, and the hash of its content."""

    offset: int
    length: int
    hash: str


@dataclass(frozen=True, slots=True)
class Span:
    """``length`` bytes of the new file at ``new``: those of the old at ``old``, or a gap (None)."""

    new: int
    length: int
    old: int | None = None


def spans(old: Path, new: Path) -> list[Span]:
    """The new file from its first to its last byte; no two spans could be one. Neither is empty."""
    average = _average(max(old.stat().st_size, new.stat().st_size))
    first: dict[str, int] = {}
    at: dict[int, str] = {}
    for chunk in _chunks(old, average):
        first.setdefault(chunk.hash, chunk.offset)
        at[chunk.offset] = chunk.hash
    found: list[Span] = []
    expected = 0
    for chunk in _chunks(new, average):
        # A file has many chunks of zeros: the one that goes on where the last ended is the one.
        place = expected if at.get(expected) == chunk.hash else first.get(chunk.hash)
        _append(found, Span(chunk.offset, chunk.length, place))
        expected = (expected if place is None else place) + chunk.length
    return found


def extended(found: list[Span], old: Source, new: Source) -> list[Span]:
    """The same, each match as long as it can be: gaps end where the files differ, and not where
    a chunk does."""
    spans = list(found)
    result: list[Span] = []
    for index, span in enumerate(spans):
        if span.old is not None:
            result.append(span)
            continue
        start, end = span.new, span.new + span.length
        if result and (before := result[-1]).old is not None:
            length = before.length + old.same_from(
                before.old + before.length, new, start, end - start
            )
            result[-1] = Span(before.new, length, before.old)
            start = before.new + length
        if index + 1 < len(spans) and (after := spans[index + 1]).old is not None:
            length = old.same_before(after.old, new, end, end - start)
            end -= length
            spans[index + 1] = Span(end, after.length + length, after.old - length)
        if start < end:
            result.append(Span(start, end - start))
    return result


def _append(found: list[Span], span: Span) -> None:
    last = found[-1] if found else None
    if last and (
        (last.old is None and span.old is None)
        or (last.old is not None and last.old + last.length == span.old)
    ):
        found[-1] = Span(last.new, last.length + span.length, last.old)
    else:
        found.append(span)


def _average(size_bytes: int) -> int:
    """A power of two that keeps the number of chunks small."""
    average = AVERAGE_BYTES
    while size_bytes // average > MOST_CHUNKS:
        average *= 2
    return average


def _chunks(file: Path, average: int) -> Iterator[Chunk]:
    from fastcdc import fastcdc

    with (
        file.open("rb") as opened,
        mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content,
        memoryview(content) as view,
    ):
        forgotten = 0
        for chunk in fastcdc(
            view, min_size=average // 4, avg_size=average, max_size=average * 4, hf=hashlib.sha256
        ):
            yield chunk
            if chunk.offset - forgotten >= FORGET_BYTES and hasattr(content, "madvise"):
                # What was read is not needed again: the process stays small beside a large file.
                content.madvise(mmap.MADV_DONTNEED, forgotten, FORGET_BYTES)
                forgotten += FORGET_BYTES
