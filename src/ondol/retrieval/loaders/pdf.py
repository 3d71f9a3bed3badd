"""PDF to text (pdfium): the lines of every page joined into paragraphs, with page offsets.

The text is what the page shows, normalised so that sentences read on: see ``paragraphs``. Pages
are separated by an empty line. Scanned pages are read where tesseract is installed: see ``scans``.
Raises ``DocumentError`` for encrypted and damaged files, and for scans that cannot be read.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import tau
from statistics import median
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import ocr, scans
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.paragraphs import (
    HYPHEN,
    Line,
    drop_running_lines,
    join_lines,
    mend_hyphens,
)
from ondol.types import Page

PAGE_BREAK = "\n\n"
# More than this share of unreadable characters means that the fonts carry no Unicode map.
MAX_UNREADABLE_SHARE = 0.3

MAX_PAGES = 50_000

_Box = tuple[float, float, float, float]

_LINE = re.compile(rf"[^\r\n{HYPHEN}]+{HYPHEN}?")
_WORD = re.compile(r"\S+")
_SPACE = re.compile(r"[ \t\f\v\u00a0\u2000-\u200a\u202f\u3000]+")
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u00ad\u200b\u2060\ufeff\uffff]")
_PRINTED_FROM = re.compile(r"^Microsoft \w+ - ")
# pdfium is not thread-safe, not even for different documents.
_pdfium = threading.Lock()


def parse(data: bytes, name: str) -> Extract:
    """The text of every page; the title is the one in the file's properties."""
    with opened(data, name) as document:
        pages = _read(document, name)
        scanned = _scanned(document, pages)
        recognised, left_out = _recognise(document, scanned, name)
        title = _PRINTED_FROM.sub("", document.get_metadata_value("Title")).strip()
    text, starts = _join(pages, recognised)
    if not text:
        raise _no_text(name)
    check_length(len(text), name)
    _check_readable(text, name)
    unread = _unread(scanned, left_out, name)
    return Extract(text, title or _heading(pages), starts, unread=unread)


@contextmanager
def opened(data: bytes, name: str) -> Iterator[Any]:
    """The file as pdfium's, for this thread alone."""
    with _pdfium:
        document = _open(data, name)
        try:
            yield document
        finally:
            document.close()


def _open(data: bytes, name: str) -> Any:
    import pypdfium2 as pdfium
    from pypdfium2.raw import FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY

    try:
        return pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code in (FPDF_ERR_PASSWORD, FPDF_ERR_SECURITY):
            hint = t("documents.encrypted_hint")
            raise DocumentError(t("documents.encrypted", name=name), hint) from error
        raise


def _read(document: Any, name: str) -> list[list[Line]]:
    count = len(document)
    if count > MAX_PAGES:
        raise DocumentError(t("documents.too_many_pages", name=name, limit=f"{MAX_PAGES:,}"))
    pages, characters = [], 0
    for index in range(count):
        pages.append(_page(document, index))
        characters += sum(len(line.text) for line in pages[-1])
        check_length(characters, name)
    return pages


def _page(document: Any, index: int) -> list[Line]:
    """The lines of one page; none where the page is damaged, so that the others are still read."""
    from pypdfium2 import PdfiumError

    try:
        page = document[index]
    except PdfiumError:
        return []
    try:
        return list(_lines(page.get_textpage()))
    except PdfiumError:
        return []
    finally:
        page.close()


def _scanned(document: Any, pages: list[list[Line]]) -> list[int]:
    """The pages without text on which a picture stands; all pages, when none has text."""
    empty = [index for index, lines in enumerate(pages) if not lines]
    if len(empty) == len(pages):
        return empty
    return [index for index in empty if scans.is_picture(document, index)]


def _recognise(document: Any, scanned: list[int], name: str) -> tuple[dict[int, str], int]:
    """The texts of scanned pages by index, and how many pages were left out."""
    if not scanned or not ocr.is_available():
        return {}, len(scanned)
    return scans.read_pages(document, scanned, name)


def _unread(scanned: list[int], left_out: int, name: str) -> tuple[tuple[str, str], ...]:
    """One line for the scanned pages that are not in the text."""
    if not left_out:
        return ()
    page = scanned[-left_out] + 1
    key = "formats.ocr_left_out" if ocr.is_available() else "formats.scanned_pages"
    return ((f"page {page}", t(key, name=name, count=left_out, page=page)),)


def _no_text(name: str) -> DocumentError:
    if ocr.is_available():
        return DocumentError(t("formats.scan_no_text", name=name))
    return DocumentError(t("documents.scanned", name=name), t("documents.scanned_hint"))


def _lines(page: Any) -> Iterator[Line]:
    units = utf16_units(page.get_text_range(errors="surrogatepass"))
    exact = page.count_chars() == len(units)
    for match in _LINE.finditer(units):
        words = list(_WORD.finditer(units, *match.span()))
        if not words:
            continue
        middle = words[len(words) // 2].start()
        units_wanted = (words[0].start(), words[0].end() - 1, middle, words[-1].end() - 1)
        places = [index_of(page, unit, exact) for unit in units_wanted]
        turn = _turn(page, places[2])
        yield _place(_clean(match.group()), [_box(page, place, turn) for place in places])


def index_of(page: Any, unit: int, exact: bool) -> int:
    """Where pdfium keeps a letter of the text; it leaves some that it has out of the text."""
    from pypdfium2.raw import FPDFText_GetCharIndexFromTextIndex

    return unit if exact else int(FPDFText_GetCharIndexFromTextIndex(page, unit))


def _turn(page: Any, index: int) -> int:
    """How many quarter turns to the left a letter stands; tables are often set sideways."""
    from pypdfium2.raw import FPDFText_GetCharAngle

    angle: float = FPDFText_GetCharAngle(page, index)
    return round((tau - angle) / tau * 4) % 4


def _place(text: str, boxes: list[_Box | None]) -> Line:
    """A line from the boxes of its first letter, its first word's last, one in the middle (which
    is no bullet and no footnote number) and its last."""
    first, word, middle, last = boxes
    if first is None or word is None or middle is None or last is None or last[2] < first[0]:
        return Line(text)
    return Line(
        text,
        left=first[0],
        right=last[2],
        bottom=middle[1],
        height=middle[3] - middle[1],
        first_word=max(word[2] - first[0], 0.0),
    )


def _box(page: Any, index: int, turn: int) -> _Box | None:
    """Left, bottom, right and top of a letter, as whoever reads it holds the page."""
    from pypdfium2 import PdfiumError

    try:
        left, bottom, right, top = page.get_charbox(index, loose=True)
    except PdfiumError:
        return None
    boxes: tuple[_Box, ...] = (
        (left, bottom, right, top),
        (bottom, -right, top, -left),
        (-right, -top, -left, -bottom),
        (-top, left, -bottom, right),
    )
    return boxes[turn]


def utf16_units(text: str) -> str:
    """One character per UTF-16 unit, which is how pdfium counts."""
    if text.isascii() or max(text) < "\U00010000":
        return text
    units = memoryview(text.encode("utf-16-le", "surrogatepass")).cast("H")
    return "".join(map(chr, units))


def _clean(units: str) -> str:
    """A line's text without invisible characters; a space at its end is kept."""
    text = units.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
    return _SPACE.sub(" ", _INVISIBLE.sub("", text))


def _join(pages: list[list[Line]], recognised: dict[int, str]) -> tuple[str, tuple[Page, ...]]:
    texts = mend_hyphens([join_lines(lines) for lines in drop_running_lines(pages)])
    for index, words in recognised.items():
        texts[index] = words
    parts: list[str] = []
    starts: list[Page] = []
    position = 0
    for number, text in enumerate(texts, start=1):
        if text and position:
            parts.append(PAGE_BREAK)
            position += len(PAGE_BREAK)
        starts.append(Page(number, position))
        parts.append(text)
        position += len(text)
    return "".join(parts), tuple(starts)


def _check_readable(text: str, name: str) -> None:
    letters = [c for c in text if not c.isspace()]
    unreadable = sum(c == "\ufffd" or "\ue000" <= c <= "\uf8ff" for c in letters)
    if unreadable > len(letters) * MAX_UNREADABLE_SHARE:
        raise DocumentError(t("documents.garbled", name=name), t("documents.garbled_hint"))


def _heading(pages: list[list[Line]]) -> str:
    """The first line of the first page whose letters are clearly larger than usual."""
    lines = pages[0] if pages else []
    heights = [line.height for line in lines if line.height]
    if not heights:
        return ""
    large = median(heights) * 1.15
    return next((line.text.strip() for line in lines if line.height > large), "")
