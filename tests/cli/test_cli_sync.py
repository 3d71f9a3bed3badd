"""``ondol sync``, ``add --watch``, and the lists of what is followed and what failed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import COMMAND

pytestmark = pytest.mark.model


def test_sync_follows_what_was_added(ondol, config, papers: Path) -> None:
    assert "ondol add" in ondol("sync").stderr
    ondol("add", papers)
    (papers / "washer.md").rename(papers / "machine.md")
    (papers / "garden.txt").unlink()
    (papers / "new.txt").write_text("The roof was mended in May.\n")
    result = ondol("sync")
    assert result.code == 0 and result.stdout == "1 added, 1 moved, 1 removed\n"
    report = ondol("sync", "--json").json
    assert (report["unchanged"], report["removed"], report["missing"]) == (2, 0, [])
    assert ondol("sync", papers / "nowhere").code == 0, "a path in a folder means the folder"
    unknown = ondol("sync", papers.parent)
    assert unknown.code == 0
    assert ondol("sync", "/nowhere").code == 5


def test_missing_folder_is_told_and_nothing_is_lost(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    papers.rename(papers.parent / "away")
    result = ondol("sync")
    assert result.code == 0 and "papers is not there" in result.stderr
    assert len(ondol("list", "--documents", "--json").json["documents"]) == 2


def test_what_failed_is_listed_with_its_reason(ondol, config, papers: Path) -> None:
    assert "could be read" in ondol("list", "--documents", "--failed").stderr
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    (papers / "copy.txt").write_bytes((papers / "garden.txt").read_bytes())
    assert ondol("add", papers).stdout == "3 added, 1 of them the same as another, 1 skipped\n"
    (failed,) = ondol("list", "--documents", "--failed", "--json").json["failed"]
    assert failed["source"].endswith("broken.pdf") and failed["reason"]
    documents = ondol("list", "--documents", "--json").json["documents"]
    assert [d["duplicate_of"] for d in documents if d["source"].endswith("garden.txt")] == [
        str(papers / "copy.txt")
    ]
    assert "= " in ondol("list", "--documents").stdout
    again = ondol("sync")
    assert "broken.pdf" not in again.stderr and "--failed" in again.stderr
    assert "broken.pdf" in ondol("sync", "--retry").stderr


def test_collection_and_limit_are_remembered_with_the_folder(ondol, config, papers: Path) -> None:
    ondol("add", papers, "--collection", "home", "--sensitivity", "trusted", "--no-watch")
    ondol("add", papers)
    assert ondol("list", "--folders", "--json").json["folders"] == [
        {"path": str(papers), "collection": "home", "sensitivity": "trusted", "watch": False}
    ]
    assert ondol("list", "--folders", "--quiet").stdout == f"{papers}\n"
    ondol("add", papers, "--sensitivity", "public")
    (folder,) = ondol("list", "--folders", "--json").json["folders"]
    assert folder["sensitivity"] == "public"
    assert "public" not in (shown := ondol("list", "--folders").stdout) and "–" in shown


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def test_watching_goes_on_until_ctrl_c(ondol, config, papers: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "add", papers, "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=dict(os.environ),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"2 added\n"
        (papers / "new.txt").write_text("The roof was mended in May.\n")
        assert process.stdout.readline().startswith(b"1 added")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_server_follows_the_watched_folders(ondol, server: str, papers: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "add", papers, "--watch"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
    (papers / "new.txt").write_text("The roof was mended in May.\n")

    def is_there() -> bool:
        documents = ondol("list", "--documents", "--json").json["documents"]
        return any(d["source"].endswith("new.txt") for d in documents)

    until(is_there)


def test_watching_what_no_reader_could_ever_read_ends_at_once(ondol, config, papers: Path) -> None:
    (papers / "old.hwp").write_bytes(bytes(range(256)) * 40)
    result = ondol("add", papers / "old.hwp", "--watch")
    assert result.code == 5 and "old.hwp" in result.stderr
    assert ondol("list", "--folders", "--json").json["folders"] == []
