"""Where the file of an adapter is: a blob beside the models' blobs, in the folder of those that
came with Ondol, or, of one that learned from its owner, in the owner's database.

Raises ``InvalidModelError`` for a file that does not fit, ``StorageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import InvalidModelError
from ondol.models import blobs, reading
from ondol.models.adapter_fit import Shape
from ondol.models.adapter_manifest import Adapter, read_or_none
from ondol.models.store import ModelStore

if TYPE_CHECKING:
    from ondol.models.private_adapters import PrivateAdapters

Check = Callable[[Path], Shape]


@dataclass(frozen=True, slots=True)
class Taken:
    """A file that was taken in and fits. ``place`` gives it its final place, ``discard`` forgets
    it: one of them has to be called, the first with the store's lock held."""

    digest: str
    size_bytes: int
    shape: Shape
    place: Callable[[], None]
    discard: Callable[[], None]
    is_private: bool = False


class AdapterFiles:
    """``shipped`` is a folder of ``NAME.gguf`` files, each with its manifest ``NAME.json`` beside
    it; without ``private`` all are blobs."""

    def __init__(
        self,
        store: ModelStore,
        shipped: Path | None,
        private: Callable[[], PrivateAdapters] | None,
    ) -> None:
        self._store = store
        self._shipped = shipped
        self._private = private

    def shipped(self) -> Iterator[tuple[Path, Adapter]]:
        """Those that came with Ondol, with their files."""
        for path in reading.files_in(self._shipped) if self._shipped else ():
            adapter, file = read_or_none(path), path.with_suffix(".gguf")
            if adapter and blobs.is_of_size(file, adapter.size_bytes):
                yield file, adapter

    def has(self, adapter: Adapter) -> bool:
        """Whether an adapter of one's own has its file. The database is not opened for that."""
        return adapter.private or self._store.blobs.has(adapter.digest, adapter.size_bytes)

    def path(self, adapter: Adapter) -> Path | None:
        """The file to read; of a private one it is in memory. None where it is gone."""
        if adapter.shipped:
            found = (file for file, known in self.shipped() if known.digest == adapter.digest)
            return next(found, None)
        if adapter.private:
            return self._private().path(adapter.digest) if self._private else None
        return self._store.blobs.path(adapter.digest)

    def take(self, file: Path, check: Check, *, private: bool) -> Taken:
        """Take ``file`` in if it fits; a ``private`` one is never a file of its own."""
        # Before it is copied, so that what does not fit costs nothing; the copy is what counts.
        check(file)
        if private and self._private is not None:
            return self._take_private(file, check, self._private())
        staged = self._store.stage(file, "adapter", file.name)
        try:
            shape = check(staged.path)
        except InvalidModelError:
            blobs.discard(staged.path)
            raise
        digest = staged.file.digest
        place = partial(self._store.blobs.place, staged.path, digest)
        return Taken(
            digest, staged.file.size_bytes, shape, place, partial(blobs.discard, staged.path)
        )

    def _take_private(self, file: Path, check: Check, private: PrivateAdapters) -> Taken:
        with self._store.writing(file):
            content = file.read_bytes()
        was_here = private.path(blobs.digest_of(file)) is not None
        digest = private.put(content)

        def discard() -> None:
            if not was_here:
                private.remove([digest])

        try:
            copy = private.path(digest)
            assert copy is not None
            shape = check(copy)
        except InvalidModelError:
            discard()
            raise
        return Taken(digest, len(content), shape, lambda: None, discard, is_private=True)

    def forget(self, adapters: Iterable[Adapter]) -> int:
        """Erase the files of private ones; the bytes freed. Blobs are the store's to sweep."""
        digests = {one.digest for one in adapters if one.private}
        return self._private().remove(digests) if digests and self._private else 0
