"""Files that cannot be read: each ends in one sentence, and none of them blocks."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ondol.errors import DocumentError, DocumentNotFoundError
from ondol.retrieval.loaders import load, media_type


def refuse(path: Path, *, max_bytes: int = 1_000_000) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        load(path, max_bytes=max_bytes)
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    return caught.value


def test_a_file_that_vanished_is_not_found(tmp_path: Path) -> None:
    error = refuse(tmp_path / "gone.txt")
    assert isinstance(error, DocumentNotFoundError)
    assert error.message == "gone.txt is not there."
    assert isinstance(refuse(Path("/dev/null/x")), DocumentNotFoundError)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert "is a folder" in refuse(tmp_path).message


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    assert "pipe, socket or device" in refuse(tmp_path / "pipe.txt").message
    assert media_type(tmp_path / "pipe.txt") == "text/plain"


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.txt"))
        assert "pipe, socket or device" in refuse(tmp_path / "s.txt").message


def test_a_device_is_refused() -> None:
    assert "pipe, socket or device" in refuse(Path("/dev/zero")).message


def test_a_file_above_the_limit_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(1 << 40)
    error = refuse(tmp_path / "huge.txt", max_bytes=64 * 1024 * 1024)
    assert error.message == "huge.txt has 1,048,576.0 MB; files above 64 MB are skipped."
    assert "retrieval.max_file_mb" in error.hint


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x" * 100, encoding="utf-8")
    assert len(load(tmp_path / "a.txt", max_bytes=100).text) == 100
    assert "are skipped" in refuse(tmp_path / "a.txt", max_bytes=99).message


def test_a_file_that_hides_its_size_is_still_limited() -> None:
    path = Path("/proc/self/maps")  # says that it is empty
    if not path.exists():
        pytest.skip("needs /proc")
    assert "are skipped" in refuse(path, max_bytes=50).message


def test_a_link_in_a_circle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "a.txt")
    assert "cannot be read" in refuse(tmp_path / "a.txt").message


def test_a_name_that_is_no_text_is_refused_in_printable_words(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xb0\xa1.txt"))
    path.write_text("x", encoding="utf-8")
    error = refuse(path)
    assert "not valid Unicode" in error.message
    error.message.encode("utf-8")
    assert "cannot be read" in refuse(Path("a\0b.txt")).message


_AS_NOBODY = """
import os, sys
from pathlib import Path
from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import load, media_type
t("documents.binary", name="")  # reads the catalogue while it may
if os.geteuid() == 0:
    os.seteuid(65534)
print(media_type(Path(sys.argv[1])))
try:
    load(Path(sys.argv[1]), max_bytes=1000)
except DocumentError as error:
    print(error.message)
    print(error.hint)
"""


def test_a_file_without_permission_is_refused() -> None:
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "closed.txt")
        path.write_text("secret", encoding="utf-8")
        path.chmod(0o000)
        done = subprocess.run(
            [sys.executable, "-c", _AS_NOBODY, str(path)],
            env={**os.environ, "ONDOL_LANGUAGE": "en"},
            capture_output=True,
            text=True,
            check=True,
        )
    kind, message, hint = done.stdout.splitlines()
    assert kind == "text/plain"
    assert message == "closed.txt may not be read: permission denied."
    assert "chmod" in hint
