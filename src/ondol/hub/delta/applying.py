"""Applying a delta that nobody signed: whatever it is, little memory and no byte too many.

At most about 150 MiB are held, however large the files are: the prefix of one record twice (zstd
keeps a copy), zstd's window and its frame. Raises ``UntrustedError`` for a delta that is malformed
or not for this file, ``StorageError`` for the disk; then nothing is left at ``out``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ondol import paths
from ondol.hub.delta.layout import (
    BLOCK_BYTES,
    COPY,
    PATCH,
    WINDOW_LOG,
    Header,
    Record,
    malformed,
)

if TYPE_CHECKING:
    from backports.zstd import ZstdDict


def apply(
    old: Path,
    delta: Path,
    out: Path,
    *,
    most_bytes: int,
    on_bytes: Callable[[int], None] = lambda done: None,
) -> str:
    """Write to ``out`` what ``delta`` makes of ``old``; its ``sha256:…``, for the caller to
    compare with what was signed.

    Nothing beyond ``most_bytes``, the size that was signed, is ever written. ``on_bytes`` hears how
    much has been and may raise.
    """
    sha256 = hashlib.sha256()
    done = 0
    whole = False
    try:
        with out.open("wb", buffering=0) as written:
            for block in content(old, delta, most_bytes=most_bytes):
                written.write(block)
                sha256.update(block)
                done += len(block)
                on_bytes(done)
        whole = True
    except OSError as error:
        raise paths.storage_error(error, out) from error
    finally:
        if not whole:
            out.unlink(missing_ok=True)
    return f"sha256:{sha256.hexdigest()}"


def content(old: Path, delta: Path, *, most_bytes: int) -> Iterator[bytes]:
    """What ``delta`` makes of ``old``, in blocks of at most 1 MiB; UntrustedError, OSError."""
    with old.open("rb") as source, delta.open("rb") as records:
        header = Header.read(records)
        if os.fstat(source.fileno()).st_size != header.old_bytes:
            raise malformed()
        if header.new_bytes > most_bytes:
            raise malformed()
        yield from _blocks(source, records, header)


def _blocks(old: BinaryIO, delta: BinaryIO, header: Header) -> Iterator[bytes]:
    """The new file, block by block, as long as the header says; else UntrustedError."""
    done = count = prefixes = 0
    while done < header.new_bytes:
        record = Record.read(delta, header, done)
        count += 1
        prefixes += record.old_length if record.kind == PATCH else 0
        if count > header.most_records or prefixes > header.most_prefix_bytes:
            raise malformed()
        if record.kind == COPY:
            yield from _copied(old, record)
        elif record.kind == PATCH:
            yield from _decompressed(delta, record, _prefix(old, record))
        else:
            yield from _added(old, delta, record)
        done += record.new_length
    if delta.read(1):
        raise malformed()


def _copied(old: BinaryIO, record: Record) -> Iterator[bytes]:
    for start in range(0, record.new_length, BLOCK_BYTES):
        length = min(BLOCK_BYTES, record.new_length - start)
        yield _read(old, record.old_offset + start, length)


def _added(old: BinaryIO, delta: BinaryIO, record: Record) -> Iterator[bytes]:
    import numpy as np

    at = record.old_offset
    for block in _decompressed(delta, record, None):
        base = np.frombuffer(_read(old, at, len(block)), np.uint8)
        yield (base + np.frombuffer(block, np.uint8)).tobytes()
        at += len(block)


def _prefix(old: BinaryIO, record: Record) -> ZstdDict | None:
    from backports.zstd import ZstdDict

    if not record.old_length:
        return None
    return ZstdDict(_read(old, record.old_offset, record.old_length), is_raw=True)


def _decompressed(delta: BinaryIO, record: Record, prefix: ZstdDict | None) -> Iterator[bytes]:
    """A record's one frame: exactly as many bytes as the record says."""
    from backports.zstd import DecompressionParameter, ZstdDecompressor, ZstdError

    options: dict[int, int] = {DecompressionParameter.window_log_max: WINDOW_LOG}
    frame = ZstdDecompressor(prefix.as_prefix if prefix else None, options=options)
    left, packed = record.new_length, record.frame_length
    try:
        while not frame.eof:
            data = b""
            if frame.needs_input:
                data = delta.read(min(BLOCK_BYTES, packed))
                packed -= len(data)
                if not data:
                    raise malformed()
            # One byte more than is due shows that a frame goes on after its end.
            block = frame.decompress(data, max_length=min(BLOCK_BYTES, left + 1))
            left -= len(block)
            if left < 0:
                raise malformed()
            if block:
                yield block
    except (ZstdError, MemoryError) as error:
        raise malformed() from error
    if left or packed or frame.unused_data:
        raise malformed()


def _read(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    block = file.read(length)
    if len(block) != length:
        raise malformed()
    return block
