"""Signed heads: how many entries there are, and the hash of the last one, signed by the device.

The newest head is in the database and in a file beside it, every ``INTERVAL``-th stays for good,
and home keeps those it was sent: who cuts entries off the end has to do so in all of these places.
Signatures are Ed25519 (RFC 8032). The file is written in one piece, after the entry is safe in the
database, so that it is never ahead of it.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import identity as identities
from ondol import paths
from ondol.database import Connection
from ondol.ledger.entries import canonical, now

if TYPE_CHECKING:
    from ondol.identity import Identity

INTERVAL = 64
"""A head stays after so many entries."""

PURPOSE = b"ondol ledger head 1\n"
"""What every signed head begins with, so that no other signature of the device passes for one."""

FILE_BYTES = 512


@dataclass(frozen=True, slots=True)
class Head:
    """``count`` entries end in ``hash``, says the owner of ``public_key`` (32 bytes)."""

    count: int
    time: str
    hash: bytes
    public_key: bytes
    signature: bytes

    @property
    def is_signed(self) -> bool:
        """Whether the signature is that of ``public_key``."""
        return identities.verify(self.public_key, self.signature, self._payload())

    def json(self) -> dict[str, Any]:
        """For a file, an export, or home."""
        binary = {"hash": self.hash, "public_key": self.public_key, "signature": self.signature}
        return {"count": self.count, "time": self.time} | {k: v.hex() for k, v in binary.items()}

    def _payload(self) -> bytes:
        return payload(self.count, self.time, self.hash)


def payload(count: int, time: str, hash: bytes) -> bytes:
    """The bytes that are signed."""
    said = canonical({"count": count, "hash": hash.hex(), "time": time})
    return PURPOSE + said.encode()


def sign(identity: Identity, count: int, hash: bytes) -> Head:
    """The head of a ledger of ``count`` entries, signed now."""
    time = now()
    return Head(count, time, hash, identity.public_key, identity.sign(payload(count, time, hash)))


def parse(text: str | bytes) -> Head | None:
    """What ``json`` wrote; ``None`` for anything else."""
    try:
        found = json.loads(text)
        binary = (bytes.fromhex(found[name]) for name in ("hash", "public_key", "signature"))
        return Head(int(found["count"]), str(found["time"]), *binary)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def read_file(file: Path | None) -> Head | None:
    """The head in ``file``; ``None`` when there is none, or nothing that can be read."""
    if file is None:
        return None
    try:
        with file.open("rb") as stream:
            return parse(stream.read(FILE_BYTES))
    except OSError:
        return None


def write_file(file: Path | None, head: Head, *, force: bool = False) -> None:
    """Put ``head`` into ``file``, unless a newer one of another process is there already; with
    ``force`` even then. Raises ``StorageError`` when it cannot be written."""
    if file is None:
        return
    # One write of one size: a kill leaves the old head or the new one.
    text = json.dumps(head.json()).encode().ljust(FILE_BYTES - 1) + b"\n"
    try:
        descriptor = _open(file)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            present = parse(os.pread(descriptor, FILE_BYTES, 0))
            if force or present is None or present.count < head.count:
                os.pwrite(descriptor, text, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise paths.storage_error(error, file) from error


def _open(file: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(file, flags, 0o600)
    except FileNotFoundError:
        paths.ensure(file.parent)
        return os.open(file, flags, 0o600)


def keep(connection: Connection, head: Head) -> None:
    """Write ``head`` to the database, for good at every ``INTERVAL``-th entry."""
    row = (head.count, head.time, head.hash, head.public_key, head.signature)
    connection.execute(
        "INSERT INTO ledger_head VALUES (1, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "count = excluded.count, time = excluded.time, hash = excluded.hash, "
        "public_key = excluded.public_key, signature = excluded.signature",
        row,
    )
    if head.count % INTERVAL == 0:
        connection.execute("INSERT INTO ledger_checkpoints VALUES (?, ?, ?, ?, ?)", row)


def newest(connection: Connection) -> Head | None:
    """The newest head in the database."""
    row = connection.execute(
        "SELECT count, time, hash, public_key, signature FROM ledger_head"
    ).fetchone()
    return None if row is None else of_row(row)


def of_row(row: Any) -> Head:
    """A head from a row of a table, whatever somebody has made of it."""
    count, time, *binary = row
    return Head(int(count), str(time), *(bytes(value) for value in binary))
