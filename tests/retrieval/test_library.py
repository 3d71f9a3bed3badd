"""The library as its owner meets it: add, find, quote, change, forget."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ondol import paths
from ondol.errors import DocumentError, DocumentNotFoundError, StorageError
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval.ingest import Progress
from ondol.retrieval.library import Library

pytestmark = pytest.mark.model


def first(library: Library, question: str) -> str:
    return Path(library.search(question)[0].chunk.source).name


@pytest.mark.parametrize(
    ("question", "file", "answer"),
    [
        ("When was the boiler serviced?", "boiler.md", "14 March 2031"),
        ("What did we plant in spring?", "garden.txt", "Tomatoes"),
        ("보증금은 얼마인가요?", "임대차.txt", "3억 원"),
        ("고양이는 몇 마리까지 되나?", "임대차.txt", "두 마리"),
    ],
)
def test_question_finds_the_file_and_quotes_the_answer(
    question: str, file: str, answer: str, library: Library, notes: Path
) -> None:
    report = library.add([notes])
    assert (report.added, report.failed) == (3, ())
    assert first(library, question) == file
    quotes = library.evidence(question).quotes
    assert any(answer in quote.text for quote in quotes[:2])
    assert [quote.number for quote in quotes] == list(range(1, len(quotes) + 1))


def test_offsets_point_into_the_file(library: Library, notes: Path) -> None:
    library.add([notes])
    for question in ("When was the boiler serviced?", "보증금은 얼마인가요?"):
        evidence = library.evidence(question)
        for quote in evidence.quotes:
            assert Path(quote.source).read_text("utf-8")[quote.start : quote.end] == quote.text
        for hit in evidence.hits:
            text = Path(hit.chunk.source).read_text("utf-8")
            assert text[hit.chunk.start : hit.chunk.end] == hit.chunk.text


@pytest.mark.parametrize(
    "question", ["Who won the chess tournament in Reykjavik?", "화성 탐사선은 언제 발사됐나요?"]
)
def test_question_the_library_knows_nothing_of_has_no_quotes(
    question: str, library: Library, notes: Path
) -> None:
    library.add([notes])
    assert library.evidence(question).quotes == ()


@pytest.mark.parametrize("question", ["", "?!", "the", "\x00", "a" * 100_000, '" OR 1=1 --'])
def test_strange_questions_do_no_harm(question: str, library: Library, notes: Path) -> None:
    assert library.evidence(question).quotes == ()
    library.add([notes])
    library.search(question)
    library.evidence(question)


def test_offsets_of_wide_and_carriage_returned_text_are_characters_of_the_file(
    library: Library, tmp_path: Path
) -> None:
    file = tmp_path / "plan.txt"
    file.write_bytes("\ufeffThe 😀 begins.\r\n\r\nThe party 🎉 ends at nine.\r\n".encode())
    library.add([file])
    (best, *_) = library.evidence("When does the party end?").quotes
    text = file.read_bytes().decode("utf-8-sig")
    assert text[best.start : best.end] == best.text == "The party 🎉 ends at nine."


def test_comment_in_code_is_quoted_and_a_heading_is_not(library: Library, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("# The lighthouse retry limit is nine.\nLIMIT = 9\n", "utf-8")
    (tmp_path / "tea.md").write_text(
        "# Brewing oolong tea\n\nBrew oolong at 85 degrees.\n", "utf-8"
    )
    library.add([tmp_path])
    (comment, *_) = library.evidence("What is the lighthouse retry limit?").quotes
    assert comment.text == "# The lighthouse retry limit is nine."
    quotes = [quote.text for quote in library.evidence("How do I brew oolong tea?").quotes]
    assert quotes[0] == "Brew oolong at 85 degrees."
    assert "# Brewing oolong tea" not in quotes


def test_one_place_has_one_name_however_it_is_written(
    library: Library, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(notes)
    library.add([notes])
    assert library.add([Path("../notes"), Path("법률/..")]).unchanged == 3
    assert library.forget([Path("법률/../../notes/garden.txt")]).documents == 1


def test_step_up_out_of_a_linked_folder_leads_where_the_system_says(
    library: Library, notes: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(notes / "법률")
    library.add([tmp_path / "link" / ".." / "garden.txt"])
    assert [d.source for d in library.documents()] == [str(notes / "garden.txt")]


def test_home_of_nobody_is_a_path_that_is_not_there(library: Library) -> None:
    with pytest.raises(DocumentNotFoundError):
        library.add([Path("~no-such-user/notes")])


@pytest.mark.parametrize("question", ["", "?!", "😀 …"])
def test_signs_alone_find_nothing(question: str, library: Library, notes: Path) -> None:
    library.add([notes])
    assert library.search(question) == []


def test_half_characters_in_a_question_are_passed_over(library: Library, notes: Path) -> None:
    library.add([notes])
    assert first(library, "\udcff boiler \ud800") == "boiler.md"


def test_second_add_changes_nothing_and_an_edit_is_noticed(library: Library, notes: Path) -> None:
    library.add([notes])
    again = library.add([notes])
    assert (again.added, again.updated, again.unchanged, again.chunks) == (0, 0, 3, 0)
    (notes / "garden.txt").write_text("The old oak was felled by lightning in 2019.\n", "utf-8")
    edited = library.add([notes])
    assert (edited.updated, edited.unchanged) == (1, 2)
    assert "2019" in library.evidence("When was the oak felled?").quotes[0].text
    assert library.evidence("When are the roses pruned?").quotes == ()


def test_touched_file_with_the_same_text_is_not_embedded_again(
    library: Library, notes: Path
) -> None:
    library.add([notes])
    (notes / "garden.txt").touch()
    assert library.add([notes]).unchanged == 3


def test_broken_file_is_reported_and_the_rest_goes_in(library: Library, notes: Path) -> None:
    (notes / "broken.pdf").write_bytes(b"%PDF-1.7 and then nonsense")
    (notes / "binary.txt").write_bytes(bytes(range(256)) * 40)
    (notes / "계약서.hwp").write_bytes(b"\xd0\xcf\x11\xe0")
    seen: list[Progress] = []
    report = library.add([notes], on_progress=seen.append)
    assert report.added == 3
    names = {Path(failure.source).name for failure in report.failed}
    assert names == {"broken.pdf", "binary.txt", "계약서.hwp"}
    assert all(failure.reason.endswith(".") for failure in report.failed)
    assert [progress.completed for progress in seen] == [1, 2, 3, 4, 5, 6]
    assert {progress.total for progress in seen} == {6}


def test_missing_path_is_an_error_before_anything_is_added(library: Library, notes: Path) -> None:
    with pytest.raises(DocumentNotFoundError, match="nowhere"):
        library.add([notes, notes / "nowhere"])
    assert library.documents() == []


def test_forget_removes_a_folder_and_only_that(library: Library, notes: Path) -> None:
    library.add([notes])
    receipt = library.forget([notes / "법률"])
    assert (receipt.documents, receipt.chunks) == (1, 1)
    assert {Path(d.source).name for d in library.documents()} == {"boiler.md", "garden.txt"}
    assert library.evidence("보증금은 얼마인가요?").quotes == ()


def test_forget_of_something_unknown_forgets_nothing(library: Library, notes: Path) -> None:
    library.add([notes])
    with pytest.raises(DocumentNotFoundError, match="notes2"):
        library.forget([notes, notes.parent / "notes2"])
    assert len(library.documents()) == 3


def test_text_that_is_no_file_can_be_asked(library: Library) -> None:
    library.add_text("stdin", "The password rotation happens every ninety days.")
    quote = library.evidence("How often are passwords rotated?").quotes[0]
    assert (quote.source, "ninety" in quote.text) == ("stdin", True)


def test_library_survives_reopening(embedder: OnnxEmbedder, notes: Path) -> None:
    with_first = Library(paths.database_file(), embedder)
    with_first.add([notes])
    with_first.close()
    reopened = Library(paths.database_file(), embedder)
    assert first(reopened, "When was the boiler serviced?") == "boiler.md"
    assert paths.database_file().stat().st_mode & 0o777 == 0o600
    reopened.close()


def test_reader_sees_what_another_connection_writes(embedder: OnnxEmbedder, notes: Path) -> None:
    reader = Library(paths.database_file(), embedder)
    writer = Library(paths.database_file(), embedder)
    assert reader.search("boiler") == []
    writer.add([notes])
    assert first(reader, "When was the boiler serviced?") == "boiler.md"
    writer.forget([notes / "boiler.md"])
    assert all(hit.chunk.source.endswith("boiler.md") is False for hit in reader.search("boiler"))
    reader.close()
    writer.close()


def test_searches_and_an_add_run_at_the_same_time(embedder: OnnxEmbedder, notes: Path) -> None:
    library = Library(paths.database_file(), embedder)
    library.add([notes])
    for number in range(40):
        (notes / f"more-{number}.txt").write_text(f"Note {number} is about topic {number}.\n")
    failures: list[BaseException] = []

    def search() -> None:
        try:
            for _ in range(10):
                assert first(library, "When was the boiler serviced?") == "boiler.md"
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    library.add([notes])
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(library.documents()) == 43
    library.close()


def test_two_processes_add_at_the_same_time(
    home: Path, embedder: OnnxEmbedder, notes: Path, embedding_model_files: tuple[Path, Path]
) -> None:
    script = (
        "import sys; from pathlib import Path; from ondol import paths;"
        "from ondol.retrieval.embedding import OnnxEmbedder;"
        "from ondol.retrieval.library import Library;"
        "e = OnnxEmbedder('all-minilm:l6-v2', Path(sys.argv[2]), Path(sys.argv[3]));"
        "r = Library(paths.database_file(), e).add([Path(sys.argv[1])]); assert not r.failed"
    )
    command = [sys.executable, "-c", script, str(notes), *map(str, embedding_model_files)]
    processes = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait() for process in processes] == [0, 0]
    library = Library(paths.database_file(), embedder)
    assert len(library.documents()) == 3
    assert len(library.search("contract boiler tomatoes", limit=50)) <= 4
    library.close()


def test_damaged_database_is_named_with_a_way_out(embedder: OnnxEmbedder) -> None:
    file = paths.database_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"this is not a database" * 500)
    with pytest.raises(DocumentError, match=r"ondol\.db") as caught:
        Library(file, embedder)
    assert caught.value.hint


def test_database_from_the_future_is_refused(embedder: OnnxEmbedder) -> None:
    library = Library(paths.database_file(), embedder)
    library._connection.execute("PRAGMA user_version = 999")
    library.close()
    with pytest.raises(DocumentError, match="newer"):
        Library(paths.database_file(), embedder)


def test_full_disk_loses_nothing_that_was_added(embedder: OnnxEmbedder, notes: Path) -> None:
    library = Library(paths.database_file(), embedder)
    library.add([notes])
    pages = library._connection.execute("PRAGMA page_count").fetchone()[0]
    library._connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    (notes / "big.txt").write_text("Something to say. " * 5000, "utf-8")
    with pytest.raises(StorageError, match="full"):
        library.add([notes])
    assert len(library.documents()) == 3
    assert first(library, "When was the boiler serviced?") == "boiler.md"
    library.close()


def test_headings_lead_to_sentences_and_are_not_quoted(library: Library) -> None:
    text = "# Boiler service record\n\nIt was done in March.\n\n# Garden\n\nRoses.\n"
    library.add_text("notes.md", text, media_type="text/markdown")
    quotes = library.evidence("When was the boiler service?").quotes
    assert [quote.text for quote in quotes][:1] == ["It was done in March."]
    assert not any(quote.text.startswith("#") for quote in quotes)
