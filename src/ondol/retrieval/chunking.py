"""Document to chunks: passages of whole sentences that carry their offsets, page and heading.

A chunk never crosses a heading, prefers to end where a paragraph ends, and is about the size that
the default embedder reads whole (256 word pieces). Chunks do not overlap. Code and data are read
line by line; the headings of code are its definitions, those of tables their sheets.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from ondol.retrieval import definitions, sentences
from ondol.retrieval.sentences import Span
from ondol.types import Chunk, Document, Page

TARGET_CHARACTERS = 900
# A paragraph that begins beyond this share of the target starts a new chunk.
SOFT_SHARE = 0.6

_FENCE = re.compile(r"[ \t]{0,3}(```|~~~)")
_HEADING = re.compile(r"[ \t]{0,3}(#{1,6})\s+(.+?)\s*#*\s*$")
# The loaders write a row of a table as one line, and a sheet's heading after an empty one.
TABLE_TYPES = (
    "text/csv",
    "text/tab-separated-values",
    "application/vnd.openxmlformats-officedocument.spreadsheetml",
    "application/vnd.oasis.opendocument.spreadsheet",
)
CODE_TYPES = ("text/x-", "application/json")
_SHEET = re.compile(r"(?:\A|\n\n)# (.+)")


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk and the sentences in it, as offsets into the document's text."""

    chunk: Chunk
    sentences: tuple[Span, ...]


def chunk(document: Document) -> list[Passage]:
    """The passages of ``document``, in order."""
    marks = _marks(document)
    spans = sentences.split(document.text, by_line=marks is not None)
    sections = _prose(document, spans) if marks is None else _marked(spans, marks)
    return [
        _passage(document, heading, group)
        for heading, section in sections
        for run in _by_page(document.pages, section)
        for group in _pack(document.text, run)
    ]


def _marks(document: Document) -> list[definitions.Section] | None:
    """Where the sections of code and tables begin, and their headings; ``None`` for prose, whose
    headings are lines of the text."""
    if document.media_type.startswith(TABLE_TYPES):
        return [(match.start(), match.group(1)) for match in _SHEET.finditer(document.text)]
    if document.media_type.startswith(CODE_TYPES):
        return definitions.sections(document.text, document.media_type)
    return None


def _marked(
    spans: list[Span], marks: list[definitions.Section]
) -> Iterator[tuple[str, list[Span]]]:
    """Runs of lines between one mark and the next."""
    starts = [start for start, _ in marks]
    for index, run in groupby(spans, key=lambda span: bisect_right(starts, span[0])):
        yield marks[index - 1][1] if index else "", list(run)


def _passage(document: Document, heading: str, group: list[Span]) -> Passage:
    start, end = group[0][0], group[-1][1]
    return Passage(
        Chunk(
            text=document.text[start:end],
            start=start,
            end=end,
            source=document.source,
            page=_page(document.pages, start),
            heading=heading,
            collection=document.collection,
            sensitivity=document.sensitivity,
        ),
        tuple(group),
    )


def _prose(document: Document, spans: list[Span]) -> Iterator[tuple[str, list[Span]]]:
    """Runs of sentences under one heading; the heading's own line opens its section."""
    path: list[tuple[int, str]] = []
    section: list[Span] = []
    fence = ""
    for span in spans:
        text = document.text[span[0] : span[1]]
        fence = _fence(fence, text)
        match = None if fence else _HEADING.match(text)
        if match:
            if section:
                yield _heading(path), section
            section = []
            level = len(match.group(1))
            path = [entry for entry in path if entry[0] < level] + [(level, match.group(2))]
        section.append(span)
    if section:
        yield _heading(path), section


def _fence(open_fence: str, text: str) -> str:
    """The fence that is open after ``text``, in which a "#" begins a comment; "" for none."""
    match = _FENCE.match(text)
    if match is None:
        return open_fence
    if not open_fence:
        return match.group(1)
    return "" if match.group(1) == open_fence else open_fence


def _heading(path: list[tuple[int, str]]) -> str:
    return " › ".join(title for _, title in path)


def _pack(text: str, section: list[Span]) -> Iterator[list[Span]]:
    group: list[Span] = []
    for span in section:
        if group and _is_full(text, group, span):
            yield group
            group = []
        group.append(span)
    if group:
        yield group


def _is_full(text: str, group: list[Span], span: Span) -> bool:
    if span[1] - group[0][0] > TARGET_CHARACTERS:
        return True
    length = group[-1][1] - group[0][0]
    new_paragraph = text.count("\n", group[-1][1], span[0]) >= 2
    return new_paragraph and length > SOFT_SHARE * TARGET_CHARACTERS


def _by_page(pages: tuple[Page, ...], section: list[Span]) -> Iterator[list[Span]]:
    """A passage has one page, so that the page that a quote from it names is the quote's own."""
    for _, run in groupby(section, key=lambda span: _page(pages, span[0])):
        yield list(run)


def _page(pages: tuple[Page, ...], start: int) -> int | None:
    if not pages:
        return None
    index = bisect_right([page.start for page in pages], start) - 1
    return pages[max(index, 0)].number
