"""Changes config.toml: comments in it stay, and the file is replaced at once or not at all.

What is written has been checked before (``config.parse``). Raises ``ConfigError`` for a file that
cannot be read and ``StorageError`` for one that cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import paths, whole_file
from ondol.config import Value, read_file

if TYPE_CHECKING:
    import tomlkit


def write(file: Path, changes: Mapping[str, Value | None]) -> None:
    """Set these settings by dotted name; ``None`` takes one out of the file."""
    document = _read(file)
    has_changed = False
    for name, value in changes.items():
        if value is None:
            has_changed |= _take(document, name)
        else:
            _put(document, name, list(value) if isinstance(value, tuple) else value)
            has_changed = True
    if has_changed:
        _write(file, document)


def _read(file: Path) -> tomlkit.TOMLDocument:
    import tomlkit

    read_file(file)  # says what is wrong with it, if anything
    return tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()


def _write(file: Path, document: tomlkit.TOMLDocument) -> None:
    import tomlkit

    paths.ensure(file.parent)
    # It may hold a key: nobody else's business.
    whole_file.write(file, tomlkit.dumps(document))


def _put(document: Any, name: str, value: object) -> None:
    import tomlkit

    table, _, key = name.rpartition(".")
    if table and table not in document:
        document[table] = tomlkit.table()
    (document[table] if table else document)[key] = value


def _take(document: Any, name: str) -> bool:
    table, _, key = name.rpartition(".")
    place = document.get(table, {}) if table else document
    return place.pop(key, None) is not None
