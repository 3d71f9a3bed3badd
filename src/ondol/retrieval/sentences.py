"""Text to sentences, as offsets into the text: ``text[start:end]`` is a sentence.

Knows English and Korean prose, Markdown blocks, and code (where a line is a sentence). Every
sentence is stripped of surrounding white space, never empty, in order, and none overlap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

MAX_CHARACTERS = 600
WORD_WINDOW = 60

# A line that begins like one of these is a block of its own, not the rest of a wrapped paragraph.
_BLOCK_START = re.compile(
    r"[ \t]*(?:#{1,6}\s|[-*+•▪◦·]\s|\d{1,3}[.)]\s|[가-하][.)]\s|[|>]|```|~~~)"
)
# Possessive, and never begun inside a run of marks: dotted leaders must not take quadratic time.
_END = re.compile(r"(?<![.!?。！？…])[.!?。！？…]++[\"'”’»)\]]*+(?=\s)")
_NEXT = re.compile(r"\s*(\S?)")
_CLAUSE = re.compile(r"[;,:]\s|\s[-–—]\s")
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc fig figs eq no nos vol pp p ch sec art inc ltd co corp "
    "al approx dept est gen gov hon rev sen rep capt col lt sgt maj e.g i.e cf ca jan feb mar apr "
    "jun jul aug sep sept oct nov dec mt ft univ assn bros".split()
)


def split(text: str, *, by_line: bool = False) -> list[Span]:
    """The sentences of ``text``; with ``by_line`` (code) its lines."""
    blocks = _lines(text) if by_line else _blocks(text)
    spans: list[Span] = []
    for start, end in blocks:
        pieces = [(start, end)] if by_line else _sentences(text, start, end)
        for piece in pieces:
            spans.extend(_capped(text, *piece))
    return spans


def _lines(text: str) -> Iterator[Span]:
    position = 0
    for line in text.splitlines(keepends=True):
        yield position, position + len(line)
        position += len(line)


def _blocks(text: str) -> Iterator[Span]:
    """Paragraphs, and lines that stand alone (headings, list items, table rows)."""
    start = position = 0
    alone = False
    for line in text.splitlines(keepends=True):
        if not line.strip() or _BLOCK_START.match(line) or alone:
            if position > start:
                yield start, position
            start = position
        alone = line.lstrip().startswith(("#", "|", "```", "~~~"))
        position += len(line)
    if position > start:
        yield start, position


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    begin = start
    for match in _END.finditer(text, start, end):
        if match.end() < end and _is_boundary(text, begin, match):
            yield begin, match.end()
            begin = match.end()
    yield begin, end


def _is_boundary(text: str, begin: int, match: re.Match[str]) -> bool:
    if not match.group().startswith("."):
        return True
    # A window, not the whole sentence: this is asked at every full stop of a long text.
    word = text[max(begin, match.start() - WORD_WINDOW) : match.start()].rsplit(None, 1)
    last = word[-1].lstrip("(\"'“‘[").lower() if word else ""
    if last in _ABBREVIATIONS or (len(last) == 1 and last.isascii() and last.isalpha()):
        return False
    if re.fullmatch(r"(?:[a-z]\.)+[a-z]", last):  # U.S., a.m.
        return _following(text, match.end()).isupper()
    if last.isdigit() and begin + len(last) >= match.start() - 1:  # "1. First"
        return False
    following = _following(text, match.end())
    return not (following.isascii() and following.islower())


def _following(text: str, position: int) -> str:
    """The next character that is not white space; empty at the end."""
    match = _NEXT.match(text, position)
    return match.group(1) if match else ""


def _capped(text: str, start: int, end: int) -> Iterator[Span]:
    """The stripped span, cut at clauses (or, failing that, spaces) while it is too long."""
    while end - start > MAX_CHARACTERS:
        cut = _cut(text, start, start + MAX_CHARACTERS)
        yield from _stripped(text, start, cut)
        start = cut
    yield from _stripped(text, start, end)


def _cut(text: str, start: int, limit: int) -> int:
    clauses = [m.end() for m in _CLAUSE.finditer(text, start + MAX_CHARACTERS // 3, limit)]
    if clauses:
        return clauses[-1]
    space = text.rfind(" ", start + MAX_CHARACTERS // 3, limit)
    return space + 1 if space > 0 else limit


def _stripped(text: str, start: int, end: int) -> Iterator[Span]:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if end > start:
        yield start, end
