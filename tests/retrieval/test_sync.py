"""A library follows what happens to the files that were added."""

from __future__ import annotations

import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondol import paths
from ondol.database import IN_MEMORY
from ondol.errors import DocumentNotFoundError
from ondol.retrieval import folders
from ondol.retrieval.library import Library
from ondol.retrieval.loaders import ocr
from ondol.types import Sensitivity
from tests.retrieval.fake_embedder import FakeEmbedder


@pytest.fixture
def fake() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture
def cheap(fake: FakeEmbedder) -> Iterator[Library]:
    """A library whose embedder costs nothing."""
    opened = Library(IN_MEMORY, fake)
    yield opened
    opened.close()


def paragraphs(*subjects: str) -> str:
    """A Markdown text with a section, and so a chunk, for each subject."""
    return "\n\n".join(
        f"# {subject}\n\nThis section tells what is to be known about {subject}."
        for subject in subjects
    )


def sources(library: Library) -> dict[str, int]:
    """File name to number of chunks."""
    return {Path(d.source).name: d.num_chunks for d in library.documents()}


def names_found(library: Library, query: str) -> set[str]:
    return {Path(hit.chunk.source).name for hit in library.search(query)}


def test_edits_additions_and_deletions_are_followed(
    cheap: Library, fake: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(paragraphs("apples", "bears", "cellos"), "utf-8")
    (folder / "b.md").write_text(paragraphs("dunes"), "utf-8")
    cheap.add([folder])
    fake.texts.clear()
    (folder / "a.md").write_text(paragraphs("apples", "badgers", "cellos"), "utf-8")
    (folder / "b.md").unlink()
    (folder / "c.md").write_text(paragraphs("eels"), "utf-8")
    report = cheap.sync()
    assert (report.added, report.updated, report.removed, report.unchanged) == (1, 1, 1, 0)
    assert sources(cheap) == {"a.md": 3, "c.md": 1}
    assert len(fake.texts) == 2, "only what is new is embedded"
    assert "badgers" in "".join(fake.texts) and "eels" in "".join(fake.texts)
    assert cheap.search("bears dunes") == [] or not names_found(cheap, "dunes") & {"b.md"}
    again = cheap.sync()
    assert (again.unchanged, again.has_changes) == (2, False)


def test_inserted_paragraph_embeds_nothing_but_itself(
    cheap: Library, fake: FakeEmbedder, tmp_path: Path
) -> None:
    file = tmp_path / "long.md"
    file.write_text(paragraphs("one", "two", "three"), "utf-8")
    cheap.add([file])
    fake.texts.clear()
    text = paragraphs("zero", "one", "two", "three")
    file.write_text(text, "utf-8")
    cheap.sync()
    assert len(fake.texts) == 1 and "zero" in fake.texts[0]
    for hit in cheap.search("section three"):
        assert text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


def test_renamed_and_moved_files_keep_chunks_and_vectors(
    cheap: Library, fake: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    (folder / "deep").mkdir(parents=True)
    (folder / "lighthouse.md").write_text(paragraphs("granite"), "utf-8")
    cheap.add([folder])
    (before,) = cheap.search("lighthouse")
    fake.texts.clear()
    (folder / "lighthouse.md").rename(folder / "deep" / "harbour.md")
    report = cheap.sync()
    assert (report.moved, report.added, report.removed) == (1, 0, 0)
    assert fake.texts == []
    (after,) = cheap.search("harbour")
    assert after.chunk.id == before.chunk.id
    assert after.chunk.source == str(folder / "deep" / "harbour.md")
    (document,) = cheap.documents()
    assert document.title in {"granite", "harbour"}
    # The old name finds nothing by its words: only the vector may still bring the passage.
    terms = cheap._connection.execute(
        "SELECT count(*) FROM chunk_terms WHERE chunk_terms MATCH 'lighthous'"
    ).fetchone()[0]
    assert terms == 0


def test_swapped_files_are_told_apart(cheap: Library, fake: FakeEmbedder, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(paragraphs("apples"), "utf-8")
    (folder / "b.md").write_text(paragraphs("bears", "boats"), "utf-8")
    cheap.add([folder])
    fake.texts.clear()
    (folder / "a.md").rename(folder / "x")
    (folder / "b.md").rename(folder / "a.md")
    (folder / "x").rename(folder / "b.md")
    cheap.sync()
    assert fake.texts == []
    assert sources(cheap) == {"a.md": 2, "b.md": 1}
    assert cheap.search("bears")[0].chunk.source.endswith("a.md")


def test_duplicates_share_chunks_and_the_next_takes_over(
    cheap: Library, fake: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for name in ("first.md", "second.md", "third.md"):
        (folder / name).write_text(paragraphs("walnuts"), "utf-8")
    report = cheap.add([folder])
    assert (report.added, report.duplicates, report.chunks) == (3, 2, 1)
    assert len(fake.texts) == 1
    assert [h.chunk.source for h in cheap.search("walnuts")] == [str(folder / "first.md")]
    listed = {Path(d.source).name: d.duplicate_of for d in cheap.documents()}
    assert listed["second.md"] == listed["third.md"] == str(folder / "first.md")
    (folder / "first.md").unlink()
    cheap.sync()
    (hit,) = cheap.search("walnuts")
    assert Path(hit.chunk.source).name == "second.md" and len(fake.texts) == 1
    assert sources(cheap) == {"second.md": 1, "third.md": 0}
    (folder / "second.md").write_text(paragraphs("hazels"), "utf-8")
    cheap.sync()
    assert Path(cheap.search("walnuts")[0].chunk.source).name == "third.md"
    cheap.forget([folder])
    assert cheap._connection.execute("SELECT count(*) FROM chunks").fetchone()[0] == 0


def test_copies_in_other_collections_do_not_share(cheap: Library, tmp_path: Path) -> None:
    for name in ("open", "closed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.md").write_text(paragraphs("walnuts"), "utf-8")
        cheap.add([tmp_path / name], collection=name)
    assert {d.num_chunks for d in cheap.documents()} == {1}
    cheap.add([tmp_path / "open"], collection="closed")
    found = {d.source: d for d in cheap.documents()}
    assert {d.collection for d in found.values()} == {"closed"}
    assert sorted(d.num_chunks for d in found.values()) == [0, 1]
    cheap.add([tmp_path / "closed"], collection="other")
    assert {d.num_chunks for d in cheap.documents()} == {1}
    assert cheap._connection.execute("SELECT count(*) FROM chunks").fetchone()[0] == 2


def zipped(file: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)


def test_members_of_a_container_come_and_go_with_it(
    cheap: Library, fake: FakeEmbedder, tmp_path: Path
) -> None:
    folder = tmp_path / "box"
    folder.mkdir()
    file = folder / "x.zip"
    zipped(file, {"a.md": paragraphs("apples"), "notes/b.md": paragraphs("bears")})
    cheap.add([folder])
    members = {d.source: d.container for d in cheap.documents()}
    assert members == {
        str(file): None,
        f"{file}/a.md": str(file),
        f"{file}/notes/b.md": str(file),
    }
    fake.texts.clear()
    changed = {"a.md": paragraphs("apples"), "c.md": paragraphs("bears"), "d.md": "Eels swim."}
    zipped(file, changed)
    cheap.sync()
    assert len(fake.texts) == 1 and "Eels" in fake.texts[0]
    assert set(sources(cheap)) == {"x.zip", "a.md", "c.md", "d.md"}
    file.rename(folder / "y.zip")
    fake.texts.clear()
    cheap.sync()
    assert fake.texts == []
    assert {d.container for d in cheap.documents()} == {None, str(folder / "y.zip")}
    (folder / "y.zip").unlink()
    cheap.sync()
    assert cheap.documents() == [] and cheap.search("apples") == []


def test_part_that_cannot_be_read_is_told_and_the_rest_is_there(
    cheap: Library, tmp_path: Path
) -> None:
    file = tmp_path / "x.zip"
    zipped(file, {"a.md": paragraphs("apples"), "b.pdf": "%PDF-1.7 and then nothing"})
    report = cheap.add([file])
    assert report.added == 1 and [f.source for f in report.failed] == [f"{file}/b.pdf"]
    assert [f.source for f in cheap.failures()] == [f"{file}/b.pdf"]
    assert cheap.sync().failed == ()
    zipped(file, {"a.md": paragraphs("apples")})
    cheap.sync()
    assert cheap.failures() == []


def test_failed_file_is_not_read_again_until_it_changes_or_is_asked_for(
    cheap: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    broken = folder / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nonsense")
    (report,) = cheap.add([folder]).failed
    assert report.is_new and cheap.failures()[0].reason == report.reason
    read: list[Path] = []
    load = type(cheap._make_reader()).load

    def counted(self: object, path: Path, *, max_bytes: int) -> object:
        read.append(path)
        return load(self, path, max_bytes=max_bytes)  # type: ignore[arg-type]

    monkeypatch.setattr(type(cheap._make_reader()), "load", counted)
    (known,) = cheap.sync().failed
    assert (known.is_new, read) == (False, [])
    cheap.sync(retry=True)
    assert read == [broken]
    cheap.add([broken])
    assert read == [broken, broken], "who names a file wants it to be tried"
    broken.unlink()
    broken.with_suffix(".md").write_text("Mended.", "utf-8")
    cheap.sync()
    assert cheap.failures() == []


def test_file_that_breaks_leaves_with_its_reason_and_comes_back_mended(
    cheap: Library, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Walnuts are ripe in October.", "utf-8")
    cheap.add([file])
    file.write_bytes(bytes(range(256)) * 40)
    report = cheap.sync()
    assert len(report.failed) == 1 and cheap.documents() == []
    file.write_text("Walnuts are ripe in October.", "utf-8")
    assert cheap.sync().added == 1 and cheap.failures() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_that_may_not_be_opened_keeps_what_is_known_of_it(
    cheap: Library, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("Walnuts are ripe in October.", "utf-8")
    cheap.add([file])
    file.write_text("Walnuts are ripe in November.", "utf-8")
    file.chmod(0)
    assert len(cheap.sync().failed) == 1
    assert len(cheap.documents()) == 1


def test_failures_are_retried_when_a_program_has_come(
    cheap: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "scan.pdf"
    file.write_bytes(b"%PDF-1.7 and then nonsense")
    cheap.add([file])
    assert [f.is_new for f in cheap.sync().failed] == [False]
    monkeypatch.setattr(ocr, "is_available", lambda: True)
    assert [f.is_new for f in cheap.sync().failed] == [True]
    assert [f.is_new for f in cheap.sync().failed] == [False]


@pytest.mark.parametrize("kind", ["pipe", "old.hwp", "picture.png", "program"])
def test_what_could_never_be_read_is_not_followed(
    cheap: Library, tmp_path: Path, kind: str
) -> None:
    file, note = tmp_path / kind, tmp_path / "note.txt"
    note.write_text("Walnuts are ripe in October.", "utf-8")
    if kind == "pipe":
        os.mkfifo(file)
    else:
        picture = b"\x89PNG\r\n\x1a\n" if kind == "picture.png" else b""
        file.write_bytes(picture + bytes(range(256)) * 40)
    report = cheap.add([file, note])
    assert ([f.source for f in report.failed], report.added) == ([str(file)], 1)
    assert [folder.path for folder in cheap.folders()] == [str(note)]
    assert cheap.failures() == [] and not cheap.sync().failed
    with pytest.raises(DocumentNotFoundError):
        cheap.sync([file])


def test_file_that_is_only_broken_is_followed(cheap: Library, tmp_path: Path) -> None:
    file = tmp_path / "broken.pdf"
    file.write_bytes(b"%PDF-1.7 and then nonsense")
    cheap.add([file])
    assert [folder.path for folder in cheap.folders()] == [str(file)]
    assert len(cheap.failures()) == 1


def test_missing_folder_takes_nothing_out(cheap: Library, tmp_path: Path) -> None:
    disk, other = tmp_path / "disk", tmp_path / "other"
    for folder in (disk, other):
        folder.mkdir()
        (folder / "a.md").write_text(paragraphs(folder.name), "utf-8")
    cheap.add([disk, other])
    disk.rename(tmp_path / "away")
    (other / "a.md").unlink()
    report = cheap.sync()
    assert report.missing == (str(disk),) and report.removed == 1
    assert [d.source for d in cheap.documents()] == [str(disk / "a.md")]
    (tmp_path / "away").rename(disk)
    assert (cheap.sync().missing, len(cheap.documents())) == ((), 1)


def test_empty_mount_point_takes_nothing_out(
    cheap: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (disk / "a.md").write_text(paragraphs("dunes"), "utf-8")
    monkeypatch.setattr(folders, "mount_of", lambda path: str(disk))
    cheap.add([disk])
    (disk / "a.md").unlink()
    monkeypatch.setattr(folders, "mount_of", lambda path: "/")
    assert cheap.sync().missing == (str(disk),)
    assert len(cheap.documents()) == 1


def test_emptied_folder_is_empty_in_the_library(cheap: Library, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(paragraphs("dunes"), "utf-8")
    cheap.add([folder])
    (folder / "a.md").unlink()
    assert cheap.sync().removed == 1 and cheap.documents() == []


def test_file_that_was_added_by_itself_is_followed(cheap: Library, tmp_path: Path) -> None:
    hidden, other = tmp_path / ".hidden.md", tmp_path / "other.md"
    for file in (hidden, other):
        file.write_text(paragraphs(file.stem), "utf-8")
    cheap.add([hidden])
    hidden.write_text(paragraphs("dunes"), "utf-8")
    assert cheap.sync().updated == 1
    assert set(sources(cheap)) == {".hidden.md"}
    hidden.unlink()
    assert cheap.sync().removed == 1
    assert cheap.sync() == cheap.sync()


def test_what_was_forgotten_comes_back_only_when_it_is_added(
    cheap: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    (folder / "private").mkdir(parents=True)
    for name in ("a.md", "b.md", "private/c.md"):
        (folder / name).write_text(paragraphs(name), "utf-8")
    cheap.add([folder])
    cheap.forget([folder / "a.md", folder / "private"])
    assert cheap.sync().has_changes is False
    (folder / "private" / "d.md").write_text("New there.", "utf-8")
    cheap.sync()
    assert set(sources(cheap)) == {"b.md"}
    cheap.add([folder / "private" / "c.md"])
    cheap.sync()
    assert {"b.md", "c.md"} <= set(sources(cheap)) and "a.md" not in sources(cheap)
    cheap.forget([folder])
    assert cheap.sync().has_changes is False and cheap.documents() == []
    assert cheap.folders() == []


def test_collection_and_limit_of_a_folder_hold_for_what_comes_later(
    cheap: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text(paragraphs("apples"), "utf-8")
    cheap.add([folder], collection="work", sensitivity=Sensitivity.TRUSTED)
    (folder / "b.md").write_text(paragraphs("bears"), "utf-8")
    cheap.sync()
    cheap.add([folder])
    assert {(d.collection, d.limit) for d in cheap.documents()} == {("work", Sensitivity.TRUSTED)}
    assert {d.sensitivity for d in cheap.documents()} == {Sensitivity.PRIVATE}
    report = cheap.add([folder], collection="home", sensitivity=Sensitivity.PUBLIC)
    assert (report.updated, report.chunks) == (2, 0)
    assert {(d.collection, d.limit) for d in cheap.documents()} == {("home", Sensitivity.PUBLIC)}


def test_two_that_add_at_once_queue_and_do_not_double(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    for number in range(120):
        (folder / f"{number}.md").write_text(paragraphs(f"matter {number}"), "utf-8")
    libraries = [Library(paths.database_file(), FakeEmbedder()) for _ in range(2)]
    threads = [threading.Thread(target=one.add, args=([folder],)) for one in libraries]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in libraries:
        assert sum(sources(one).values()) == len(sources(one)) == 120
        assert len(one.search("matter 7", limit=200)) > 0
        one.close()


def test_sync_of_a_path_that_was_never_added_is_an_error(cheap: Library, tmp_path: Path) -> None:
    with pytest.raises(DocumentNotFoundError):
        cheap.sync([tmp_path])
