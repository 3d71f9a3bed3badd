"""A GGUF file on this machine, copied in; of a model in several parts, all of them."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from ondol import paths
from ondol.errors import DownloadError
from ondol.i18n import t
from ondol.models.blobs import Blobs, copy
from ondol.models.patience import Watch
from ondol.models.sources import Offer, RemoteFile, key_of

_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)


class FileSource:
    """A path, or ``file:`` and a path. The original stays as it is."""

    def __init__(self, reference: str) -> None:
        text = reference
        if text.startswith("file:"):
            text = unquote(text.removeprefix("file:"))
            text = text.removeprefix("//localhost").removeprefix("//")
        self._path = Path(text).expanduser().absolute()

    def offer(self) -> Offer:
        parts = parts_of(self._path.name)
        files = [self._path.with_name(name) for name in parts]
        for file in files:
            if not file.is_file():
                raise DownloadError(t("models.no_such_path", path=file))
        return Offer(
            tuple(
                RemoteFile("weights", f.name, key_of(str(f)), size_bytes=f.stat().st_size)
                for f in files
            )
        )

    def fetch(self, file: RemoteFile, partial: Path, watch: Watch) -> None:
        def report(done: int) -> None:
            watch.check()
            watch.on_bytes(done, file.size_bytes)

        source = self._path.with_name(file.name)
        try:
            Blobs(partial.parent).check_space(source.stat().st_size)
            copy(source, partial, report)
        except PermissionError as error:
            if error.filename == str(source):
                raise DownloadError(t("models.no_such_path", path=source)) from error
            raise paths.storage_error(error, partial) from error
        except OSError as error:
            raise paths.storage_error(error, partial) from error


def parts_of(name: str) -> list[str]:
    """The names of all parts of a split model, first to last; a whole file is its only part."""
    found = _PART.fullmatch(name)
    if not found:
        return [name]
    count = found["count"]
    return [f"{found['stem']}-{n:05d}-of-{count}.gguf" for n in range(1, int(count) + 1)]
