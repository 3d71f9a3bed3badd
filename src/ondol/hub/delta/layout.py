"""How a delta is written: a header, then records, each of which yields the next bytes of the new
file.

    header  12 bytes magic, then the sizes of the old and of the new file (u64 each)
    record  u8 kind, u64 offset in the old file, u64 length there, u64 length in the new file,
            u32 length of the Zstandard frame (RFC 8878) that follows

Little endian. COPY takes bytes of the old file as they are and has no frame. PATCH is a frame whose
prefix is the named part of the old file (``zstd --patch-from``). DIFFERENCE is a frame of what has
to be added, byte by byte modulo 256, to the named part of the old file (Percival, "Naive
differences of executable code", 2003: bsdiff). PATCH and DIFFERENCE are short, so that neither side
ever holds more than ``MOST_PREFIX_BYTES`` of the old and ``SEGMENT_BYTES`` of the new file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import BinaryIO, Self

from ondol.errors import UntrustedError
from ondol.i18n import t

MAGIC = b"ONDOLDELTA1\n"
SEGMENT_BYTES = 16 << 20
SLACK_BYTES = 8 << 20
MOST_PREFIX_BYTES = SEGMENT_BYTES + 2 * SLACK_BYTES
WINDOW_LOG = 26
"""64 MiB: a prefix and a segment. zstd allocates no window beyond it, whatever a frame says."""
MOST_FRAME_BYTES = SEGMENT_BYTES + (1 << 20)
BLOCK_BYTES = 1 << 20
TYPICAL_RECORD_BYTES = 4096
"""No file of a hub needs a record for less: more of them would only cost time."""

MOST_PREFIX_SHARE = 32
"""A gap and the match after it are two chunks, of at least 32 KiB, and the prefix of a short gap is
half a MiB: with the 5 times its length of a long one, ``making`` never comes to more than 21."""

COPY, PATCH, DIFFERENCE = 0, 1, 2
HEADER = struct.Struct(f"<{len(MAGIC)}sQQ")
RECORD = struct.Struct("<BQQQI")


@dataclass(frozen=True, slots=True)
class Header:
    """The sizes in bytes of the file a delta is from and of the one it is to."""

    old_bytes: int
    new_bytes: int

    def packed(self) -> bytes:
        return HEADER.pack(MAGIC, self.old_bytes, self.new_bytes)

    @classmethod
    def read(cls, delta: BinaryIO) -> Self:
        """UntrustedError where ``delta`` is none."""
        try:
            magic, old, new = HEADER.unpack(delta.read(HEADER.size))
        except struct.error as error:
            raise malformed() from error
        if magic != MAGIC:
            raise malformed()
        return cls(old, new)

    @property
    def most_records(self) -> int:
        return self.new_bytes // TYPICAL_RECORD_BYTES + 16

    @property
    def most_prefix_bytes(self) -> int:
        """How long all prefixes together may be: reading them is work, too."""
        return self.new_bytes * MOST_PREFIX_SHARE + 2 * MOST_PREFIX_BYTES


@dataclass(frozen=True, slots=True)
class Record:
    """What yields the next ``new_length`` bytes; its frame follows where ``frame_length`` is."""

    kind: int
    old_offset: int
    old_length: int
    new_length: int
    frame_length: int = 0

    def packed(self) -> bytes:
        return RECORD.pack(
            self.kind, self.old_offset, self.old_length, self.new_length, self.frame_length
        )

    @classmethod
    def read(cls, delta: BinaryIO, header: Header, done: int) -> Self:
        """The next record, for the bytes from ``done`` on; UntrustedError if it cannot be one."""
        try:
            record = cls(*RECORD.unpack(delta.read(RECORD.size)))
        except struct.error as error:
            raise malformed() from error
        if not 0 < record.new_length <= header.new_bytes - done:
            raise malformed()
        if record.old_offset + record.old_length > header.old_bytes or not record._is_bounded():
            raise malformed()
        return record

    def _is_bounded(self) -> bool:
        if self.kind == COPY:
            return self.old_length == self.new_length and not self.frame_length
        if not 0 < self.frame_length <= MOST_FRAME_BYTES or self.new_length > SEGMENT_BYTES:
            return False
        if self.kind == PATCH:
            return self.old_length <= MOST_PREFIX_BYTES
        return self.kind == DIFFERENCE and self.old_length == self.new_length


def malformed() -> UntrustedError:
    """The error for a delta that is not what it must be."""
    return UntrustedError(t("hub_delta.malformed"), t("hub_delta.malformed_hint"))
