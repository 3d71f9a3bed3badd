"""Folders that are watched: what changes is in the library a moment later."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ondol import paths
from ondol.retrieval import watch
from ondol.retrieval.library import Library
from ondol.retrieval.reports import AddReport
from ondol.retrieval.watch import Follower
from tests.retrieval.fake_embedder import FakeEmbedder

PATIENCE_SECONDS = 60.0


@pytest.fixture
def cheap(home: Path) -> Iterator[Library]:
    opened = Library(paths.database_file(), FakeEmbedder())
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "DEBOUNCE_MILLISECONDS", 100)
    monkeypatch.setattr(watch, "LOOK_MILLISECONDS", 200)
    monkeypatch.setattr(watch, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(watch, "PAUSE_SECONDS", 0.1)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came to be so"
        time.sleep(0.05)


def names(library: Library) -> set[str]:
    return {Path(document.source).name for document in library.documents()}


def follower(library: Library, **settings: object) -> Follower:
    return Follower(lambda: library, lambda one: one.folders(), **settings)  # type: ignore[arg-type]


def test_new_edited_and_deleted_files_are_followed(cheap: Library, tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "a.md").write_text("Apples are red.", "utf-8")
    cheap.add([folder])
    (folder / "before.md").write_text("Written while nobody looked.", "utf-8")
    reports: list[AddReport] = []
    with follower(cheap, report=reports.append):
        until(lambda: names(cheap) == {"a.md", "before.md"})
        (folder / "deep").mkdir()
        (folder / "deep" / "b.md").write_text("Bears are brown.", "utf-8")
        until(lambda: "b.md" in names(cheap))
        (folder / "a.md").write_text("Apples are green.", "utf-8")
        until(lambda: any("green" in hit.chunk.text for hit in cheap.search("apples")))
        (folder / "a.md").unlink()
        until(lambda: names(cheap) == {"before.md", "b.md"})
    assert sum(report.added for report in reports) == 2


def test_file_that_was_added_by_itself_and_a_folder_that_comes_back_are_looked_at(
    cheap: Library, tmp_path: Path
) -> None:
    file, disk = tmp_path / "alone.md", tmp_path / "disk"
    disk.mkdir()
    (disk / "a.md").write_text("Apples are red.", "utf-8")
    file.write_text("One.", "utf-8")
    cheap.add([file, disk])
    disk.rename(tmp_path / "away")
    with follower(cheap):
        file.write_text("Two things.", "utf-8")
        until(lambda: any("Two" in hit.chunk.text for hit in cheap.search("things")))
        assert "a.md" in names(cheap)
        (tmp_path / "away" / "b.md").write_text("Bears are brown.", "utf-8")
        (tmp_path / "away").rename(disk)
        until(lambda: "b.md" in names(cheap))


def test_folder_that_is_added_later_is_followed_and_a_forgotten_one_no_more(
    cheap: Library, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / f"{folder.name}.md").write_text(f"This is {folder.name}.", "utf-8")
    cheap.add([first])
    with follower(cheap):
        cheap.add([second])
        (second / "more.md").write_text("There is more.", "utf-8")
        until(lambda: "more.md" in names(cheap))
        cheap.forget([first])
        (first / "late.md").write_text("Too late.", "utf-8")
        (second / "end.md").write_text("The end.", "utf-8")
        until(lambda: "end.md" in names(cheap))
        assert not names(cheap) & {"late.md", "first.md"}


def test_file_that_grows_is_left_alone_until_it_is_whole(
    cheap: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "QUIET_SECONDS", 0.5)
    folder = tmp_path / "notes"
    folder.mkdir()
    cheap.add([folder])
    seen: list[set[str]] = []
    with follower(cheap, report=lambda report: seen.append(names(cheap))):
        with (folder / "long.md").open("w", encoding="utf-8") as file:
            for number in range(10):
                file.write(f"Line {number} of many.\n")
                file.flush()
                time.sleep(0.1)
            file.write("The last line.\n")
        until(lambda: "long.md" in names(cheap))
    (text,) = [hit.chunk.text for hit in cheap.search("last line")]
    assert text.endswith("The last line.") and seen == [{"long.md"}]


def test_follower_waits_while_somebody_needs_the_processors_and_ends_at_once(
    cheap: Library, tmp_path: Path
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    cheap.add([folder])
    asked, busy = threading.Event(), threading.Event()
    busy.set()

    def is_busy() -> bool:
        asked.set()
        return busy.is_set()

    with follower(cheap, is_busy=is_busy):
        (folder / "a.md").write_text("Apples are red.", "utf-8")
        assert asked.wait(PATIENCE_SECONDS)
        assert names(cheap) == set()
        busy.clear()
        until(lambda: names(cheap) == {"a.md"})
        busy.set()
        asked.clear()
        (folder / "b.md").write_text("Bears are brown.", "utf-8")
        assert asked.wait(PATIENCE_SECONDS)
    assert names(cheap) == {"a.md"}


def test_what_goes_wrong_is_told_and_tried_again(
    cheap: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    cheap.add([folder])
    (folder / "a.md").write_text("Apples are red.", "utf-8")
    sync, errors = cheap.sync, [OSError("the disk is on fire")]

    def once(*arguments: object, **settings: object) -> AddReport:
        if errors:
            raise errors.pop()
        return sync(*arguments, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(cheap, "sync", once)
    told: list[Exception] = []
    with follower(cheap, fail=told.append):
        until(lambda: names(cheap) == {"a.md"})
    assert [str(error) for error in told] == ["the disk is on fire"]
