"""One file to one ``Document``: reads the bytes, picks the parser, names the result.

Every failure, whoever causes it, leaves here as a ``DocumentError`` of one sentence. What a
container holds is read by ``members``.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import (
    archive,
    contents,
    csv,
    docx,
    epub,
    html,
    hwpx,
    mail,
    media_types,
    notebook,
    ocr,
    opendocument,
    pdf,
    pptx,
    text,
    xlsx,
)
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.members import Limits, read_members
from ondol.types import Document

MAX_TITLE_CHARACTERS = 300

Parser = Callable[[bytes, str], Extract]

_PARSERS: Mapping[str, Parser] = {
    media_types.PDF: pdf.parse,
    media_types.DOCX: docx.parse,
    media_types.PPTX: pptx.parse,
    media_types.XLSX: xlsx.parse,
    media_types.CSV: csv.parse,
    media_types.TSV: csv.parse,
    media_types.ODT: opendocument.parse,
    media_types.ODS: opendocument.parse,
    media_types.HWPX: hwpx.parse,
    media_types.EPUB: epub.parse,
    media_types.HTML: html.parse,
    media_types.EML: mail.parse,
    media_types.MBOX: mail.parse_mbox,
    media_types.IPYNB: notebook.parse,
    media_types.ZIP: archive.parse,
    "text/markdown": text.parse_markdown,
    "text/rst": text.parse_rst,
    **{kind: ocr.parse for kind in media_types.PICTURES.values()},
}


def load(path: Path, *, max_bytes: int) -> Document:
    """Read ``path`` as the kind it is; ``content_hash`` is the SHA-256 of the file's bytes.

    Text, Markdown and code keep the file's own decoded text, line ends included, without its
    byte order mark; for every other kind ``text`` is the extracted text. No member of a container
    is larger than ``max_bytes`` either.
    """
    source = source_of(path)
    data = contents.read(path, max_bytes=max_bytes)
    return read_document(data, path.name, source, Limits(max_bytes))


def read_document(data: bytes, file_name: str, source: str, limits: Limits) -> Document:
    """The bytes of a file or of a member as a document, with the members it has itself."""
    name = contents.printable(Path(file_name))
    kind = media_types.decide(file_name, data[: media_types.HEAD_BYTES])
    if kind is None:
        raise _unsupported(name)
    extract = _parse(_PARSERS.get(kind, text.parse), data, name)
    check_length(len(extract.text), name)
    document = Document(
        source=source,
        text=extract.text,
        media_type=kind,
        title=_title(extract.title) or _title(PurePosixPath(file_name).stem),
        pages=extract.pages,
        content_hash=hashlib.sha256(data).hexdigest(),
        skipped=tuple((f"{source}/{part}", reason) for part, reason in extract.unread),
    )
    limits.take_characters(len(extract.text), name)
    document = read_members(document, extract.members, limits, read_document)
    if not (document.text or document.members or document.skipped) and data.strip():
        if kind in media_types.CONTAINERS:
            raise DocumentError(t("formats.empty_container", name=name))
    return document


def _parse(parser: Parser, data: bytes, name: str) -> Extract:
    try:
        return parser(data, name)
    except DocumentError:
        raise
    except MemoryError as error:
        hint = t("isolation.no_memory_hint")
        raise DocumentError(t("isolation.no_memory", name=name), hint) from error
    except Exception as error:  # a parser may fail in any way on a hostile file
        raise DocumentError(t("documents.broken", name=name)) from error


def source_of(path: Path) -> str:
    """The path as text; ``DocumentError`` when its name is none."""
    source = str(path)
    try:
        source.encode("utf-8")
    except UnicodeEncodeError as error:
        hint = t("documents.bad_name_hint")
        raise DocumentError(t("documents.bad_name", name=contents.printable(path)), hint) from error
    return source


def _unsupported(name: str) -> DocumentError:
    extension = media_types.extension(name)
    if extension in media_types.NOT_YET:
        message = t("documents.not_yet", name=name, kind=extension)
        return DocumentError(message, _other_format(extension))
    return DocumentError(t("documents.unsupported", name=name))


def _other_format(extension: str) -> str:
    """What to save a file as that has no reader."""
    if extension == "hwp":
        return t("formats.old_hwp_hint")
    if extension in ("doc", "ppt", "xls"):
        return t("formats.old_format_hint", kind=extension)
    return t("documents.not_yet_hint")


def _title(title: str) -> str:
    """One line in composed form: macOS writes file names with decomposed Hangul."""
    line = " ".join(title.split())[:MAX_TITLE_CHARACTERS]
    return unicodedata.normalize("NFC", line)
