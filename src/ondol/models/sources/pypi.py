"""A wheel, fetched by pip as a file and never installed: ``pypi:name==version#sha256=…&size=…``.

pip's own configuration and environment are the user's and are kept, so mirrors and private indexes
work. The wheel is verified before it is opened, and only the files asked for are taken out.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs

from ondol import paths
from ondol.errors import InvalidModelError, UsageError
from ondol.i18n import t
from ondol.models.blobs import BLOCK_BYTES, Blobs, digest_of, mismatch
from ondol.models.patience import Watch
from ondol.models.sources import Context, Offer, RemoteFile, WantedFile, pip
from ondol.models.sources.pip import check_door

_REFERENCE = re.compile(r"pypi:(?P<requirement>[A-Za-z0-9][\w.-]*==[\w.!+]+)(?:#(?P<fragment>.*))?")
_OPTIONS = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    *pip.QUIETLY,
)

__all__ = ["PypiSource", "check_door", "unpack"]


class PypiSource:
    """One wheel. Its digest and its files' digests must be known beforehand."""

    python = sys.executable

    def __init__(self, reference: str, wanted: Sequence[WantedFile], context: Context) -> None:
        found = _REFERENCE.fullmatch(reference)
        known = parse_qs(found["fragment"] or "") if found else {}
        if not found or not wanted or "sha256" not in known:
            raise UsageError(t("models.bad_wheel", reference=reference))
        self._requirement = found["requirement"]
        self._digest = f"sha256:{known['sha256'][0]}"
        self._size_bytes = int(known.get("size", ["0"])[0])
        self._wanted = wanted
        self._context = context

    def offer(self) -> Offer:
        return Offer(
            tuple(
                RemoteFile(f.role, f.name, f.digest.partition(":")[2], f.digest, "", f.size_bytes)
                for f in self._wanted
            )
        )

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        wheel = self._wheel(file, watch)
        try:
            Blobs(partial.parent).check_space(file.size_bytes or 0)
            unpack(wheel, file, partial, watch)
        except OSError as error:
            raise paths.storage_error(error, partial) from error

    def _wheel(self, file: RemoteFile, watch: Watch) -> Path:
        """The verified wheel in the workspace, brought there by pip if need be."""
        folder = self._context.workspace / "wheel"
        found = next(folder.glob("*.whl"), None)
        if found is None or digest_of(found) != self._digest:
            shutil.rmtree(folder, ignore_errors=True)
            Blobs(self._context.workspace.parent).check_space(self._size_bytes)
            check_door(self._context.egress, os.environ)
            self._run_pip(folder, file, watch)
            found = next(folder.glob("*.whl"), None)
            if found is None or digest_of(found) != self._digest:
                shutil.rmtree(folder, ignore_errors=True)
                raise mismatch(self._requirement)
        return found

    def _run_pip(self, folder: Path, file: RemoteFile, watch: Watch) -> None:
        def progress() -> None:
            # What pip has gathered so far, in proportion.
            if self._size_bytes and file.size_bytes:
                share = min(pip.gathered(folder) / self._size_bytes, 1.0)
                watch.on_bytes(int(share * file.size_bytes), file.size_bytes)

        arguments = [*_OPTIONS, "--dest", str(folder), self._requirement]
        what = f"pypi:{self._requirement}"
        pip.run(arguments, folder, watch, what, python=self.python, on_poll=progress)


def unpack(wheel: Path, file: RemoteFile, destination: Path, watch: Watch) -> None:
    """Write the member of ``wheel`` called ``file.name``, in whatever folder, to ``destination``.

    The member's own path is never used as a path, and no more is written than was announced.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = _member(archive, file.name)
            most = file.size_bytes if file.size_bytes is not None else member.file_size
            if member.file_size != most:
                raise mismatch(file.name)
            done = 0
            with archive.open(member) as reader, destination.open("wb") as writer:
                while block := reader.read(BLOCK_BYTES):
                    watch.check()
                    done += len(block)
                    if done > most:
                        raise mismatch(file.name)
                    writer.write(block)
                    watch.on_bytes(done, most)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, RuntimeError) as error:
        raise InvalidModelError(t("models.bad_archive", name=wheel.name)) from error


def _member(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """The entry whose path ends with ``name``; of several, the one nearest the top."""
    wanted = PurePosixPath(name).parts
    found = [
        (len(parts), info.filename, info)
        for info in archive.infolist()
        if (parts := PurePosixPath(info.filename).parts)[-len(wanted) :] == wanted
    ]
    if not found:
        raise InvalidModelError(t("models.archive_lacks", name=name))
    return min(found)[2]
