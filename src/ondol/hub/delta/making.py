"""Making the delta between two files, when one of them is published.

What stands unchanged in the old file is named and not sent (``matching``). For each stretch of what
is left, at most 16 MiB, both other records are tried and the smaller is taken: a Zstandard frame
with the old file around the same place as its prefix, and a frame of the differences from it, which
wins where every number moved a little, as after fine-tuning. The delta is applied once before it is
offered. About 150 MiB are held, however large the files are. Raises ``StorageError``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from ondol import paths
from ondol.hub.delta import naming
from ondol.hub.delta.applying import content
from ondol.hub.delta.layout import (
    COPY,
    DIFFERENCE,
    PATCH,
    SEGMENT_BYTES,
    SLACK_BYTES,
    WINDOW_LOG,
    Header,
    Record,
)
from ondol.hub.delta.matching import Span, extended, spans
from ondol.hub.delta.source import Source
from ondol.models.blobs import Blobs, digest_of

LEVEL = 3
LEAST_SLACK_BYTES = 256 << 10
SAMPLES = 64
SAMPLE_BYTES = 4096
ABANDONED_SECONDS = 24 * 3600
SERVED_FILE = 0o644


def make(
    old: Path,
    new: Path,
    folder: Path,
    *,
    old_digest: str = "",
    new_digest: str = "",
) -> naming.Delta | None:
    """The delta from ``old`` to ``new``, in the folder ``deltas`` of the hub at ``folder``; None
    where it would save less than a tenth, or the file is too small for one.

    Digests that the caller knows need not be computed again. What is there already is kept.
    """
    try:
        new_bytes = new.stat().st_size
        if new_bytes < naming.SMALLEST_BYTES or not old.stat().st_size:
            return None
        old_digest, new_digest = old_digest or digest_of(old), new_digest or digest_of(new)
        if old_digest == new_digest:
            return None
        final = folder / naming.offers(old_digest, new_digest)[0]
        if not final.exists() and not _place(old, new, final, new_digest):
            return None
        return naming.Delta(final, old_digest, new_digest, final.stat().st_size, new_bytes)
    except OSError as error:
        raise paths.storage_error(error, folder) from error


def _place(old: Path, new: Path, final: Path, new_digest: str) -> bool:
    """Write the delta, see that it yields the new file, and give it its name."""
    gathering = Blobs(final.parent)
    gathering.prepare()
    gathering.discard_older_than(ABANDONED_SECONDS)
    partial = gathering.partial()
    try:
        if not _write(old, new, partial) or _digest(old, partial, new) != new_digest:
            return False
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        # Whatever serves the hub reads it, and the umask of who publishes may say otherwise.
        partial.chmod(SERVED_FILE)
        partial.replace(final)
    finally:
        partial.unlink(missing_ok=True)
    return True


def _digest(old: Path, delta: Path, new: Path) -> str:
    sha256 = hashlib.sha256()
    for block in content(old, delta, most_bytes=new.stat().st_size):
        sha256.update(block)
    return f"sha256:{sha256.hexdigest()}"


def _write(old: Path, new: Path, delta: Path) -> bool:
    """Whether the delta saves enough; what does not is given up as soon as that is known."""
    left = naming.most_bytes(new.stat().st_size)
    with delta.open("wb") as file:
        for part in _parts(old, new):
            left -= len(part)
            if left < 0:
                return False
            file.write(part)
    return True


def _parts(old: Path, new: Path) -> Iterator[bytes]:
    old_bytes, new_bytes = old.stat().st_size, new.stat().st_size
    yield Header(old_bytes, new_bytes).packed()
    with Source.open(old) as source, Source.open(new) as target:
        found = extended(spans(old, new), source, target)
        # Where gaps are few, more is read around each; where there are thousands, little.
        gaps = sum(span.old is None for span in found)
        least = max(LEAST_SLACK_BYTES, 2 * new_bytes // max(gaps, 1))
        for index, span in enumerate(found):
            if span.old is not None:
                yield Record(COPY, span.old, span.length, span.length).packed()
                continue
            shifts = _shifts(found, index, old_bytes - new_bytes)
            for start in range(span.new, span.new + span.length, SEGMENT_BYTES):
                end = min(start + SEGMENT_BYTES, span.new + span.length)
                yield from _segment(source, target.read(start, end), start, shifts, least)


def _shifts(found: list[Span], index: int, growth: int) -> list[int]:
    """How far from its place in the new file a gap may stand in the old one: as far as what is
    before it or after it does, or as the beginnings or the ends of the files do (what changes in
    the header of a model moves all of its tensors)."""
    near = found[max(0, index - 1) : index + 2]
    shifts = [span.old - span.new for span in near if span.old is not None]
    return list(dict.fromkeys([*shifts, 0, growth]))


def _segment(
    old: Source, segment: bytes, start: int, shifts: list[int], least_slack: int
) -> Iterator[bytes]:
    """The smallest record that yields ``segment``, which begins at ``start`` in the new file."""
    at = start + max(shifts, key=lambda shift: _likeness(old, segment, start + shift))
    for outside in (-at, old.size - at):
        if 0 < outside < len(segment):
            # It begins before the old file does, or ends after it: each part by itself.
            yield from _segment(old, segment[:outside], start, shifts, least_slack)
            yield from _segment(old, segment[outside:], start + outside, shifts, least_slack)
            return
    slack = min(SLACK_BYTES, max(least_slack, 2 * len(segment)))
    low = min(max(0, at - slack), old.size)
    prefix = old.read(low, min(max(low, at + len(segment) + slack), old.size))
    frame = _frame(segment, prefix)
    record = Record(PATCH, low, len(prefix), len(segment), len(frame))
    base = old.read(at, at + len(segment))
    if len(base) == len(segment):
        differences = _frame(_differences(base, segment), b"")
        if len(differences) < len(frame):
            frame = differences
            record = Record(DIFFERENCE, at, len(segment), len(segment), len(frame))
    yield record.packed()
    yield frame


def _likeness(old: Source, segment: bytes, at: int) -> int:
    """How many of the sampled bytes of ``segment`` are those of the old file from ``at`` on."""
    import numpy as np

    same = 0
    for start in range(0, len(segment), max(SAMPLE_BYTES, len(segment) // SAMPLES)):
        piece = segment[start : start + SAMPLE_BYTES]
        there = old.read(at + start, at + start + len(piece))
        if len(there) == len(piece):
            same += int((np.frombuffer(there, np.uint8) == np.frombuffer(piece, np.uint8)).sum())
    return same


def _differences(base: bytes, segment: bytes) -> bytes:
    import numpy as np

    return (np.frombuffer(segment, np.uint8) - np.frombuffer(base, np.uint8)).tobytes()


def _frame(segment: bytes, prefix: bytes) -> bytes:
    from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDict

    options: dict[int, int] = {
        CompressionParameter.compression_level: LEVEL,
        CompressionParameter.window_log: WINDOW_LOG,
        CompressionParameter.enable_long_distance_matching: 1,
    }
    known = ZstdDict(prefix, is_raw=True).as_prefix if prefix else None
    compressor = ZstdCompressor(options=options, zstd_dict=known)
    compressor.set_pledged_input_size(len(segment))
    return compressor.compress(segment, ZstdCompressor.FLUSH_FRAME)
