"""Another embedder takes over: no search fails, nothing is missing, nothing of the old stays."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ondol import database, paths
from ondol.retrieval import reembedding
from ondol.retrieval.embedders import Embedders
from ondol.retrieval.embedding import OnnxEmbedder, PassageVectors
from ondol.retrieval.library import Library

WORDS = "boiler garden lease piano violin passport router washing insurance bicycle".split()


class BagEmbedder:
    """Vectors of the words in a text, of as many dimensions as its name says: ``bag:24``."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.dimensions = int(model.partition(":")[2])
        self.calls = 0

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> np.ndarray:
        self.calls += len(texts)
        rows = np.full((len(texts), self.dimensions), 1e-3, dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().replace(".", " ").replace("?", " ").split():
                row[zlib.crc32(word.encode()) % self.dimensions] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def embed_passages(self, texts: Sequence[str], spans: Sequence[Sequence[Any]]) -> list[Any]:
        return [
            PassageVectors(self.embed([text])[0], self.embed([text[a:b] for a, b in mine] or [""]))
            for text, mine in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return True


def bags(wanted: str = "bag:24") -> Embedders:
    return Embedders(lambda: wanted, BagEmbedder)


def fill(library: Library, count: int = 20, first: int = 0) -> None:
    for i in range(first, first + count):
        word = WORDS[i % len(WORDS)]
        library.add_text(
            f"note {i}", f"Note number{i} tells of the {word}. It cost {i * 10} euros."
        )


def models(library: Library) -> dict[str, int]:
    rows = library._connection.execute("SELECT model, count(*) FROM embeddings GROUP BY model")
    return dict(rows.fetchall())


@pytest.fixture
def filled(home: Path) -> Iterator[Library]:
    library = Library(paths.database_file(), bags())
    fill(library)
    yield library
    library.close()


def sources(library: Library, query: str) -> list[str]:
    return [hit.chunk.source for hit in library.search(query, limit=3)]


def test_settings_change_nothing_until_reembedding_has_run(filled: Library) -> None:
    changed = Library(paths.database_file(), bags("bag:32"))
    fill(changed, 5, first=20)
    assert sources(changed, "number7 washing")[0] == "note 7"
    assert models(changed) == {"bag:24": 25}
    report = changed.reembed()
    assert (report.model, report.previous, report.chunks) == ("bag:32", "bag:24", 25)
    assert models(changed) == {"bag:32": 25}
    assert sources(changed, "number7 washing")[0] == "note 7"
    assert len(changed._vectors.index) == 25
    # The process that was there before follows at its next search.
    assert sources(filled, "number22 lease")[0] == "note 22"
    assert filled._vectors.index.search(np.ones(32, dtype=np.float32), 1)
    changed.close()


def test_searches_keep_to_the_old_model_and_what_is_added_meanwhile_is_not_missed(
    filled: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reembedding, "EMBEDDED_AT_ONCE", 3)
    seen = []

    def look(completed: int, total: int) -> None:
        if completed == 3:
            fill(filled, 4, first=20)
            filled.forget(matching="number3")
        assert sources(filled, "number21 garden")[0] == "note 21"
        current = filled._vectors.embedder(filled._connection).model
        seen.append((completed, total, current))

    report = filled.reembed("bag:16", on_progress=look)
    assert {model for _, _, model in seen} == {"bag:24"}
    assert all(completed <= total for completed, total, _ in seen)
    assert models(filled) == {"bag:16": 23}
    assert report.chunks >= 23
    assert sources(filled, "number21 garden")[0] == "note 21"


def test_add_that_began_before_the_switch_is_caught_up(filled: Library) -> None:
    other = Library(paths.database_file(), bags())
    with other._adding() as adding:
        filled.reembed("bag:16")
        from ondol.types import Document

        adding.add_text(Document(source="late", text="A late note on zebras.", media_type="t"))
    assert models(filled) == {"bag:16": 21}
    assert sources(filled, "zebras")[0] == "late"
    other.close()


def test_reembedding_with_the_same_model_embeds_nothing(filled: Library) -> None:
    assert filled.reembed().chunks == 0
    assert models(filled) == {"bag:24": 20}


def test_empty_library_takes_the_new_model(home: Path) -> None:
    library = Library(paths.database_file(), bags())
    assert library.reembed("bag:8").chunks == 0
    fill(library, 2)
    assert models(library) == {"bag:8": 2}
    library.close()


def test_library_from_before_it_kept_the_name_stays_with_its_vectors(filled: Library) -> None:
    filled._connection.execute("DELETE FROM library_settings")
    changed = Library(paths.database_file(), bags("bag:32"))
    fill(changed, 1, first=20)
    assert models(changed) == {"bag:24": 21}
    changed.close()


CHILD = """
import sys, time
from ondol import paths
from ondol.retrieval import reembedding
from ondol.retrieval.library import Library
from tests.retrieval.test_reembedding import bags
reembedding.EMBEDDED_AT_ONCE = 2
reembedding.DELETED_AT_ONCE = 5
library = Library(paths.database_file(), bags(sys.argv[1]))
print("ready", flush=True)
library.reembed(on_progress=lambda completed, total: print(completed, flush=True))
print("done", flush=True)
"""


def kill_once(model: str, chooser: random.Random) -> None:
    """Re-embed in another process and kill it at a random moment."""
    command = [sys.executable, "-c", CHILD, model]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(chooser.randrange(1, 14)):
            child.stdout.readline()
        time.sleep(chooser.random() * 0.02)
        child.send_signal(signal.SIGKILL)


def check_whole() -> None:
    """Every chunk can be found with the model that the library says it has."""
    connection = database.connect(paths.database_file())
    (model,) = connection.execute(
        "SELECT value FROM library_settings WHERE name = 'embedding_model'"
    ).fetchone()
    missing = connection.execute(
        "SELECT count(*) FROM chunks c WHERE NOT EXISTS (SELECT 1 FROM embeddings e "
        "WHERE e.chunk_id = c.id AND e.model = ?)",
        (model,),
    ).fetchone()
    assert missing == (0,)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    library = Library(paths.database_file(), bags(model))
    assert sources(library, "number7 washing")[0] == "note 7"
    library.close()


def test_killed_reembedding_leaves_a_whole_library_and_goes_on(filled: Library) -> None:
    chooser = random.Random(3)
    for i in range(6):
        kill_once(f"bag:{8 + 8 * (i // 3)}", chooser)
        check_whole()
    report = filled.reembed("bag:16")
    assert models(filled) == {"bag:16": 20}
    assert report.chunks <= 20


@pytest.mark.model
def test_switch_to_the_real_embedder(filled: Library, embedder: OnnxEmbedder) -> None:
    both = Embedders(
        lambda: embedder.model,
        lambda name: embedder if name == embedder.model else BagEmbedder(name),
    )
    library = Library(paths.database_file(), both)
    assert library.reembed().chunks == 20
    assert sources(library, "How much did the instrument with strings cost?")[0] in {
        "note 3", "note 4", "note 13", "note 14",
    }  # fmt: skip
    library.close()
