"""A file into the collection of one conversation: read, embedded and stored like any other, but not
followed, and out of everybody else's sight."""

from __future__ import annotations

import threading
from pathlib import Path

from ondol import database
from ondol.database import Connection
from ondol.retrieval import files, rows, sight
from ondol.retrieval.folders import Folder
from ondol.retrieval.ingest import Ingest
from ondol.retrieval.reading import Job
from ondol.retrieval.storing import Gone


def attach(
    connection: Connection, lock: threading.RLock, ingest: Ingest, file: Path, conversation: str
) -> str:
    """Bring ``file`` into the library for ``conversation`` alone; why it could not be read, or "".
    It is as private as can be, whatever the settings say of others."""
    name = sight.collection_of(conversation)
    found = list(files.scan([file]))
    with lock, database.transaction(connection) as transaction:
        rows.ensure_collection(transaction, name)
    ingest.tally.total = len(found)
    ingest.run([Job(one, Folder(str(file), name), is_anew=True) for one in found], Gone())
    with lock, database.transaction(connection) as transaction:
        # Its reason is kept with the conversation.
        rows.delete_failures(transaction, str(file))
    own = [failure.reason for failure in ingest.tally.report().failed]
    with lock:
        has_any = connection.execute("SELECT 1 FROM documents WHERE source = ?", (str(file),))
        return "" if has_any.fetchone() else next(iter(own), "")
