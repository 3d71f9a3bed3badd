"""Where things are kept, and what is said when they cannot be."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from ondol import paths
from ondol.errors import StorageError


def test_everything_lies_under_ondol_home(home: Path) -> None:
    for path in (
        paths.config_file(),
        paths.database_file(),
        paths.models_dir(),
        paths.state_dir(),
    ):
        assert home in path.parents


def test_platform_directories_are_used_without_ondol_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("ONDOL_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert paths.database_file().name == "ondol.db"
    assert "ondol" in paths.database_file().parent.parts


def test_new_directory_belongs_to_the_owner_alone(tmp_path: Path) -> None:
    made = paths.ensure(tmp_path / "a" / "b")
    assert made.stat().st_mode & 0o777 == 0o700


def test_directory_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written") as caught:
        paths.ensure(tmp_path / "file" / "below")
    assert "ONDOL_HOME" in caught.value.hint


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "full"), (errno.EDQUOT, "full"), (errno.EROFS, "cannot be written")],
)
def test_storage_error_tells_full_from_forbidden(number: int, words: str) -> None:
    error = paths.storage_error(OSError(number, "reason"), Path("/x"))
    assert words in error.message
    assert "/x" in error.message
    assert error.exit_code == 2
