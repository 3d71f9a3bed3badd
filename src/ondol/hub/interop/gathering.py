"""A new folder for what goes out of a hub: it is there whole, or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from ondol import paths
from ondol.errors import HubNotFoundError, UsageError
from ondol.hub.release import ReleaseFile
from ondol.i18n import t
from ondol.models import blobs

BlobOf = Callable[[str], Path | None]
"""Where the blob of a digest lies; None where it is not (``Repository.blob``)."""


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Where to write; becomes ``folder`` at the end. UsageError where that is something already,
    StorageError."""
    folder = folder.absolute()
    if folder.exists():
        raise UsageError(t("hub_interop.folder_exists", folder=folder))
    gathering = folder.with_name(f".{folder.name}.{token_hex(4)}")
    try:
        gathering.mkdir(parents=True)
        yield gathering
        gathering.rename(folder)
    except OSError as error:
        raise paths.storage_error(error, folder) from error
    finally:
        shutil.rmtree(gathering, ignore_errors=True)


def copy(file: ReleaseFile, blob_of: BlobOf, destination: Path) -> None:
    """A copy of ``file`` that is what its publisher signed, else InvalidModelError; a copy and no
    link, so that nobody who edits what went out changes what the hub offers."""
    blob = blob_of(file.digest)
    if blob is None:
        raise HubNotFoundError(t("hub_interop.no_blob", file=file.name))
    blobs.copy(blob, destination, lambda done: None)
    if blobs.digest_of(destination) != file.digest:
        raise blobs.mismatch(file.name)
