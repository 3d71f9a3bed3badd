"""A small file is there whole or not at all, and nobody else's business."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ondol import whole_file
from ondol.errors import StorageError


def test_file_is_for_its_owner_alone_and_replaced_as_a_whole(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    whole_file.write(file, "first and long")
    whole_file.write(file, b"\xec\x98\xa8")
    assert file.read_text() == "온"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_what_another_put_there_first_stays(tmp_path: Path) -> None:
    file = tmp_path / "one.txt"
    whole_file.write(file, "first", keeps_first=True)
    whole_file.write(file, "second", keeps_first=True)
    assert file.read_text() == "first" and list(tmp_path.iterdir()) == [file]


def test_full_disk_leaves_what_was_there_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "one.txt"
    whole_file.write(file, "old")

    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(whole_file.os, "fsync", fsync)
    with pytest.raises(StorageError, match="full"):
        whole_file.write(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"one\.txt"):
        whole_file.write(tmp_path / "none" / "one.txt", "x")
