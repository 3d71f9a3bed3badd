"""One encrypted file that holds the library and the settings, and the way back from it.

A backup is a SQLCipher database like a locked library, with one table more: what it is and what it
must hold. It counts as made when it has been restored into a file of its own and found to hold the
same rows. Models are not in it: they can be fetched again. Raises ``DocumentError`` for a file that
is no sound backup, ``LockedError`` for a wrong passphrase, ``StorageError``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ondol import __version__, cipher, database, exchange, keys, leftovers, paths
from ondol.carrying import carry_ledger
from ondol.cipher import Connection
from ondol.errors import DocumentError, LockedError, UsageError
from ondol.exchange import Contents
from ondol.i18n import t
from ondol.keys import Key

TABLE = "ondol_backup"
FORMAT = 1
TRIAL = ".trial"
PART = ".part"
ASIDE = ".replaced"


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup is of."""

    file: str
    created_at: str
    documents: int
    size_bytes: int
    has_config: bool
    was_locked: bool


@dataclass(frozen=True, slots=True)
class Restored:
    """What came of a restore. ``config`` is "restored", "kept" (there was one already) or "none";
    ``kept`` names what was moved aside because it could not be opened."""

    backup: Backup
    is_locked: bool
    config: str
    kept: tuple[str, ...] = ()


def backup(
    file: Path, target: Path, config: Path, *, passphrase: str | None = None, force: bool = False
) -> Backup:
    """Write the database ``file`` and the settings in ``config`` to ``target``, while others may be
    writing to it. A locked library's backup has its passphrase; that of a plain one needs
    ``passphrase``. An existing ``target`` is replaced only with ``force``."""
    check_target(file, target, force=force)
    part = target.with_name(f".{target.name}.{os.getpid()}{PART}")
    trial = file.with_name(f"{file.name}.{os.getpid()}{TRIAL}")
    try:
        with closing(database.connect(file)) as connection:
            own = cipher.key_of(file)
            if own is None and not passphrase:
                raise UsageError(t("encryption.backup_needs_passphrase"))
            key = keys.new_key(passphrase) if own is None and passphrase else own
            assert key is not None
            sweep(file, target)
            held = exchange.copy(connection, part, key)
        _describe(part, held, was_locked=own is not None, config=_read(config))
        leftovers.sync(part)
        with closing(exchange.open_copy(part)) as written:
            _unpack(written, trial, key)
            made = _facts(written, target, part.stat().st_size)
        part.replace(target)
        leftovers.sync(target.parent)
    except OSError as error:
        raise paths.storage_error(error, target) from error
    finally:
        part.unlink(missing_ok=True)
        trial.unlink(missing_ok=True)
    return made


def check_target(file: Path, target: Path, *, force: bool) -> None:
    """Raise ``UsageError`` when no backup of ``file`` may be written to ``target``."""
    if target.exists() and file.exists() and target.samefile(file):
        raise UsageError(t("encryption.backup_onto_itself"))
    if target.exists() and not force:
        raise UsageError(
            t("encryption.backup_exists", file=target), t("encryption.backup_exists_hint")
        )


def restore(source: Path, file: Path, config: Path, *, force: bool = False) -> Restored:
    """Put the library of the backup ``source`` in the place of ``file``, and its settings where
    there are none. The library has the backup's passphrase, or none if neither that in the backup
    nor the present one had any.

    A library that holds something is replaced, and settings are, only with ``force``. One that
    cannot be opened, for it is damaged or its passphrase is lost, is then moved aside. The ledger
    is not taken back: its newer entries stay.
    """
    if not source.is_file():
        raise DocumentError(t("encryption.no_backup", file=source))
    with closing(_open(source)) as opened:
        facts = _facts(opened, source, source.stat().st_size)

        def key() -> Key | None:
            # Of the library that is here now, which the exchange makes where there is none.
            is_wanted = facts.was_locked or cipher.is_encrypted(file)
            return cipher.key_of(source) if is_wanted else None

        def make(connection: Connection, target: Path) -> None:
            if not force and exchange.num_rows(connection):
                raise UsageError(
                    t("encryption.not_empty", file=file), t("encryption.not_empty_hint")
                )
            _unpack(opened, target, key())
            with closing(exchange.open_copy(target)) as written:
                carry_ledger(connection, written)

        kept: tuple[str, ...] = ()
        try:
            exchange.exchange(file, make)
        except DocumentError:
            # Of the library that is here, or of the backup: then this says so again.
            if not force or not file.exists():
                raise
            kept = replace_unreadable(file, lambda target: _unpack(opened, target, key()))
        saved = _saved(opened, "config")
    return Restored(facts, cipher.is_encrypted(file), _restore_config(saved, config, force), kept)


def replace_unreadable(file: Path, write: Callable[[Path], None]) -> tuple[str, ...]:
    """Put what ``write(target)`` writes in the place of a library that does not open, and move that
    one aside; its new names."""
    target = leftovers.new(file)
    leftovers.erase(target)
    try:
        write(target)
        with exchange.alone_with_unreadable(file):
            stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
            aside = file.with_name(f"{file.name}{ASIDE}-{stamp}")
            try:
                os.link(file, aside)
            except OSError:
                # No second names on this file system: for a moment there is no library at all.
                file.rename(aside)
            kept = [str(aside)]
            # With a WAL of another database beside it SQLite would take the new one for that.
            wal, beside = Path(f"{file}-wal"), Path(f"{aside}-wal")
            if wal.exists():
                wal.replace(beside)
                kept.append(str(beside))
            exchange.put(target, file, keep_name=False)
    except OSError as error:
        raise paths.storage_error(error, file) from error
    finally:
        leftovers.erase(target)
    return tuple(kept)


def _unpack(opened: Connection, target: Path, key: Key | None) -> None:
    """Write the library in a backup to ``target``, check that it is all that went in, and
    bring it up to date."""
    exchange.copy(opened, target, key)
    expected: Contents = {n: (c, d) for n, (c, d) in json.loads(_saved(opened, "contents")).items()}
    with closing(exchange.open_copy(target)) as library:
        library.execute("PRAGMA secure_delete = ON")
        library.execute(f"DROP TABLE {TABLE}")
    exchange.verify(target, expected)
    with closing(exchange.open_copy(target)) as library:
        database.migrate(library)
        # A vector server went on after the backup was made: it is filled anew.
        library.execute("DELETE FROM library_settings WHERE name GLOB 'vectors at *'")


def _describe(part: Path, held: Contents, *, was_locked: bool, config: bytes | None) -> None:
    facts: dict[str, Any] = {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": __version__,
        "was_locked": was_locked,
        "documents": held.get("documents", (0, ""))[0],
    }
    rows = {"facts": json.dumps(facts).encode(), "contents": json.dumps(held).encode()}
    if config is not None:
        rows["config"] = config
    with closing(exchange.open_copy(part)) as written, database.transaction(written):
        written.execute(f"CREATE TABLE {TABLE} (name TEXT PRIMARY KEY, value BLOB NOT NULL)")
        written.executemany(f"INSERT INTO {TABLE} VALUES (?, ?)", list(rows.items()))


def _open(source: Path) -> Connection:
    """A sound backup; its passphrase is asked for."""
    try:
        opened = exchange.open_copy(source)
        try:
            exchange.check_sound(opened, source)
        except BaseException:
            opened.close()
            raise
    except LockedError:
        raise
    except DocumentError as error:
        raise DocumentError(
            t("encryption.damaged_backup", file=source), t("encryption.damaged_backup_hint")
        ) from error
    return opened


def _facts(opened: Connection, file: Path, size_bytes: int) -> Backup:
    """What a backup says of itself; raises ``DocumentError`` when it is something else."""
    (is_one,) = opened.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = ?", (TABLE,)
    ).fetchone()
    if not is_one:
        raise DocumentError(
            t("encryption.not_a_backup", file=file), t("encryption.damaged_backup_hint")
        )
    facts = json.loads(_saved(opened, "facts"))
    if facts["format"] > FORMAT:
        raise DocumentError(t("core.newer_database"), t("core.newer_database_hint"))
    return Backup(
        file=str(file),
        created_at=facts["created_at"],
        documents=facts["documents"],
        size_bytes=size_bytes,
        has_config=bool(_saved(opened, "config")),
        was_locked=facts["was_locked"],
    )


def _saved(opened: Connection, name: str) -> bytes:
    row = opened.execute(f"SELECT value FROM {TABLE} WHERE name = ?", (name,)).fetchone()
    return bytes(row[0]) if row else b""


def _read(config: Path) -> bytes | None:
    try:
        return config.read_bytes()
    except FileNotFoundError:
        return None


def _restore_config(saved: bytes, config: Path, force: bool) -> str:
    if not saved:
        return "none"
    if config.exists() and not force:
        return "kept"
    paths.ensure(config.parent)
    temporary = config.with_suffix(f".{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(saved)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(config)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise paths.storage_error(error, config) from error
    return "restored"


def sweep(file: Path, target: Path | None = None) -> None:
    """Remove what killed backups left of ``file``, beside it and beside ``target``: it is
    encrypted, but it takes space, and holds what may have been forgotten since."""
    parts = target.parent.glob(f".{target.name}.*{PART}") if target else ()
    for leftover in (*file.parent.glob(f"{file.name}.*{TRIAL}"), *parts):
        pid = leftover.name.rsplit(".", 2)[1]
        if pid.isdecimal() and not _lives(int(pid)):
            leftover.unlink(missing_ok=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True
