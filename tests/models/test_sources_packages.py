"""Other people's packages as files: pinned, and nothing of them is run."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from ondol.egress import Egress
from ondol.errors import DownloadError, EgressError
from ondol.models.patience import Watch
from ondol.models.sources import packages

BACKEND = "tiny_backend.build"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ABOUT = "Metadata-Version: 2.1\nName: {}\nVersion: 1.0\n"


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder that pip takes packages from."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def wheel(index: Path) -> str:
    file = index / "tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("tool/data/bin/tool", "#!/bin/sh\n")
        archive.writestr("tool-1.0.dist-info/METADATA", ABOUT.format("tool"))
        archive.writestr("tool-1.0.dist-info/WHEEL", TAGS)
        archive.writestr("tool-1.0.dist-info/RECORD", "")
    return hashlib.sha256(file.read_bytes()).hexdigest()


def sdist(index: Path, told: Path) -> str:
    """A source whose builder, were it run, would leave a file."""
    spy = f"from pathlib import Path\nPath({str(told)!r}).write_text('run')\n"
    project = '[build-system]\nrequires = []\nbuild-backend = "tiny_backend.build"\n'
    members = {
        "PKG-INFO": ABOUT.format("tiny-source"),
        "pyproject.toml": project,
        "setup.py": spy,
        "tiny_backend/__init__.py": spy,
        "tiny_backend/build.py": spy,
    }
    file = index / "tiny_source-1.0.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for name, text in members.items():
            member = tarfile.TarInfo(f"tiny_source-1.0/{name}")
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return hashlib.sha256(file.read_bytes()).hexdigest()


def fetch(folder: Path, digest: str, egress: Egress | None = None) -> Path:
    egress = egress or Egress(offline=False)
    return packages.fetch_source(
        "tiny-source", "1.0", digest, 1000, folder, egress, Watch(), BACKEND
    )


def test_a_source_is_fetched_and_nothing_of_it_is_run(index: Path, tmp_path: Path) -> None:
    digest = sdist(index, tmp_path / "told")
    file = fetch(tmp_path / "work" / "archive", digest)
    assert hashlib.sha256(file.read_bytes()).hexdigest() == digest
    assert not (tmp_path / "told").exists()
    (index / "tiny_source-1.0.tar.gz").unlink()
    assert fetch(tmp_path / "work" / "archive", digest) == file  # not fetched again


def test_a_source_of_another_digest_is_refused(index: Path, tmp_path: Path) -> None:
    sdist(index, tmp_path / "told")
    with pytest.raises(DownloadError):
        fetch(tmp_path / "work" / "archive", "0" * 64)
    assert not (tmp_path / "told").exists()


def test_nothing_is_fetched_through_a_shut_door(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "https://mirror.example/links")
    with pytest.raises(EgressError):
        fetch(tmp_path / "work" / "archive", "0" * 64, Egress(offline=True))


def test_a_tool_is_a_pinned_wheel_in_a_folder_of_its_own(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "TOOLS", {"tool": ("1.0", ("1" * 64, wheel(index)))})
    folder = packages.fetch_tools(["tool"], tmp_path / "tools", Egress(offline=False), Watch())
    assert (folder / "tool" / "data" / "bin" / "tool").is_file()
    (index / "tool-1.0-py3-none-any.whl").unlink()
    packages.fetch_tools(["tool"], tmp_path / "tools", Egress(offline=False), Watch())


def test_a_tool_of_which_a_killed_pip_left_some_is_fetched_again(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "TOOLS", {"tool": ("1.0", (wheel(index),))})
    (tmp_path / "tools" / "tool" / "data").mkdir(parents=True)
    folder = packages.fetch_tools(["tool"], tmp_path / "tools", Egress(offline=False), Watch())
    assert (folder / "tool" / "data" / "bin" / "tool").is_file()


def test_a_tool_of_another_digest_is_refused(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(index)
    monkeypatch.setattr(packages, "TOOLS", {"tool": ("1.0", ("1" * 64,))})
    with pytest.raises(DownloadError):
        packages.fetch_tools(["tool"], tmp_path / "tools", Egress(offline=False), Watch())
    assert not (tmp_path / "tools" / "tool").exists()


def test_every_pin_is_a_digest() -> None:
    for version, digests in packages.TOOLS.values():
        assert version
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
