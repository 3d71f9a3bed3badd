"""``Reader.load``: the same as ``loaders.load``, whatever the file does to its parser.

Plain text is decoded here. Everything else goes, as an open file, to one child process that stays
for the next file. When it hangs, breaks down or is killed, that file is reported and a new child
reads the next one; of a container only the member that did it is lost.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from ondol.confinement import frames
from ondol.confinement.child import CAN_CONFINE as CAN_ISOLATE
from ondol.egress import guard
from ondol.errors import DocumentError
from ondol.i18n import language, t
from ondol.retrieval.loaders import contents, loader, media_types, ocr
from ondol.retrieval.loaders.isolation import drawing, wire
from ondol.retrieval.loaders.isolation.child import COMMAND, Child, ChildGoneError
from ondol.retrieval.loaders.members import Limits
from ondol.retrieval.loaders.page_picture import PagePicture, Wanted
from ondol.types import Document

# What a child may be kept from: wasting time and memory, rights, other files, the network.
PROTECTIONS = ("limits", "privileges", "files", "network")
PARSE_SECONDS = 60
PARSE_MEMORY_MB = 1024
# A container or a scan of many pages may take this many times as long in all.
WHOLE_FILE_FACTOR = 10
# What a file may break before the rest of it is left out.
MAX_DEATHS = 3
# A child that has read so many makes room for a fresh one: libraries leak.
MAX_FILES = 1000
# Connections that one file's parser was refused and that are told: it may say what it likes.
MAX_REFUSALS = 10


class _Lost(Exception):
    """The child is gone while it read ``member`` ("" for the file itself)."""

    def __init__(self, member: str, cause: ChildGoneError) -> None:
        super().__init__(member)
        self.member = member
        self.cause = cause


class Reader:
    """A context manager; the child is started with the first file that needs it.

    ``seconds`` limits each file, and each member and picture in it; ``memory_mb`` the child.
    Safe to use from several threads, which wait for each other.
    """

    def __init__(
        self,
        *,
        seconds: int = PARSE_SECONDS,
        memory_mb: int = PARSE_MEMORY_MB,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._seconds = seconds
        self._memory_bytes = memory_mb << 20
        self._command = command
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._files = 0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child at once; a file that it is reading fails, and no other is begun."""
        self._is_closed = True
        if child := self._child:
            child.signal_end()
        with self._lock:
            self._end_child()

    @property
    def pid(self) -> int | None:
        """The child's, while there is one."""
        return self._child.pid if self._child else None

    @property
    def protections(self) -> tuple[str, ...]:
        """What the child cannot do, see ``PROTECTIONS``; starts it."""
        if not CAN_ISOLATE:
            return ()
        with self._lock:
            return self._ready_child().protections

    def load(self, path: Path, *, max_bytes: int) -> Document:
        """Read ``path`` as ``loaders.load`` does, with its ``DocumentError`` and those of a file
        that takes too long, takes too much memory, or breaks its parser."""
        source = loader.source_of(path)
        with contents.opened(path) as descriptor:
            kind = media_types.decide(path.name, os.pread(descriptor, media_types.HEAD_BYTES, 0))
            name = contents.printable(path)
            if not CAN_ISOLATE or kind is None or _is_plain_text(kind):
                data = contents.read_opened(descriptor, name, max_bytes=max_bytes)
                return loader.read_document(data, path.name, source, Limits(max_bytes))
            size_bytes = os.fstat(descriptor).st_size
            if size_bytes > max_bytes:
                raise contents.too_large(name, size_bytes, max_bytes)
            with self._lock:
                return self._load(descriptor, path.name, source, max_bytes)

    def draw(self, path: Path, content_hash: str, wanted: Wanted, *, max_bytes: int) -> PagePicture:
        """A page of a PDF that still has the bytes of ``content_hash``, drawn by a child of its
        own. Raises ``DocumentChangedError`` and what ``load`` raises."""
        return drawing.draw(
            path,
            content_hash,
            wanted,
            max_bytes=max_bytes,
            seconds=self._seconds,
            memory_mb=self._memory_bytes >> 20,
            can_isolate=CAN_ISOLATE,
            command=self._command,
        )

    def _load(self, descriptor: int, file_name: str, source: str, max_bytes: int) -> Document:
        avoid: dict[str, str] = {}
        stop_at, was_killed = "", False
        while True:
            request = {
                "file_name": file_name,
                "source": source,
                "max_bytes": max_bytes,
                "language": language(),
                "seconds": self._seconds,
                "avoid": avoid,
                "stop_at": stop_at,
            }
            try:
                return self._read(request, descriptor, source)
            except _Lost as lost:
                self._end_child()
                if lost.cause.is_killed and not was_killed and not self._is_closed:
                    was_killed = True  # somebody's kill is not the file's fault; twice, it may be
                    continue
                error = self._error(lost, PurePosixPath(lost.member).name or file_name)
                if not lost.member or lost.member in avoid or stop_at or self._is_closed:
                    raise error from lost.cause
                if len(avoid) + 1 >= MAX_DEATHS:
                    stop_at = lost.member
                else:
                    avoid[lost.member] = error.message
            except BaseException as error:
                if not isinstance(error, DocumentError):
                    self._end_child()  # an answer may be on its way that nobody waits for
                raise

    def _read(self, request: dict[str, object], descriptor: int, source: str) -> Document:
        """One try at a file; raises ``_Lost``."""
        child = self._ready_child()
        self._files += 1
        begun = time.monotonic()
        longest = self._seconds * (WHOLE_FILE_FACTOR + 1) + ocr.PICTURE_SECONDS
        deadline, member, told = begun + self._seconds, "", 0
        try:
            child.ask(request, descriptor)
            while True:
                said = child.hear(min(deadline, begun + longest))
                deadline = time.monotonic() + self._seconds
                if said.get("kind") == "document":
                    return child.hear_document(said, source, deadline)
                if said.get("kind") == "failed":
                    message = frames.sentence(said.get("message"))
                    raise DocumentError(message, frames.sentence(said.get("hint")))
                if said.get("kind") == "refused":
                    told += 1
                    if told <= MAX_REFUSALS:
                        guard.relay(frames.sentence(said.get("destination")))
                elif said.get("kind") == "picture":
                    deadline += ocr.PICTURE_SECONDS
                else:
                    member = wire.inside(said.get("source"), source)
        except ChildGoneError as gone:
            raise _Lost(member, gone) from gone
        except ValueError as error:
            raise _Lost(member, ChildGoneError(t("isolation.nonsense"))) from error

    def _ready_child(self) -> Child:
        if self._child is not None and (self._files >= MAX_FILES or not self._child.is_alive()):
            self._end_child()
        if self._child is None:
            try:
                self._child = Child(self._command, self._memory_bytes)
            except (ChildGoneError, OSError) as error:
                message = t("isolation.not_started", reason=error)
                raise DocumentError(message, t("isolation.not_started_hint")) from error
        if self._is_closed:  # perhaps while the child was starting
            self._end_child()
            raise DocumentError(t("isolation.not_started", reason=t("isolation.closed")))
        return self._child

    def _end_child(self) -> None:
        child, self._child, self._files = self._child, None, 0
        if child is not None:
            child.kill()

    def _error(self, lost: _Lost, name: str) -> DocumentError:
        if lost.cause.is_slow:
            message = t("isolation.too_slow", name=name, limit=self._seconds)
            return DocumentError(message, t("isolation.too_slow_hint"))
        return DocumentError(t("isolation.crashed", name=name, reason=lost.cause))


def protections() -> tuple[str, ...]:
    """What a child that reads documents cannot do on this machine, tried out; see
    ``PROTECTIONS``. Raises ``DocumentError`` when it cannot be started at all."""
    with Reader() as reader:
        return reader.protections


def _is_plain_text(kind: str) -> bool:
    """Whether reading it is decoding and no more: text, Markdown, code, tables of text, JSON."""
    return kind == "application/json" or (kind.startswith("text/") and kind != media_types.HTML)
