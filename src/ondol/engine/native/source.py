"""What a native engine is made from: one pinned archive of a registry, and which part of it.

Knows nothing about how the archive gets here. ``unpack`` writes plain files only, into one folder,
and raises ``EngineBuildError`` for an archive that is not what was pinned.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ondol import paths
from ondol.errors import EngineBuildError
from ondol.i18n import t

BLOCK_BYTES = 1 << 20
MOST_FILES = 20_000
MOST_BYTES = 1 << 30
# Models, pictures and the like, which nothing is compiled from.
LEFT_OUT = {"docs", "media", "models", "gguf-py", "ci", "tests", "benches", ".github", ".devops"}


@dataclass(frozen=True, slots=True)
class Archive:
    """``package`` at ``version`` as the registry has it, with the SHA-256 of its sdist; ``folder``
    in it holds the sources of llama.cpp at ``release``."""

    package: str
    version: str
    digest: str
    size_bytes: int
    folder: str
    release: str


PINNED = Archive(
    package="llama-cpp-python",
    version="0.3.36",
    digest="832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
    size_bytes=76_589_250,
    folder="vendor/llama.cpp",
    release="0.5.0",
)


def check(file: Path, archive: Archive = PINNED) -> None:
    """Raise unless ``file`` is exactly the pinned archive."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != archive.digest:
        raise _unsound(archive)


def unpack(
    file: Path,
    destination: Path,
    archive: Archive = PINNED,
    on_file: Callable[[int], None] = lambda count: None,
) -> None:
    """Write the sources in ``file`` to ``destination``, which is there whole or not at all.

    Only plain files are taken, by a path that stays inside: no links, no devices, nothing that may
    be run, and no more of them than sources have.
    """
    unfinished = destination.with_name(f".{destination.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        with tarfile.open(file, "r:gz") as tar:
            _write(tar, unfinished, PurePosixPath(archive.folder).parts, archive, on_file)
        shutil.rmtree(destination, ignore_errors=True)
        unfinished.rename(destination)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise _unsound(archive) from error
    except OSError as error:
        raise paths.storage_error(error, destination) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(
    tar: tarfile.TarFile,
    destination: Path,
    folder: tuple[str, ...],
    archive: Archive,
    on_file: Callable[[int], None],
) -> None:
    count = size = 0
    for member in tar:
        inside = _inside(member.name, folder)
        if inside is None or not member.isfile():
            continue
        count, size = count + 1, size + member.size
        if count > MOST_FILES or size > MOST_BYTES:
            raise _unsound(archive)
        target = destination.joinpath(*inside)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        reader = tar.extractfile(member)
        assert reader is not None
        with reader, target.open("xb") as writer:
            shutil.copyfileobj(reader, writer, BLOCK_BYTES)
        on_file(count)
    if not count:
        raise _unsound(archive)


def _inside(name: str, folder: tuple[str, ...]) -> tuple[str, ...] | None:
    """The path below ``folder`` of the archive's one top folder; None for what is not wanted."""
    parts = PurePosixPath(name).parts
    if ".." in parts or not parts or name.startswith("/") or "\\" in name or "\0" in name:
        return None
    below = parts[1:]
    rest = below[len(folder) :]
    if below[: len(folder)] != folder or not rest or rest[0] in LEFT_OUT:
        return None
    return rest


def _unsound(archive: Archive) -> EngineBuildError:
    return EngineBuildError(
        t("native.unsound_source", package=archive.package, version=archive.version),
        t("native.unsound_source_hint"),
    )
