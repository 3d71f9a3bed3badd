"""An upload on its way: from the request to a file, and from the file into the library.

Bytes go to disk as they come and are never in memory as a whole. What has arrived while a run of
the library goes on is read by the next one, all together: a run costs more than a file.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import leftovers, paths, uploads
from ondol.errors import DocumentNotFoundError, OndolError
from ondol.i18n import t
from ondol.retrieval.collections import valid_name
from ondol.server.streaming import in_thread

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.reports import Progress

# What is taken from the request before it is written.
BLOCK_BYTES = 1 << 20


class UploadTooLargeError(OndolError):
    """The file is larger than the library reads."""

    code = "upload_too_large"
    status = 413


@dataclass(frozen=True, slots=True)
class Arrived:
    """An upload that is in its place, and who waits for what becomes of it."""

    path: Path
    collection: str | None
    context: Context = field(default_factory=copy_context)
    outcome: Future[tuple[str, str]] = field(default_factory=Future)


async def receive(chunks: AsyncIterator[bytes], name: str, most_bytes: int) -> Path:
    """Write ``chunks`` to a new file; nothing is left where the client hangs up, or sends more
    than ``most_bytes``."""
    partial, descriptor = await in_thread(uploads.begin)
    try:
        size, waiting = 0, bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > most_bytes:
                raise too_large(name, most_bytes)
            waiting += chunk
            if len(waiting) >= BLOCK_BYTES:
                await in_thread(_write(descriptor, partial, bytes(waiting)))
                waiting.clear()
        await in_thread(_write(descriptor, partial, bytes(waiting)))
    except BaseException:
        leftovers.erase(partial)
        raise
    finally:
        os.close(descriptor)
    return partial


def too_large(name: str, most_bytes: int) -> UploadTooLargeError:
    """The refusal of a file that no reader would take."""
    message = t("uploads.too_large", name=name, megabytes=most_bytes >> 20)
    return UploadTooLargeError(message, t("uploads.too_large_hint"))


class Intake:
    """Brings uploads into the library of ``parts``, those that arrive together in one run."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._waiting: list[Arrived] = []
        self._thread: threading.Thread | None = None
        self._placing = threading.Lock()
        self._is_tidy = False

    def open(self, collection: str | None) -> str | None:
        """Before anything arrives: a library that cannot be opened says so, and so does a name that
        cannot be a collection's; what a server that was killed left behind goes."""
        with self._placing:
            if not self._is_tidy:
                uploads.tidy()
                self._is_tidy = True
        self._parts.library.folders()
        return valid_name(collection) if collection else None

    def place(
        self,
        partial: Path,
        name: tuple[str, ...],
        collection: str | None,
        modified_seconds: float | None,
    ) -> Path:
        """Give an upload its place. One of the same name in the same collection is replaced; of
        those in others, none. Nothing is left of one that cannot have its place."""
        wanted = collection or "default"

        def is_free(path: Path) -> bool:
            if not path.exists():
                return True
            try:
                (known,) = self._parts.library.folders([path])
            except (DocumentNotFoundError, ValueError):
                return False
            return path.is_file() and known.collection == wanted

        try:
            with self._placing:
                path = uploads.place(name, is_free)
                uploads.keep(partial, path, modified_seconds)
        except BaseException:
            leftovers.erase(partial)
            raise
        return path

    def add(self, path: Path, collection: str | None) -> tuple[str, str]:
        """What became of the file at ``path``, and why it could not be read. Waits for it."""
        arrived = Arrived(path, collection)
        with self._lock:
            self._waiting.append(arrived)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="intake", daemon=True)
                self._thread.start()
        return arrived.outcome.result()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                collection = self._waiting[0].collection
                batch = [one for one in self._waiting if one.collection == collection]
                self._waiting = [one for one in self._waiting if one not in batch]
            # In the language of who came first.
            batch[0].context.run(self._read, batch)

    def _read(self, batch: list[Arrived]) -> None:
        outcomes: dict[str, tuple[str, str]] = {}

        def on_progress(progress: Progress) -> None:
            outcomes[progress.source] = (progress.outcome, progress.reason)

        files = list(dict.fromkeys(one.path for one in batch))
        try:
            library = self._parts.library
            library.add(files, collection=batch[0].collection, on_progress=on_progress)
            known = {folder.path for folder in library.folders()}
        except BaseException as error:
            self._drop_unknown(files)
            for one in batch:
                one.outcome.set_exception(error)
            return
        for one in batch:
            outcome = outcomes.get(str(one.path), ("failed", ""))
            if str(one.path) not in known:
                # What no reader could ever read is not kept either.
                uploads.erase([str(one.path)])
                outcome = ("failed", outcome[1] or t("uploads.not_a_document"))
            one.outcome.set_result(outcome)

    def _drop_unknown(self, files: list[Path]) -> None:
        """Erase what the library does not know: nobody would ever come across it again."""
        try:
            known = {folder.path for folder in self._parts.library.folders()}
        except Exception:
            return  # who cannot ask the library may not decide what it knows
        uploads.erase(str(path) for path in files if str(path) not in known)


def _write(descriptor: int, partial: Path, block: bytes) -> Callable[[], None]:
    def write() -> None:
        left = memoryview(block)
        try:
            while left:
                left = left[os.write(descriptor, left) :]
        except OSError as error:
            raise paths.storage_error(error, partial) from error

    return write
