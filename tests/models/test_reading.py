"""What is read once, and that nobody is told of what is no more."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ondol.models import reading
from ondol.models.reading import Reading, files_in


class Counting:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self, path: Path) -> str:
        self.count += 1
        return path.read_text()


def wait_a_tick(folder: Path) -> None:
    """Until what changes has another time than what changed before."""
    probe = folder.with_name("probe")
    probe.touch()
    before = probe.stat().st_ctime_ns
    while probe.stat().st_ctime_ns == before:
        probe.touch()


def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was written so far is long ago."""
    monkeypatch.setattr(reading, "SETTLED_NS", -(10**12))


def test_a_file_that_stays_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settled(monkeypatch)
    file, read = tmp_path / "one.json", Counting()
    file.write_text("first")
    kept = Reading(read)
    assert [kept.of(file) for _ in range(5)] == ["first"] * 5
    assert read.count == 1


@pytest.mark.parametrize("replaced", [True, False])
def test_a_changed_file_is_read_again_whatever_its_times_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replaced: bool
) -> None:
    settled(monkeypatch)
    file, kept = tmp_path / "one.json", Reading(Counting())
    file.write_text("first")
    times = file.stat()
    assert kept.of(file) == "first"
    wait_a_tick(tmp_path)
    if replaced:
        other = tmp_path / "two"
        other.write_text("again")
        other.replace(file)
    else:
        file.write_text("again")
    # As large as it was, and with the times that it had.
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert kept.of(file) == "again"


def test_what_has_just_been_written_is_read_each_time(tmp_path: Path) -> None:
    file, read = tmp_path / "one.json", Counting()
    file.write_text("first")
    kept = Reading(read)
    kept.of(file), kept.of(file)
    assert read.count == 2


def test_a_file_that_is_gone_or_damaged_is_not_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    file, kept = tmp_path / "one.json", Reading(lambda path: int(path.read_text()))
    file.write_text("1")
    assert kept.of(file) == 1
    wait_a_tick(tmp_path)
    file.write_text("damaged")
    with pytest.raises(ValueError):
        kept.of(file)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        kept.of(file)


def test_a_folder_is_listed_again_when_a_file_comes_or_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settled(monkeypatch)
    assert files_in(tmp_path / "nowhere") == ()
    (tmp_path / "b.json").touch()
    (tmp_path / "other").touch()
    assert files_in(tmp_path) == (tmp_path / "b.json",)
    wait_a_tick(tmp_path)
    (tmp_path / "a.json").touch()
    assert files_in(tmp_path) == (tmp_path / "a.json", tmp_path / "b.json")
    wait_a_tick(tmp_path)
    (tmp_path / "b.json").unlink()
    assert files_in(tmp_path) == (tmp_path / "a.json",)
