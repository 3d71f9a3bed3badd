"""Locking the library with a passphrase, unlocking it, and giving it another passphrase.

All three write the whole database anew (``ondol.exchange``): there is no moment at which a kill
leaves anything but the old file or the new one. A passphrase that is lost cannot be replaced.
"""

from __future__ import annotations

from pathlib import Path

from ondol import cipher, exchange, keys
from ondol.cipher import Connection
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.keys import Key


def lock(file: Path, passphrase: str) -> None:
    """Encrypt the database with ``passphrase``, whether it is plain or locked with another one.

    Raises ``LockedError`` when it is locked and cannot be opened first, ``StorageError`` while
    another process has it open; nothing is changed then.
    """
    if not passphrase:
        raise UsageError(t("encryption.empty_passphrase"))
    _rewrite(file, keys.new_key(passphrase))


def unlock(file: Path) -> None:
    """Make the database a plain SQLite file again; raises as ``lock`` does."""
    _rewrite(file, None)


def is_locked(file: Path) -> bool:
    """Whether the database is there and encrypted; asks for no passphrase."""
    return cipher.is_encrypted(file)


def _rewrite(file: Path, key: Key | None) -> None:
    def make(connection: Connection, target: Path) -> None:
        exchange.verify(target, exchange.copy(connection, target, key))

    exchange.exchange(file, make)
