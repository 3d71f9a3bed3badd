"""Zip archives: every file in them is a member; names in CP949 and paths that climb are mended.

Nothing is unpacked to disk. Links are left out, members with a password or packed like a bomb are
refused one by one. Raises ``DocumentError`` for an archive that claims to hold too much.
"""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import names
from ondol.retrieval.loaders.extract import Extract, Member

# Text packs to a tenth, a log to a fiftieth; deflate cannot do better than about a thousandth.
MAX_RATIO = 200
SMALL_BYTES = 4 * 1024 * 1024
MAX_ENTRIES = 100_000

_UTF8_NAME = 0x800
_ENCRYPTED = 0x1


def parse(data: bytes, name: str) -> Extract:
    """No text of its own; the members are read when they are walked."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    entries = archive.infolist()
    if len(entries) > MAX_ENTRIES:
        raise DocumentError(t("documents.unpacks_too_large", name=name))
    files = [entry for entry in entries if not entry.is_dir() and not _is_link(entry)]
    return Extract("", members=_members(archive, files))


def _members(archive: zipfile.ZipFile, files: Sequence[zipfile.ZipInfo]) -> Iterator[Member]:
    for entry, name in zip(files, _names(files), strict=True):
        yield Member(name, entry.file_size, partial(_read, archive, entry, name))


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: str) -> bytes:
    """At most as many bytes as the entry declares: zipfile reads no further, and then finds that
    the checksum differs."""
    name = path.rpartition("/")[2] or path
    if entry.flag_bits & _ENCRYPTED:
        raise DocumentError(t("documents.encrypted", name=name))
    ratio = entry.file_size // max(entry.compress_size, 1)
    if entry.file_size > SMALL_BYTES and ratio > MAX_RATIO:
        raise DocumentError(t("formats.bomb", name=name, ratio=f"{ratio:,}"))
    with archive.open(entry) as file:
        return file.read(entry.file_size + 1)


def _names(files: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The names; those without the mark for UTF-8 were read by zipfile as CP437."""
    unmarked = [entry for entry in files if not entry.flag_bits & _UTF8_NAME]
    guessed = names.decoded([entry.filename.encode("cp437", "replace") for entry in unmarked])
    mended = {id(entry): name for entry, name in zip(unmarked, guessed, strict=False)}
    return [mended.get(id(entry), entry.filename) for entry in files]


def _is_link(entry: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(entry.external_attr >> 16)
