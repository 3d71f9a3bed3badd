"""The one file: migrated once, all or nothing, and nothing left behind."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from ondol.database import IN_MEMORY, connect, migrate, transaction
from ondol.errors import DocumentError, StorageError
from ondol.retrieval.packed import cosines, unpack_spans
from ondol.schema import MIGRATIONS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "ondol.db"


def test_new_database_is_at_the_newest_version(file: Path) -> None:
    connection = connect(file)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert connection.execute("PRAGMA secure_delete").fetchone()[0] == 1


def test_migrating_again_changes_nothing(file: Path) -> None:
    connection = connect(file)
    connection.execute("UPDATE changes SET counter = 7")
    migrate(connection)
    assert connect(file).execute("SELECT counter FROM changes").fetchone()[0] == 7


def test_several_first_openings_at_once_migrate_once(file: Path) -> None:
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            connect(file).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert connect(file).execute("SELECT count(*) FROM changes").fetchone()[0] == 1


def test_failed_transaction_leaves_nothing(file: Path) -> None:
    connection = connect(file)
    with pytest.raises(ZeroDivisionError), transaction(connection):
        connection.execute("UPDATE changes SET counter = 99")
        raise ZeroDivisionError
    assert connection.execute("SELECT counter FROM changes").fetchone()[0] == 0
    assert not connection.in_transaction


def test_folder_instead_of_a_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written"):
        connect(tmp_path)


def test_other_file_is_refused_and_untouched(file: Path) -> None:
    file.parent.mkdir()
    content = b"SQLite format 3\x00 but not really" * 100
    file.write_bytes(content)
    with pytest.raises(DocumentError) as caught:
        connect(file)
    assert caught.value.hint
    assert file.read_bytes() == content


def test_in_memory_database_has_the_same_schema() -> None:
    connection = connect(IN_MEMORY)
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert {"documents", "chunks", "embeddings", "chunk_terms"} <= tables


def test_database_of_the_first_release_keeps_its_documents(file: Path) -> None:
    """Version 1 as issue 2 released it: a chunk of two sentences, one of them unreadable."""
    from sqlcipher3 import dbapi2 as sqlite

    file.parent.mkdir()
    old = sqlite.connect(str(file), isolation_level=None)
    MIGRATIONS[0](old)
    old.execute("PRAGMA user_version = 1")
    vector = np.zeros(8, dtype=np.float16)
    vector[3] = 1.0
    old.execute(
        "INSERT INTO documents VALUES (1, '/a.md', 'h', 9, 9, 'text/plain', 'A', 'notes', 0, 1, "
        "'minilm', '2026-11-20')"
    )
    old.execute(
        "INSERT INTO chunks VALUES (5, 1, 100, 130, NULL, '', 'One is red. Zwei.', ?)",
        (vector.tobytes(),),
    )
    old.execute("INSERT INTO sentences VALUES (5, 100, 111, ?)", (vector.tobytes(),))
    old.execute("INSERT INTO sentences VALUES (5, 112, 117, x'')")
    old.close()
    connection = connect(file)
    spans, sentences = connection.execute(
        "SELECT c.spans, e.sentences FROM chunks c JOIN embeddings e ON e.chunk_id = c.id"
    ).fetchone()
    assert unpack_spans(spans, 100) == [(100, 111), (112, 117)]
    query = np.eye(8, dtype=np.float32)[3]
    assert cosines(sentences, query) == pytest.approx([1.0, 0.0])
    assert connection.execute("SELECT name, sensitivity FROM collections ORDER BY name").fetchall()
    assert connection.execute(
        "SELECT min(l.sensitivity, d.sensitivity) FROM documents d "
        "JOIN collections l ON l.name = d.collection"
    ).fetchone() == (0,)
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
