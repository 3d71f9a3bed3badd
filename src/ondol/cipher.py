"""Opens a database file, plain or encrypted, and says which of the two it is.

A locked library is a SQLCipher 4 database with a raw key, derived from the passphrase and
from the random salt that the file begins with; nothing else is needed to open it, so there is no
second file that could be lost. Raises ``LockedError``; SQLite's own errors pass through.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ondol import keys
from ondol.keys import Key

Connection = Any

PLAIN_HEADER = b"SQLite format 3\0"
PAGE_BYTES = 4096
# SQLCipher reads no page before the key is used, so that any will do to ask for the salt.
ANY_KEY = Key(bytes(keys.KEY_BYTES), b"")


def open_file(file: Path, *, timeout_seconds: float) -> Connection:
    """A connection to ``file``, with its key if it has one. A file that is empty stays plain unless
    a passphrase was given to this process: then it is encrypted from its first byte."""
    from sqlcipher3 import dbapi2 as sqlite

    salt = salt_of(file)
    connection = sqlite.connect(
        str(file), isolation_level=None, check_same_thread=False, timeout=timeout_seconds
    )
    try:
        if salt is not None:
            _unlock(connection, file, salt)
        elif file.exists() and _is_empty(file) and (passphrase := keys.given()):
            _begin(connection, file, keys.new_key(passphrase))
    except BaseException:
        connection.close()
        raise
    return connection


def is_encrypted(file: Path) -> bool:
    """Whether ``file`` is there and needs a key."""
    return file.exists() and salt_of(file) is not None


def salt_of(file: Path) -> bytes | None:
    """The salt that ``file`` begins with; None when it is plain, empty or not there.

    SQLite itself reads it: were we to open and close the file, POSIX would drop all locks that this
    process holds on it.
    """
    from sqlcipher3 import dbapi2 as sqlite

    if _is_empty(file):
        return None
    connection = sqlite.connect(str(file), isolation_level=None)
    try:
        use(connection, ANY_KEY)
        found = connection.execute("PRAGMA cipher_salt").fetchone()
    finally:
        connection.close()
    salt = bytes.fromhex(found[0])
    return None if salt == PLAIN_HEADER else salt


def key_of(file: Path) -> Key | None:
    """The key with which this process opened ``file``; None when it is plain."""
    salt = salt_of(file)
    return None if salt is None else keys.known(salt)


def opens_with(file: Path, passphrase: str) -> bool:
    """Whether ``passphrase`` opens ``file``, an encrypted one."""
    from sqlcipher3 import dbapi2 as sqlite

    salt = salt_of(file)
    connection = sqlite.connect(str(file), isolation_level=None)
    try:
        return salt is not None and any(
            fits(connection, keys.derive(passphrase, salt, parameters))
            for parameters in keys.PARAMETERS
        )
    finally:
        connection.close()


def use(connection: Connection, key: Key) -> None:
    """Give ``connection`` its key. Whether it fits shows at the first read."""
    # It would print every wrong passphrase as three lines of its own on stderr.
    connection.execute("PRAGMA cipher_log_level = NONE")
    connection.execute(f'PRAGMA key = "{key.raw}"')


def fits(connection: Connection, key: Key) -> bool:
    """Whether ``key`` opens the file of ``connection``."""
    from sqlcipher3 import dbapi2 as sqlite

    use(connection, key)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite.DatabaseError as error:
        if "not a database" not in str(error):
            raise
        return False
    return True


def _begin(connection: Connection, file: Path, key: Key) -> None:
    """Encrypt an empty file with ``key``, unless another process has just been quicker."""
    from sqlcipher3 import dbapi2 as sqlite

    use(connection, key)
    try:
        # Writes the first page, and with it the salt.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
        keys.remember(key)
    except sqlite.DatabaseError as error:
        salt = salt_of(file)
        if "not a database" not in str(error) or salt is None:
            raise
        _unlock(connection, file, salt)


def _unlock(connection: Connection, file: Path, salt: bytes) -> None:
    from sqlcipher3 import dbapi2 as sqlite

    if file.stat().st_size % PAGE_BYTES or not any(salt):
        # No locked library has such a size, or such a beginning (one that was zeroed out); a
        # passphrase would be asked for in vain.
        raise sqlite.DatabaseError("file is not a database")
    with keys.lock:
        known = keys.known(salt)
        if known is not None and fits(connection, known):
            return
        has_tried = False
        for passphrase in keys.passphrases(file):
            has_tried = True
            for parameters in keys.PARAMETERS:
                key = keys.derive(passphrase, salt, parameters)
                if fits(connection, key):
                    keys.remember(key)
                    return
    raise keys.refusal(file, has_tried)


def _is_empty(file: Path) -> bool:
    try:
        return os.stat(file).st_size == 0
    except FileNotFoundError:
        return True
