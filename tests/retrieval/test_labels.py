"""How far a text may travel, as somebody meets it who wants it to travel further than it may."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.database import IN_MEMORY, Connection, connect
from ondol.errors import (
    CollectionNotFoundError,
    DocumentError,
    DocumentNotFoundError,
    UsageError,
)
from ondol.retrieval.collections import Collections
from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.filters import Filter
from ondol.retrieval.library import Library
from ondol.types import Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity
TEXT = "The safe is opened with the number forty-two.\n"
QUESTION = "Which number opens the safe?"


class WordsOnly:
    """An embedder that can read nothing: words decide alone."""

    model = "none"
    dimensions = 4

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> np.ndarray:
        return np.zeros((len(texts), 4), dtype=np.float32)

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Any]]
    ) -> list[PassageVectors]:
        return [PassageVectors(np.zeros(4), np.zeros((len(part), 4))) for part in spans]

    def can_read(self, text: str) -> bool:
        return False


@pytest.fixture
def library() -> Iterator[Library]:
    opened = Library(IN_MEMORY, WordsOnly())
    yield opened
    opened.close()


@pytest.fixture
def folders(library: Library, tmp_path: Path) -> tuple[Path, Path]:
    """A folder for everybody and one for nobody else, both added."""
    places = (tmp_path / "open", tmp_path / "secret")
    for place, level in zip(places, (PUBLIC, PRIVATE), strict=True):
        place.mkdir()
        (place / f"about-{place.name}.txt").write_text(f"Nothing stands in {place.name}.\n")
        library.collections.create(place.name, level)
        library.add([place], collection=place.name)
    return places


def quoted(library: Library, where: Filter | None = None) -> Sensitivity:
    """How far what is quoted about the safe may travel."""
    evidence = library.evidence(QUESTION, where=where)
    assert "forty-two" in evidence.quotes[0].text
    hits = [hit for hit in evidence.hits if "forty-two" in hit.chunk.text]
    hits += [hit for hit in library.search(QUESTION, where=where) if "forty" in hit.chunk.text]
    labels = {quote.sensitivity for quote in evidence.quotes if "forty-two" in quote.text}
    labels |= {hit.chunk.sensitivity for hit in hits} | {evidence.sensitivity}
    listed = library.documents(where=where)
    assert min(labels) >= min(document.sensitivity for document in listed)
    assert len(labels) == 1
    return labels.pop()


def test_collection_decides_and_new_ones_are_private(library: Library, tmp_path: Path) -> None:
    (tmp_path / "safe.txt").write_text(TEXT)
    library.add([tmp_path / "safe.txt"], collection="new")
    assert quoted(library) == PRIVATE
    done = library.collections.set_sensitivity("new", TRUSTED)
    assert (done.loosened, done.tightened, quoted(library)) == (1, 0, TRUSTED)
    done = library.collections.set_sensitivity("new", PRIVATE)
    assert (done.loosened, done.tightened, quoted(library)) == (0, 1, PRIVATE)


def test_copy_in_an_open_folder_is_as_private_as_the_original(
    library: Library, folders: tuple[Path, Path]
) -> None:
    for place in folders:
        (place / "safe.txt").write_text(TEXT)
    library.sync()
    assert quoted(library, Filter(collections=("open",))) == PRIVATE
    assert quoted(library) == PRIVATE
    # As soon as nobody holds it privately it is what its own place says.
    (folders[1] / "safe.txt").unlink()
    library.sync()
    assert quoted(library) == PUBLIC


def test_copy_with_a_few_other_words_is_shown_under_the_stricter_label(
    library: Library, folders: tuple[Path, Path]
) -> None:
    story = "It rained all day and the wind came from the west. " * 3 + TEXT
    (folders[0] / "safe.txt").write_text(story)
    (folders[1] / "safe.txt").write_text(story + "\n\nPlease destroy.\n")
    library.sync()
    assert quoted(library) == PRIVATE


def test_attachment_that_was_saved_elsewhere_is_as_private_as_its_mail(
    library: Library, folders: tuple[Path, Path]
) -> None:
    with zipfile.ZipFile(folders[1] / "letters.zip", "w") as archive:
        archive.writestr("safe.txt", TEXT)
    (folders[0] / "saved.txt").write_text(TEXT)
    library.sync()
    assert quoted(library, Filter(collections=("open",))) == PRIVATE


def test_limit_on_a_container_holds_for_what_is_in_it(
    library: Library, folders: tuple[Path, Path]
) -> None:
    container = folders[0] / "letters.zip"
    with zipfile.ZipFile(container, "w") as archive:
        archive.writestr("deep/safe.txt", TEXT)
    library.sync()
    assert quoted(library) == PUBLIC
    library.collections.set_limit(container, TRUSTED)
    assert quoted(library) == TRUSTED
    with zipfile.ZipFile(container, "w") as archive:
        archive.writestr("other/safe.txt", TEXT)
        archive.writestr("more.txt", "More of it.")
    library.sync()
    assert quoted(library) == TRUSTED


def test_limit_survives_edits_deletion_and_return(
    library: Library, folders: tuple[Path, Path]
) -> None:
    file = folders[0] / "safe.txt"
    file.write_text(TEXT)
    library.sync()
    library.collections.set_limit(file, PRIVATE)
    file.write_text(TEXT + "\nAnd more.\n")
    library.sync()
    assert quoted(library) == PRIVATE
    file.unlink()
    library.sync()
    file.write_text(TEXT)
    library.sync()
    assert quoted(library) == PRIVATE


@pytest.mark.parametrize("to", ["renamed.txt", "deeper/safe.txt", "../third/safe.txt"])
def test_limit_goes_with_a_file_that_moves(
    library: Library, folders: tuple[Path, Path], tmp_path: Path, to: str
) -> None:
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "x.txt").write_text("Nothing.")
    library.collections.create("third", PUBLIC)
    library.add([tmp_path / "third"], collection="third")
    file = folders[0] / "safe.txt"
    file.write_text(TEXT)
    library.sync()
    library.collections.set_limit(file, PRIVATE)
    target = folders[0] / to
    target.parent.mkdir(exist_ok=True)
    file.rename(target)
    library.sync()
    assert quoted(library) == PRIVATE
    # And it stays there when the file is written anew at its new place.
    target.write_text(TEXT + "\nAnd more.\n")
    library.sync()
    assert quoted(library) == PRIVATE


def test_loosening_a_collection_loosens_no_limit(
    library: Library, folders: tuple[Path, Path]
) -> None:
    for name in ("safe.txt", "other.txt"):
        (folders[1] / name).write_text(TEXT + name)
    library.sync()
    library.collections.set_limit(folders[1] / "safe.txt", PRIVATE)
    done = library.collections.set_sensitivity("secret", PUBLIC)
    assert done.loosened == 2  # the other one, and what was there before
    labels = {Path(d.source).name: d.sensitivity for d in library.documents()}
    assert (labels["safe.txt"], labels["other.txt"]) == (PRIVATE, PUBLIC)
    (secret,) = [one for one in library.collections.all() if one.name == "secret"]
    assert (secret.documents, secret.limited) == (3, 1)


def test_limit_never_makes_a_file_freer_than_its_collection(
    library: Library, folders: tuple[Path, Path]
) -> None:
    (folders[1] / "safe.txt").write_text(TEXT)
    library.sync()
    for level in (PUBLIC, TRUSTED):
        library.collections.set_limit(folders[1] / "safe.txt", level)
        assert quoted(library) == PRIVATE
    library.add([folders[1] / "safe.txt"], sensitivity=PUBLIC)
    assert quoted(library) == PRIVATE


def test_limit_on_a_folder_holds_for_files_that_come_later(
    library: Library, folders: tuple[Path, Path]
) -> None:
    library.collections.set_limit(folders[0], TRUSTED)
    (folders[0] / "safe.txt").write_text(TEXT)
    (folders[0].parent / "open-2").mkdir()
    (folders[0].parent / "open-2" / "y.txt").write_text("The name of the folder only begins alike.")
    library.sync()
    library.add([folders[0].parent / "open-2"], collection="open")
    assert quoted(library) == TRUSTED
    labels = {Path(d.source).name: d.sensitivity for d in library.documents()}
    assert labels["y.txt"] == PUBLIC
    library.collections.set_limit(folders[0], PUBLIC)
    assert quoted(library) == PUBLIC and library.collections.limits() == []


def test_renaming_a_collection_changes_nothing_but_its_name(
    library: Library, folders: tuple[Path, Path]
) -> None:
    (folders[1] / "safe.txt").write_text(TEXT)
    library.sync()
    with pytest.raises(UsageError):
        library.collections.rename("secret", "open")
    library.collections.rename("secret", "sealed")
    assert quoted(library, Filter(collections=("sealed",))) == PRIVATE
    with pytest.raises(CollectionNotFoundError):
        library.search("safe", where=Filter(collections=("secret",)))
    (folders[1] / "more.txt").write_text("It follows its folder.")
    library.sync()
    assert {d.collection for d in library.documents()} == {"open", "sealed"}
    # Whoever still adds under the old name makes a new collection, and that is private.
    library.add([folders[1] / "safe.txt"], collection="secret")
    assert library.collections.get("secret").sensitivity == PRIVATE


def test_forgetting_takes_the_limits_names_along_and_frees_no_copy(
    library: Library, folders: tuple[Path, Path]
) -> None:
    for name in ("safe.txt", "copy.txt"):
        (folders[0] / name).write_text(TEXT)
    library.sync()
    library.collections.set_limit(folders[0] / "safe.txt", PRIVATE)
    assert quoted(library, Filter(paths=("copy.txt",))) == PRIVATE
    library.forget([folders[0] / "safe.txt"])
    assert quoted(library) == PRIVATE
    assert [Path(limit.path).name for limit in library.collections.limits()] == ["copy.txt"]
    library.collections.set_limit(folders[0] / "copy.txt", PUBLIC)
    assert quoted(library) == PUBLIC


def test_duplicate_is_found_and_named_by_its_own_path(
    library: Library, folders: tuple[Path, Path]
) -> None:
    (folders[0] / "a").mkdir()
    (folders[0] / "b").mkdir()
    for name in ("a/safe.txt", "b/same.md"):
        (folders[0] / name).write_text(TEXT)
    (folders[0] / "b" / "same.txt").write_text(TEXT)
    library.sync()

    def names(text: str) -> set[str]:
        hits = library.search(f"safe number {text}")
        return {Path(s).name for hit in hits for s in (hit.chunk.source, *hit.also_in)}

    assert names("path:b -type:md") == {"same.txt"}
    assert names(f"path:{folders[0] / 'a'}") == {"safe.txt"}
    assert names("path:*.md") == {"same.md"}


def test_duplicates_of_a_copy_that_is_not_shown_are_named_with_it(
    library: Library, folders: tuple[Path, Path]
) -> None:
    rain = "It rained all day and the wind came from the west. "
    story, near = rain * 9 + TEXT, rain + TEXT
    (folders[0] / "a near one.txt").write_text(near)
    for place, name in ((folders[0], "g1.txt"), (folders[0], "g2.txt"), (folders[1], "g3.txt")):
        (place / name).write_text(story)
    library.sync()
    wanted = {"a near one.txt", "g1.txt", "g2.txt", "g3.txt"}
    for hits in (library.search(QUESTION), library.search_all(QUESTION)):
        (found,) = (hit for hit in hits if "forty" in hit.chunk.text)
        assert found.chunk.source.endswith("a near one.txt")
        assert {Path(s).name for s in (found.chunk.source, *found.also_in)} == wanted
        assert found.chunk.sensitivity == PRIVATE
    for evidence in (library.evidence(QUESTION), library.listing(f"list all {QUESTION}")):
        named = {Path(s).name for q in evidence.quotes for s in (q.source, *q.also_in)}
        assert wanted <= named
        assert evidence.sensitivity == PRIVATE


@pytest.mark.parametrize("name", ["", "  ", 'a"b', "a\nb", "x" * 101, "\\", "“a”"])
def test_name_that_cannot_be_typed_is_refused(library: Library, name: str) -> None:
    with pytest.raises(UsageError):
        library.collections.create(name)
    with pytest.raises(UsageError):
        library.collections.rename("default", name)


def test_collection_with_something_in_it_stays(
    library: Library, folders: tuple[Path, Path]
) -> None:
    with pytest.raises(UsageError, match="not empty"):
        library.collections.remove("open")
    with pytest.raises(UsageError):
        library.collections.remove("default")
    with pytest.raises(CollectionNotFoundError):
        library.collections.remove("nowhere")
    library.collections.create("빈 모음")
    library.collections.remove("빈 모음")
    library.forget([folders[0]])
    library.collections.remove("open")
    assert [one.name for one in library.collections.all()] == ["default", "secret"]


@pytest.mark.parametrize("is_folder", [False, True])
def test_limit_on_a_link_holds_for_what_it_leads_to(
    library: Library, folders: tuple[Path, Path], tmp_path: Path, is_folder: bool
) -> None:
    (folders[0] / "safe.txt").write_text(TEXT)
    library.sync()
    link = tmp_path / "link"
    link.symlink_to(folders[0] if is_folder else folders[0] / "safe.txt")
    assert library.collections.set_limit(link, PRIVATE).tightened == (2 if is_folder else 1)
    assert quoted(library) == PRIVATE
    (folders[0] / "safe.txt").write_text(TEXT + "It is grey.\n")
    library.sync()
    assert quoted(library) == PRIVATE
    library.collections.set_limit(link, PUBLIC)
    assert quoted(library) == PUBLIC and library.collections.limits() == []


def test_limit_on_a_link_is_forgotten_with_what_it_leads_to(
    library: Library, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    safe, link = folders[0] / "safe.txt", tmp_path / "link.txt"
    safe.write_text(TEXT)
    link.symlink_to(safe)
    other = tmp_path / "other"
    other.symlink_to(folders[1])
    library.sync()
    library.collections.set_limit(other, TRUSTED)
    kept = library.collections.limits()
    library.collections.set_limit(link, PRIVATE)
    library.forget([safe])
    assert library.collections.limits() == kept
    # The same with a document that is known by the name of the link.
    library.add([link])
    library.collections.set_limit(link, PRIVATE)
    library.forget([link])
    assert library.collections.limits() == kept


def test_limit_on_nothing_is_an_error(library: Library, tmp_path: Path) -> None:
    with pytest.raises(DocumentNotFoundError):
        library.collections.set_limit(tmp_path / "nowhere", PRIVATE)
    with pytest.raises(DocumentNotFoundError):
        library.collections.set_limit(tmp_path / ("x" * 3000), PRIVATE)
    nameless = tmp_path / os.fsdecode(b"\xff")
    nameless.mkdir()
    with pytest.raises(DocumentError):
        library.collections.set_limit(nameless, PRIVATE)


def _row(connection: Connection, source: str, content: str, collection: str) -> None:
    connection.execute("DELETE FROM documents WHERE source = ?", (source,))
    connection.execute(
        "INSERT INTO documents (source, content_hash, size_bytes, modified_ns, media_type, title, "
        "collection, sensitivity, num_chunks, embedding_model, added_at) "
        "VALUES (?, ?, 0, 0, '', '', ?, 2, 0, '', '')",
        (source, content, collection),
    )


sources = st.sampled_from([f"/{a}/{b}" for a in "xyz" for b in ("1", "2", "mail/3")])
levels = st.sampled_from([PRIVATE, TRUSTED, PUBLIC])
contents = st.sampled_from(["A", "B", ""])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), sources, contents, st.sampled_from(["default", "other"])),
        st.tuples(st.just("move"), sources, sources),
        st.tuples(st.just("limit"), sources | st.sampled_from(["/x", "/y/mail", "/"]), levels),
        st.tuples(st.just("collection"), st.sampled_from(["default", "other"]), levels),
        st.tuples(st.just("delete"), sources),
        st.tuples(st.just("loosen"), sources),
    ),
    max_size=12,
)


@settings(deadline=None)
@given(steps)
def test_whatever_happens_no_label_is_looser_than_its_collection_its_limits_and_its_copies(
    steps: list[tuple[Any, ...]],
) -> None:
    connection = connect(IN_MEMORY)
    import threading

    collections = Collections(connection, threading.RLock())
    collections.create("other", PUBLIC)
    for kind, *given_values in steps:
        here = {s for (s,) in connection.execute("SELECT source FROM documents")}
        if kind == "put":
            _row(connection, *given_values)
        elif kind == "move" and given_values[0] in here and given_values[1] not in here:
            before = connection.execute(
                "SELECT sensitivity FROM documents WHERE source = ?", (given_values[0],)
            ).fetchone()
            connection.execute(
                "UPDATE documents SET source = ? WHERE source = ?", given_values[::-1]
            )
            after = connection.execute(
                "SELECT sensitivity FROM documents WHERE source = ?", (given_values[1],)
            ).fetchone()
            assert after <= before
        elif kind == "limit" and any(
            s == given_values[0] or s.startswith(given_values[0].rstrip("/") + "/") for s in here
        ):
            collections.set_limit(Path(given_values[0]), given_values[1])
        elif kind == "collection":
            collections.set_sensitivity(*given_values)
        elif kind == "delete":
            connection.execute("DELETE FROM documents WHERE source = ?", given_values)
        elif kind == "loosen":
            # What a careless writer of rows may do.
            connection.execute(
                "UPDATE documents SET sensitivity = 2 WHERE source = ?", given_values
            )
    of_collection = {one.name: one.sensitivity for one in collections.all()}
    limits = collections.limits()
    rows = connection.execute(
        "SELECT d.source, d.content_hash, d.collection, l.sensitivity FROM documents d "
        "JOIN labels l ON l.document_id = d.id"
    ).fetchall()
    own = {
        source: min(
            of_collection[collection],
            *(
                limit.sensitivity
                for limit in limits
                if source == limit.path or source.startswith(limit.path.rstrip("/") + "/")
            ),
            PUBLIC,
        )
        for source, _, collection, _ in rows
    }
    for source, content, _, label in rows:
        same = [own[s] for s, c, _, _ in rows if s == source or (c == content and content)]
        assert label == min(same)
    connection.close()
