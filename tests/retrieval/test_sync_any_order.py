"""Whatever happens to the files of a folder: after a sync the library is as if it were new."""

from __future__ import annotations

import os
import shutil
import zipfile
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ondol.database import IN_MEMORY
from ondol.retrieval.library import Library
from ondol.retrieval.terms import terms
from tests.retrieval.fake_embedder import FakeEmbedder

NAMES = st.sampled_from(["a.md", "b.md", "c.txt", "d.py", "sub/a.md", "sub/e.md", "sub/deep/f.txt"])
WORDS = st.sampled_from("apples bears cellos dunes eels ferns".split())
TEXTS = st.lists(WORDS, min_size=0, max_size=4).map(
    lambda words: "\n\n".join(f"# {word}\n\nAll about {word}." for word in words)
)


class Files(RuleBasedStateMachine):
    """A folder that somebody works in, and a library that is synced now and then."""

    @initialize()
    def begin(self) -> None:
        self.top = Path(mkdtemp(prefix="ondol-sync-"))
        self.folder = self.top / "folder"
        self.folder.mkdir()
        self.library = Library(IN_MEMORY, FakeEmbedder())
        self.library.add([self.folder])
        self.clock = 10**18
        self.is_synced = True

    def teardown(self) -> None:
        if hasattr(self, "top"):
            self.sync()
            self.is_as_if_it_were_new()
            self.library.close()
            shutil.rmtree(self.top)

    def _changed(self, path: Path) -> None:
        # Two changes within one tick of the clock would not be told apart by anybody.
        self.clock += 10**9
        os.utime(path, ns=(self.clock, self.clock))
        self.is_synced = False

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.rglob("*") if path.is_file())

    @rule(name=NAMES, text=TEXTS)
    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        self._changed(path)

    @rule(name=st.sampled_from(["x.zip", "sub/y.zip"]), texts=st.lists(TEXTS, max_size=3))
    def pack(self, name: str, texts: list[str]) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("always.md", "# always\n\nAll about always.")
            for number, text in enumerate(texts):
                archive.writestr(f"{number}.md", text)
        self._changed(path)

    @precondition(lambda self: self._files())
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._files())).unlink()
        self.is_synced = False

    @precondition(lambda self: self._files())
    @rule(data=st.data(), name=NAMES)
    def move(self, data: st.DataObject, name: str) -> None:
        path, target = data.draw(st.sampled_from(self._files())), self.folder / name
        if path.suffix == ".zip":
            target = target.with_suffix(".zip")
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
        self.is_synced = False

    @precondition(lambda self: self._files())
    @rule(data=st.data(), name=NAMES)
    def copy(self, data: st.DataObject, name: str) -> None:
        path, target = data.draw(st.sampled_from(self._files())), self.folder / name
        if path.suffix == ".zip":
            target = target.with_suffix(".zip")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target != path:
            shutil.copyfile(path, target)
            self._changed(target)

    @precondition(lambda self: (self.folder / "sub").is_dir())
    @rule(name=st.sampled_from(["other", "sub2"]))
    def move_folder(self, name: str) -> None:
        if not (self.folder / name).exists():
            (self.folder / "sub").rename(self.folder / name)
            self.is_synced = False

    @rule()
    def break_a_file(self) -> None:
        path = self.folder / "broken.txt"
        path.write_bytes(bytes(range(256)) * 20)
        self._changed(path)

    @rule(number=st.integers(1, 3))
    def sync_often(self, number: int) -> None:
        self.sync()

    @rule()
    def sync(self) -> None:
        self.library.sync()
        self.is_synced = True

    @invariant()
    def is_as_if_it_were_new(self) -> None:
        if not getattr(self, "is_synced", False):
            return
        fresh = Library(IN_MEMORY, FakeEmbedder())
        try:
            fresh.add([self.folder])
            assert contents(self.library) == contents(fresh)
            check(self.library)
            for word in ("apples", "bears", "always"):
                assert found(self.library, word) == found(fresh, word)
                assert bool(self.library.search(word)) == bool(fresh.search(word))
        finally:
            fresh.close()


def contents(library: Library) -> object:
    """Everything that must not depend on how the library came to be: which of several documents
    that are the same holds the text may."""
    documents = library._connection.execute(
        "SELECT source, content_hash, media_type, title, collection, sensitivity, container, "
        "language, duplicate_of IS NULL AND num_chunks = 0 FROM documents ORDER BY source"
    ).fetchall()
    texts = library._connection.execute(
        "SELECT text, heading, start, spans, d.content_hash, e.passage, e.sentences FROM chunks c "
        "JOIN documents d ON d.id = c.document_id JOIN embeddings e ON e.chunk_id = c.id "
        "ORDER BY d.content_hash, d.media_type, c.start"
    ).fetchall()
    failures = [(f.source, f.reason) for f in library.failures()]
    return documents, texts, failures


def found(library: Library, word: str) -> list[tuple[str, str]]:
    """What the keyword index has for a word; ``search`` shows only one of texts that are alike."""
    found = library._connection.execute(
        "SELECT c.heading, c.text FROM chunk_terms t JOIN chunks c ON c.id = t.rowid "
        "WHERE t.terms MATCH ? ORDER BY c.heading, c.text",
        (terms(word)[0],),
    )
    return [(heading, text) for heading, text in found.fetchall()]


def check(library: Library) -> None:
    """The rows agree with each other."""

    def count(sql: str) -> int:
        return int(library._connection.execute(sql).fetchone()[0])

    chunks = count("SELECT count(*) FROM chunks")
    assert count("SELECT sum(num_chunks) FROM documents" if chunks else "SELECT 0") == chunks
    assert count("SELECT count(*) FROM chunk_terms") == chunks
    assert count("SELECT count(*) FROM embeddings") == chunks
    assert (
        count(
            "SELECT count(*) FROM documents d WHERE num_chunks != "
            "(SELECT count(*) FROM chunks c WHERE c.document_id = d.id)"
        )
        == 0
    )
    assert count("SELECT count(*) FROM pragma_foreign_key_check") == 0
    assert (
        count(
            "SELECT count(*) FROM documents d JOIN documents h ON h.id = d.duplicate_of "
            "WHERE h.content_hash != d.content_hash OR h.duplicate_of IS NOT NULL"
        )
        == 0
    )


TestFiles = pytest.mark.timeout(600)(Files.TestCase)
TestFiles.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
