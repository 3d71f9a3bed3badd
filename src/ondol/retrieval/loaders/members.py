"""What a container holds, each member read as a file of its own, all levels in one row.

Limits hold for everything inside one file together: levels, members, bytes and characters. A
member that cannot be read is named with its reason and the others are still read. Never raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import contents, media_types, names, ocr
from ondol.retrieval.loaders.extract import MAX_CHARACTERS, Member
from ondol.types import Document

MAX_LEVELS = 5
MAX_MEMBERS = 10_000
MAX_UNPACKED_BYTES = 512 * contents.MEGABYTE


class Full(DocumentError):
    """No more members are read from this file."""


@dataclass(slots=True)
class Limits:
    """What may still be read from one file; ``max_bytes`` is the limit of each member. ``begin`` is
    called with the source of each member that is about to be read; what it raises skips it."""

    max_bytes: int
    level: int = 0
    members_left: int = MAX_MEMBERS
    bytes_left: int = MAX_UNPACKED_BYTES
    characters_left: int = MAX_CHARACTERS
    begin: Callable[[str], None] = field(default=lambda source: None)

    def take_member(self, container: str) -> None:
        if self.members_left <= 0:
            limit = f"{MAX_MEMBERS:,}"
            raise Full(t("formats.too_many_members", name=container, limit=limit))
        self.members_left -= 1

    def take_bytes(self, size_bytes: int, container: str) -> None:
        if size_bytes > self.bytes_left:
            limit = f"{MAX_UNPACKED_BYTES // contents.MEGABYTE:,}"
            raise Full(t("formats.members_too_large", name=container, limit=limit))
        self.bytes_left -= size_bytes

    def take_characters(self, characters: int, container: str) -> None:
        if characters > self.characters_left:
            limit = f"{MAX_CHARACTERS:,}"
            raise Full(t("formats.members_too_long", name=container, limit=limit))
        self.characters_left -= characters


ReadDocument = Callable[[bytes, str, str, Limits], Document]
"""Bytes, file name, source and limits to a document with its members."""


def read_members(
    container: Document, members: Iterable[Member], limits: Limits, read_document: ReadDocument
) -> Document:
    """``container`` with its ``members``, and theirs, read; ``members`` is walked once."""
    run = _Run(container, limits, read_document)
    limits.level += 1
    try:
        for member in members:
            run.take(member)
    except Full as error:
        run.skip(container.source, error.message)
    except Exception:  # a damaged container: what came before the damage stays
        name = PurePosixPath(container.source).name
        run.skip(container.source, t("formats.archive_cut_short", name=name))
    finally:
        limits.level -= 1
    return replace(container, members=tuple(run.members), skipped=tuple(run.skipped))


class _Run:
    """The members of one container, as they are read."""

    def __init__(self, container: Document, limits: Limits, read_document: ReadDocument) -> None:
        self.members: list[Document] = []
        self.skipped = list(container.skipped)
        self._source = container.source
        self._name = PurePosixPath(container.source).name
        self._limits = limits
        self._read_document = read_document
        self._taken: set[str] = set()

    def skip(self, source: str, reason: str) -> None:
        self.skipped.append((source, reason))

    def take(self, member: Member) -> None:
        name = self._unique(names.clean(member.name))
        if any(names.is_passed_over(step) for step in name.split("/")):
            return
        try:
            self._limits.take_member(self._name)
            self._read(member, name)
        except Full:
            raise
        except DocumentError as error:
            self.skip(f"{self._source}/{name}", error.message)
        except MemoryError:
            message = t("isolation.no_memory", name=PurePosixPath(name).name)
            self.skip(f"{self._source}/{name}", message)

    def _read(self, member: Member, name: str) -> None:
        file_name = PurePosixPath(name).name
        if self._limits.level > MAX_LEVELS:
            message = t("formats.nested_too_deep", name=file_name, limit=MAX_LEVELS)
            raise DocumentError(message)
        if media_types.is_never_opened(file_name):
            return
        if member.size_bytes > self._limits.max_bytes:
            raise contents.too_large(file_name, member.size_bytes, self._limits.max_bytes)
        self._limits.take_bytes(member.size_bytes, self._name)
        self._limits.begin(f"{self._source}/{name}")
        data = self._bytes(member, file_name)
        kind = media_types.decide(file_name, data[: media_types.HEAD_BYTES])
        is_silent = kind is None and media_types.extension(file_name) not in media_types.NOT_YET
        if is_silent or (media_types.is_picture(kind) and not ocr.is_available()):
            return
        self._add(self._read_document(data, file_name, f"{self._source}/{name}", self._limits))

    def _bytes(self, member: Member, file_name: str) -> bytes:
        try:
            data = member.read()
        except (DocumentError, MemoryError):
            raise
        except Exception as error:  # damaged, or packed in a way that zipfile does not know
            raise DocumentError(t("documents.broken", name=file_name)) from error
        if len(data) > self._limits.max_bytes:
            raise contents.too_large(file_name, len(data), self._limits.max_bytes)
        return data

    def _add(self, document: Document) -> None:
        if document.text:
            self.members.append(replace(document, members=(), skipped=()))
        self.members.extend(document.members)
        self.skipped.extend(document.skipped)

    def _unique(self, name: str) -> str:
        path, number, unique = PurePosixPath(name), 1, name
        while unique in self._taken:
            number += 1
            unique = str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
        self._taken.add(unique)
        return unique
