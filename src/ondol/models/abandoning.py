"""Giving up a pull: what it had gathered so far is deleted, and the bytes are free again.

Content that another pull is gathering at this moment stays. Raises ``StorageError``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable

from ondol import paths
from ondol.errors import UsageError
from ondol.models import catalog, names
from ondol.models.blobs import discard
from ondol.models.locks import hold_all
from ondol.models.sources import key_of
from ondol.models.store import ModelStore


class _InUseError(Exception):
    """Somebody else holds the lock."""


def abandon(name: str, keys: Iterable[str], store: ModelStore) -> None:
    """Delete the partial files that ``keys`` name (see ``pull.Progress``) and the work folders of
    the sources of the model ``name``."""
    try:
        wanted = names.normalize(name)
    except UsageError:
        return
    entry = catalog.load().find(wanted)
    references = entry.sources if entry else (wanted,)
    for reference in references:
        _drop(store, key_of(reference), f"{key_of(reference)}.work")
    for key in keys:
        _drop(store, key, key)


def _drop(store: ModelStore, lock: str, key: str) -> None:
    partial = store.blobs.partial(key)
    if not partial.exists():
        return
    try:
        with hold_all([paths.ensure(store.directory / "locks") / lock], _give_way):
            if partial.is_dir():
                shutil.rmtree(partial, ignore_errors=True)
            else:
                discard(partial)
    except _InUseError:
        return
    except OSError as error:
        raise paths.storage_error(error, partial) from error


def _give_way() -> None:
    raise _InUseError
