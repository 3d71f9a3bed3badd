"""What is taken out of an archive, and what is not."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ondol.engine.native import source
from ondol.engine.native.source import PINNED, Archive
from ondol.errors import EngineBuildError


def packed(file: Path, members: dict[str, bytes], *more: tarfile.TarInfo) -> Archive:
    with tarfile.open(file, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in more:
            tar.addfile(member)
    return replace(PINNED, digest=hashlib.sha256(file.read_bytes()).hexdigest())


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_only_plain_files_of_the_sources_are_taken(tmp_path: Path) -> None:
    archive = packed(
        tmp_path / "a.tar.gz",
        {
            "p-1/vendor/llama.cpp/CMakeLists.txt": b"project(x)",
            "p-1/vendor/llama.cpp/src/llama.cpp": b"int x;",
            "p-1/vendor/llama.cpp/models/huge.gguf": b"weights",
            "p-1/vendor/llama.cpp/../../../escape": b"x",
            "/vendor/llama.cpp/absolute": b"x",
            "p-1/setup.py": b"import os",
        },
        link("p-1/vendor/llama.cpp/link", "/etc/passwd"),
        link("p-1/vendor/llama.cpp/hard", "p-1/setup.py", tarfile.LNKTYPE),
        link("p-1/vendor/llama.cpp/device", "", tarfile.CHRTYPE),
    )
    source.check(tmp_path / "a.tar.gz", archive)
    source.unpack(tmp_path / "a.tar.gz", tmp_path / "out", archive)
    files = {str(f.relative_to(tmp_path / "out")) for f in (tmp_path / "out").rglob("*.*")}
    assert files == {"CMakeLists.txt", "src/llama.cpp"}
    assert sorted(f.name for f in tmp_path.iterdir()) == ["a.tar.gz", "out"]


def test_an_archive_of_another_digest_is_refused(tmp_path: Path) -> None:
    packed(tmp_path / "a.tar.gz", {"p/vendor/llama.cpp/x": b"x"})
    with pytest.raises(EngineBuildError, match=r"0\.3\.36"):
        source.check(tmp_path / "a.tar.gz")


def test_a_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = {f"p/vendor/llama.cpp/{number}": b"x" for number in range(20)}
    archive = packed(tmp_path / "a.tar.gz", many)
    monkeypatch.setattr(source, "MOST_FILES", 10)
    with pytest.raises(EngineBuildError):
        source.unpack(tmp_path / "a.tar.gz", tmp_path / "out", archive)
    monkeypatch.setattr(source, "MOST_FILES", 100)
    monkeypatch.setattr(source, "MOST_BYTES", 10)
    with pytest.raises(EngineBuildError):
        source.unpack(tmp_path / "a.tar.gz", tmp_path / "out", archive)
    assert [f.name for f in tmp_path.iterdir()] == ["a.tar.gz"]


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\x00cut"])
def test_what_is_no_archive_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(content)
    with pytest.raises(EngineBuildError):
        source.unpack(tmp_path / "a.tar.gz", tmp_path / "out")


def test_an_archive_without_the_sources_is_refused(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.tar.gz", {"p/readme.md": b"x"})
    with pytest.raises(EngineBuildError):
        source.unpack(tmp_path / "a.tar.gz", tmp_path / "out", archive)
