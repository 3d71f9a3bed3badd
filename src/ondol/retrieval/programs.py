"""The optional programs that read documents: what failed is tried again when one has come."""

from __future__ import annotations

from ondol import database
from ondol.database import Connection
from ondol.retrieval.loaders import ocr

_NAME = "programs"


def has_new(connection: Connection) -> bool:
    """Whether a program is here now that was not when something failed last."""
    return _noted(connection) != "tesseract" and ocr.is_available()


def note(connection: Connection) -> None:
    """Remember which programs are here, where something has failed. Not inside a transaction."""
    (has_failures,) = connection.execute("SELECT EXISTS (SELECT 1 FROM failures)").fetchone()
    if not has_failures:
        return
    here = "tesseract" if ocr.is_available() else ""
    if _noted(connection) != here:
        with database.transaction(connection):
            connection.execute(
                "INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (_NAME, here)
            )


def _noted(connection: Connection) -> str | None:
    row = connection.execute(
        "SELECT value FROM library_settings WHERE name = ?", (_NAME,)
    ).fetchone()
    return str(row[0]) if row else None
