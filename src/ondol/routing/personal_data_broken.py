"""Numbers that something cut where nobody would: a line's end, a space, a sign in mid-group.

The digits of a run are read on across what stands between them, and what comes out must be aligned
with it: begin where digits begin, and end where they end. A check digit alone is right for one
number in ten, so the cuts have to look like cuts, and not like a table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ondol.routing import personal_data_checks as checks
from ondol.routing.personal_data_patterns import Span

# No comma: it divides numbers, and thousands.
_GAP = r"[ \t\r\n./_|*~-]{1,4}"
_RUN = re.compile(rf"(?<![\dA-Za-z,])\d+(?:{_GAP}\d+)+(?![\dA-Za-z])")
_PIECE = re.compile(r"\d+")
MOST_GAPS = 7
MOST_WRAPS = 2
MOST_STRAYS = 2


class _Cut(NamedTuple):
    """A candidate: its digits, what stands between its pieces, and where. ``is_wrapped`` where all
    of that are line ends, and no column of numbers."""

    digits: str
    gaps: tuple[tuple[int, str], ...]
    span: Span
    is_wrapped: bool

    def is_grouped(self, *places: int) -> bool:
        """Whether a gap stands after so many digits, each, and at ``MOST_STRAYS`` other places."""
        found = {place for place, _ in self.gaps}
        return set(places) <= found and len(found - set(places)) <= MOST_STRAYS


def spans(text: str) -> Iterator[tuple[str, Span]]:
    """The kind and the place of every number that is cut, in folded ``text``."""
    for run in _RUN.finditer(text):
        pieces = [match.span() for match in _PIECE.finditer(text, *run.span())]
        for first in range(len(pieces)):
            for cut in _from(text, pieces[first : first + MOST_GAPS + 1]):
                kind = next((kind for kind, judge in _JUDGES if judge(cut)), None)
                if kind is not None:
                    yield kind, cut.span


def _from(text: str, pieces: list[Span]) -> Iterator[_Cut]:
    """What the first of ``pieces`` begins, as long as it may be some number."""
    digits, gaps = "", list[tuple[int, str]]()
    for number, (start, end) in enumerate(pieces):
        if number:
            gaps.append((len(digits), text[pieces[number - 1][1] : start]))
        digits += text[start:end]
        if len(digits) > 19:
            return
        if number and len(digits) >= 10:
            span = pieces[0][0], end
            yield _Cut(digits, tuple(gaps), span, _is_wrapped(text, pieces[: number + 1], gaps))


def _is_wrapped(text: str, pieces: list[Span], gaps: list[tuple[int, str]]) -> bool:
    is_cut = all("\n" in gap and gap.strip() in ("", "-") for _, gap in gaps)
    if not is_cut or len(gaps) > MOST_WRAPS:
        return False
    if len({end - start for start, end in pieces}) > 1:
        return True
    # Pieces of the same length on lines of their own are a column; beside words they are not.
    start, end = pieces[0][0], pieces[-1][1]
    before = text[text.rfind("\n", 0, start) + 1 : start]
    after = text[end:].partition("\n")[0]
    return bool(before.strip() or after.strip())


def _card(cut: _Cut) -> bool:
    size = len(cut.digits)
    if size < 13 or not checks.card(cut.digits):
        return False
    is_grouped = cut.is_grouped(4, 8, 12) if size >= 16 else size == 15 and cut.is_grouped(4, 10)
    return is_grouped or cut.is_wrapped


def _registration(cut: _Cut) -> bool:
    if len(cut.digits) != 13 or (born := checks.birth(cut.digits)) is None:
        return False
    is_right = checks.registration_check(cut.digits) or checks.has_no_check_digit(born)
    hyphens = {place for place, gap in cut.gaps if "-" in gap}
    if hyphens <= {6, 7} and 6 in hyphens and cut.digits[6] not in "90" and cut.is_grouped(6):
        return True
    return is_right and (cut.is_grouped(6) or cut.is_wrapped)


def _resident(cut: _Cut) -> bool:
    return len(cut.digits) == 13 and cut.digits[6] not in "5678" and _registration(cut)


def _foreigner(cut: _Cut) -> bool:
    return len(cut.digits) == 13 and cut.digits[6] in "5678" and _registration(cut)


def _phone(cut: _Cut) -> bool:
    digits = cut.digits
    if digits[:2] != "01" or digits[2] not in "016789":
        return False
    if len(digits) != 11 and (len(digits) != 10 or digits[2] == "0"):
        return False
    is_begun = cut.gaps[0][0] == 3 and cut.is_grouped(3)
    return is_begun or cut.is_grouped(3, len(digits) - 4) or cut.is_wrapped


_JUDGES: tuple[tuple[str, Callable[[_Cut], bool]], ...] = (
    ("card", _card),
    ("kr_rrn", _resident),
    ("kr_frn", _foreigner),
    ("phone", _phone),
)
