"""Locking the library with a passphrase, unlocking it, and giving it another passphrase.

All three write the whole database anew (``ondol.exchange``): there is no moment at which a kill
leaves anything but the old file or the new one. A passphrase that is lost cannot be replaced.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path

from ondol import cipher, exchange, keys, leftovers, paths
from ondol.cipher import Connection
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.keys import Key

TRAINING = "training"
STATES = "states"
MEMORY = Path("/dev/shm")


def lock(file: Path, passphrase: str) -> None:
    """Encrypt the database with ``passphrase``, whether it is plain or locked with another one.

    Raises ``LockedError`` when it is locked and cannot be opened first, ``StorageError`` while
    another process has it open; nothing is changed then.
    """
    if not passphrase:
        raise UsageError(t("encryption.empty_passphrase"))
    _rewrite(file, keys.new_key(passphrase))
    # What was read of them is in the library; beside it they would be open to anybody.
    for attached in paths.attachments_dir().glob("*/*"):
        leftovers.erase(attached)
    # What is learned from goes too, and with it what was learned so far.
    _empty(paths.data_dir() / TRAINING)
    _empty(paths.data_dir() / STATES)


def unlock(file: Path) -> None:
    """Make the database a plain SQLite file again; raises as ``lock`` does."""
    _rewrite(file, None)
    memory = in_memory()
    if memory is not None:
        _empty(memory / TRAINING)
        _empty(memory / STATES)
    # They were sealed with a key that is gone.
    _empty(paths.data_dir() / STATES)


def trainings() -> Path:
    """The folder of the folders in which trainings work, with what they learn from: in memory while
    the owner's library is locked, where the system has such a folder (Linux), so that nothing of it
    is plain on disk. It outlives a process that is killed, and no restart of the machine."""
    if is_locked(paths.database_file()):
        memory = in_memory()
        if memory is not None:
            return memory / TRAINING
    return paths.data_dir() / TRAINING


def in_memory() -> Path | None:
    """A folder in memory for the owner alone, one for each house; None where there is none."""
    if not MEMORY.is_dir():
        return None
    house = hashlib.sha256(str(paths.data_dir()).encode()).hexdigest()[:16]
    folder = MEMORY / f"ondol-{os.getuid()}-{house}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    # Everybody may write beside it: another's folder, or a link, is none for secrets.
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return folder if is_ours and not found.st_mode & 0o077 else None


def _empty(folder: Path) -> None:
    """Overwrite and remove the files below ``folder``; locks hold nothing, and may be held."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            with suppress(OSError):
                path.rmdir()
        elif path.suffix != ".lock":
            leftovers.erase(path)


def is_locked(file: Path) -> bool:
    """Whether the database is there and encrypted; asks for no passphrase."""
    return cipher.is_encrypted(file)


def _rewrite(file: Path, key: Key | None) -> None:
    def make(connection: Connection, target: Path) -> None:
        exchange.verify(target, exchange.copy(connection, target, key))

    exchange.exchange(file, make)
