"""A page of a PDF as a picture, with a passage of its text marked.

A passage is found by its letters and digits alone: the text of the library has had its hyphens,
line ends and spaces mended, the page has not. Raises ``DocumentError`` for a page that is not
there, or cannot be drawn; runs where files are parsed.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import pdf

LEAST_WIDTH, MOST_WIDTH = 100, 2400
MOST_PIXELS = 12_000_000
MOST_RECTANGLES = 400
# A passage that began on one page may end this many later.
PAGES_AFTER = 3
# Fewer letters than these of a passage that goes on elsewhere are found by chance.
LEAST_LETTERS = 8
# A warm marker, which darkens what it lies on.
MARK = (255, 196, 84)

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be drawn: the page that a passage begins on and, unless ``is_fixed``, the one
    after it that has the passage. ``before`` is the text right before the passage, to tell it from
    another like it. With a ``width`` of 0 it is only looked for."""

    page: int
    width: int = 0
    passage: str = ""
    before: str = ""
    is_fixed: bool = False


@dataclass(frozen=True, slots=True)
class PagePicture:
    """Page ``page`` of ``pages``: three bytes a pixel (red, green, blue), row by row without gaps;
    none where none were wanted. ``boxes`` are the passage's lines: left, top, right and bottom as
    shares of the page."""

    page: int
    pages: int
    width: int
    height: int
    pixels: bytes
    boxes: tuple[Box, ...] = ()


def draw(data: bytes, name: str, wanted: Wanted) -> PagePicture:
    """The page of the PDF ``data``, which a sentence would call ``name``."""
    from pypdfium2 import PdfiumError

    with pdf.opened(data, name) as document:
        count = len(document)
        if not 1 <= wanted.page <= count:
            raise DocumentError(t("views.no_page", name=name, page=wanted.page, pages=count))
        try:
            return _drawn(document, count, wanted)
        except PdfiumError as error:
            raise DocumentError(t("views.undrawable", name=name, page=wanted.page)) from error


def _drawn(document: Any, count: int, wanted: Wanted) -> PagePicture:
    number, places = _locate(document, count, wanted)
    page = document[number - 1]
    boxes = _shares(page, places)
    if not wanted.width:
        return PagePicture(number, count, 0, 0, b"", boxes)
    _mark(page, places)
    across, down = page.get_size()
    width = min(max(wanted.width, LEAST_WIDTH), MOST_WIDTH)
    scale = width / max(across, 1.0)
    if across * down * scale * scale > MOST_PIXELS:
        scale = (MOST_PIXELS / (across * down)) ** 0.5
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
    try:
        return PagePicture(number, count, bitmap.width, bitmap.height, _packed(bitmap), boxes)
    finally:
        bitmap.close()


def _packed(bitmap: Any) -> bytes:
    """The pixels as red, green and blue, whatever pdfium keeps them as."""
    rows, stride = memoryview(bitmap.buffer).cast("B"), bitmap.stride
    channels, length = bitmap.n_channels, bitmap.width * bitmap.n_channels
    lines = (bytes(rows[y * stride : y * stride + length]) for y in range(bitmap.height))
    if channels == 3:
        return b"".join(lines)
    if channels == 1:
        return b"".join(bytes(value for value in line for _ in range(3)) for line in lines)
    packed = bytearray(bitmap.width * bitmap.height * 3)
    whole = b"".join(lines)
    for channel in range(3):
        packed[channel::3] = whole[channel::channels]
    return bytes(packed)


def _locate(document: Any, count: int, wanted: Wanted) -> tuple[int, list[Box]]:
    """The page, and where on it the passage stands, in points."""
    passage, before = _letters(wanted.passage), _letters(wanted.before)
    last = wanted.page if wanted.is_fixed else min(wanted.page + PAGES_AFTER, count)
    best, places, longest = wanted.page, list[Box](), 0
    for number in range(wanted.page, last + 1 if passage else wanted.page):
        text = document[number - 1].get_textpage()
        letters, units = _letters_of(text)
        span = _find(letters, before, passage)
        if span and span[1] - span[0] > longest:
            best, longest = number, span[1] - span[0]
            places = _boxes(text, units[span[0]], units[span[1] - 1])
        text.close()
        if longest == len(passage):
            break
    return best, places


def _letters(text: str) -> str:
    return "".join(letter for letter, _ in _folded(text))


def _folded(text: str) -> list[tuple[str, int]]:
    """Letters and digits, alike whatever their case and width, and where each comes from."""
    return [
        (letter, place)
        for place, character in enumerate(text)
        for letter in unicodedata.normalize("NFKC", character).casefold()
        if letter.isalnum() and letter <= "\uffff"
    ]


def _letters_of(text: Any) -> tuple[str, list[int]]:
    """The letters of a page, and the number that pdfium has for each."""
    units = pdf.utf16_units(text.get_text_range(errors="surrogatepass"))
    exact = text.count_chars() == len(units)
    folded = _folded(units)
    numbers = [pdf.index_of(text, place, exact) for _, place in folded]
    return "".join(letter for letter, _ in folded), numbers


def _find(letters: str, before: str, passage: str) -> tuple[int, int] | None:
    """Where ``passage`` is in ``letters``: all of it, else its beginning (it goes on on the next
    page) or its end."""
    if not passage:
        return None
    at = letters.find(before + passage)
    if at >= 0:
        return at + len(before), at + len(before) + len(passage)
    at = letters.find(passage)
    if at >= 0:
        return at, at + len(passage)
    lengths = range(1, len(passage))
    head = bisect_left(lengths, True, key=lambda n: passage[:n] not in letters)
    tail = bisect_left(lengths, True, key=lambda n: passage[-n:] not in letters)
    length = max(head, tail)
    if length < LEAST_LETTERS:
        return None
    at = letters.rfind(passage[:head]) if head >= tail else letters.find(passage[-tail:])
    return at, at + length


def _boxes(text: Any, first: int, last: int) -> list[Box]:
    """The lines between two letters: left, bottom, right and top."""
    count = min(text.count_rects(first, last - first + 1), MOST_RECTANGLES)
    return [text.get_rect(index) for index in range(count)]


def _mark(page: Any, places: Sequence[Box]) -> None:
    """Lay the marker on the page, in memory only."""
    from pypdfium2 import raw

    for left, bottom, right, top in places:
        box = raw.FPDFPageObj_CreateNewRect(left, bottom, right - left, top - bottom)
        raw.FPDFPageObj_SetFillColor(box, *MARK, 255)
        raw.FPDFPath_SetDrawMode(box, raw.FPDF_FILLMODE_WINDING, 0)
        raw.FPDFPageObj_SetBlendMode(box, b"Multiply")
        raw.FPDFPage_InsertObject(page, box)


def _shares(page: Any, places: Sequence[Box]) -> tuple[Box, ...]:
    """Boxes in points as shares of the page as it is shown: turned, and cut to its box."""
    wide, high = 10_000, 10_000
    found = []
    for left, bottom, right, top in places:
        corners = [_on_screen(page, wide, high, x, y) for x, y in ((left, bottom), (right, top))]
        across = sorted(min(max(x / wide, 0.0), 1.0) for x, _ in corners)
        down = sorted(min(max(y / high, 0.0), 1.0) for _, y in corners)
        found.append((across[0], down[0], across[1], down[1]))
    return tuple(found)


def _on_screen(page: Any, wide: int, high: int, x: float, y: float) -> tuple[int, int]:
    from ctypes import byref, c_int

    from pypdfium2 import raw

    across, down = c_int(), c_int()
    raw.FPDF_PageToDevice(page, 0, 0, wide, high, 0, x, y, byref(across), byref(down))
    return across.value, down.value
