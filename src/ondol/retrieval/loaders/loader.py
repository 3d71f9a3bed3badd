"""One file to one ``Document``: reads the bytes, picks the parser, names the result.

Every failure, whoever causes it, leaves here as a ``DocumentError`` of one sentence.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import contents, docx, html, media_types, pdf, text
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.types import Document

MAX_TITLE_CHARACTERS = 300

Parser = Callable[[bytes, str], Extract]

_PARSERS: Mapping[str, Parser] = {
    media_types.PDF: pdf.parse,
    media_types.DOCX: docx.parse,
    media_types.HTML: html.parse,
    "text/markdown": text.parse_markdown,
    "text/rst": text.parse_rst,
}


def load(path: Path, *, max_bytes: int) -> Document:
    """Read ``path`` as the kind it is; ``content_hash`` is the SHA-256 of the file's bytes.

    Text, Markdown, code and data keep the file's own decoded text, line ends included, without its
    byte order mark; for pdf, docx and html ``text`` is the extracted text.
    """
    name = contents.printable(path)
    source = _source(path, name)
    data = contents.read(path, max_bytes=max_bytes)
    kind = media_types.decide(path.name, data[: media_types.HEAD_BYTES])
    if kind is None:
        raise _unsupported(name)
    extract = _parse(_PARSERS.get(kind, text.parse), data, name)
    check_length(len(extract.text), name)
    return Document(
        source=source,
        text=extract.text,
        media_type=kind,
        title=_title(extract.title) or _title(path.stem),
        pages=extract.pages,
        content_hash=hashlib.sha256(data).hexdigest(),
    )


def _parse(parser: Parser, data: bytes, name: str) -> Extract:
    try:
        return parser(data, name)
    except DocumentError:
        raise
    except Exception as error:  # a parser may fail in any way on a hostile file
        raise DocumentError(t("documents.broken", name=name)) from error


def _source(path: Path, name: str) -> str:
    source = str(path)
    try:
        source.encode("utf-8")
    except UnicodeEncodeError as error:
        hint = t("documents.bad_name_hint")
        raise DocumentError(t("documents.bad_name", name=name), hint) from error
    return source


def _unsupported(name: str) -> DocumentError:
    extension = media_types.extension(name)
    if extension in media_types.NOT_YET:
        hint = t("documents.not_yet_hint")
        return DocumentError(t("documents.not_yet", name=name, kind=extension), hint)
    return DocumentError(t("documents.unsupported", name=name))


def _title(title: str) -> str:
    """One line in composed form: macOS writes file names with decomposed Hangul."""
    line = " ".join(title.split())[:MAX_TITLE_CHARACTERS]
    return unicodedata.normalize("NFC", line)
