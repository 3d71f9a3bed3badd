"""Lines on a page to paragraphs: which line ends are only wraps, and how the halves are joined.

Knows where each line stands on the page, not which format it comes from. A line end is kept where
the next line's first word would still have fitted, where the gap, the letter size or an indent
says so, and before list marks. Raises nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

HYPHEN = "\ufffe"
"""Stands where a word was divided at the end of a line."""

# Fonts of one size differ this much in height; headings that differ less stand apart or end short.
SAME_SIZE = 0.25
WIDE_GAP = 1.35
SAME_ROW = 0.3
INDENT = 0.8
# Lines on either side whose right ends show how wide the column is.
NEIGHBOURS = 3
# Producers that keep the spaces at line ends do it for more than this share of the lines.
KEPT_SPACES = 0.1
# A head or foot line stands on this share of the pages, and on this many at least.
RUNNING_SHARE = 0.4
MIN_RUNS = 3

_MARK = re.compile(
    r"(?:[•▪◦●○■□▶►※·∙‣⁃]|[-–—*]\s|[①-⑳㉠-㉻]|\(?(?:\d{1,2}|[a-z가-하])[.)]\s|\d+(?:\.\d+)+\.?\s+[A-Z가-힣])"
)
_SENTENCE_END = re.compile(r"[.!?。！？:;][\"'”’)\]]*$")
_HANGUL = re.compile(r"[가-힣ᄀ-ᇿ]")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff、。，！？」』）]")
_DIVIDED = re.compile(rf"(\w+){HYPHEN}(\w+)")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]{2}")
_PAGE_NUMBER = re.compile(r"\W{0,3}\d{1,5}(?:\s*/\s*\d{1,5})?\W{0,3}")
_COMPOUND = re.compile(r"\w+-\w+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text and where it stands, in points; ``bottom`` grows upwards.

    ``first_word`` is the width of its first word. All zero where the place is not known.
    """

    text: str
    left: float = 0.0
    right: float = 0.0
    bottom: float = 0.0
    height: float = 0.0
    first_word: float = 0.0


def join_lines(lines: Sequence[Line]) -> str:
    """The text of one page: paragraphs separated by an empty line, list items by a line end."""
    rows = [line for line in lines if line.text.strip()]
    leading = _leading(rows)
    spaces_kept = _keeps_spaces(rows)
    parts = [rows[0].text.strip()] if rows else []
    in_list = bool(rows) and _is_item(rows[0])
    for index in range(1, len(rows)):
        above, below = rows[index - 1], rows[index]
        if _is_wrap(rows, index, leading):
            parts.append(_glue(above.text, below.text.lstrip(), spaces_kept))
        else:
            parts.append("\n" if in_list and _is_item(below) else "\n\n")
            in_list = _is_item(below)
        parts.append(below.text.strip())
    return "".join(parts)


def drop_running_lines(pages: Sequence[Sequence[Line]]) -> list[list[Line]]:
    """Pages without their numbers, and without the head and foot lines that stand on many pages;
    the first of each is kept."""
    counts = Counter(key for page in pages for key in {_key(page[i]) for i in _edges(page)})
    running = {key for key, n in counts.items() if n >= max(MIN_RUNS, len(pages) * RUNNING_SHARE)}
    numbered = sum(_has_number(page) for page in pages) >= MIN_RUNS
    seen: set[str] = set()
    kept: list[list[Line]] = []
    for page in pages:
        ends = (0, len(page) - 1)
        heads = {i for i in _edges(page) if _key(page[i]) in running}
        drop = {i for i in heads if _key(page[i]) in seen}
        drop |= {i for i in ends if numbered and page and _is_number(page[i])}
        kept.append([line for i, line in enumerate(page) if i not in drop])
        seen.update(_key(page[i]) for i in heads)
    return kept


def mend_hyphens(pages: Sequence[str]) -> list[str]:
    """Put divided words together: "heat￾ing" is heating; "well￾known" keeps its hyphen when the
    document also writes well-known within a line."""
    compounds = {word.lower() for page in pages for word in _COMPOUND.findall(page)}

    def mend(match: re.Match[str]) -> str:
        left, right = match.groups()
        compound = f"{left}-{right}"
        is_word = left.isalpha() and right.isalpha() and right[0].islower()
        return left + right if is_word and compound.lower() not in compounds else compound

    return [_DIVIDED.sub(mend, page).replace(HYPHEN, "-") for page in pages]


def _edges(page: Sequence[Line]) -> set[int]:
    """The places of the first two and the last two lines of a page."""
    count = len(page)
    return {i for i in (0, 1, count - 2, count - 1) if 0 <= i < count}


def _key(line: Line) -> str:
    """The same for lines that differ only in their numbers; those without a word never recur."""
    text = line.text.strip()
    return _DIGITS.sub("0", text) if _WORD.search(text) else text


def _has_number(page: Sequence[Line]) -> bool:
    return bool(page) and (_is_number(page[0]) or _is_number(page[-1]))


def _is_number(line: Line) -> bool:
    return _PAGE_NUMBER.fullmatch(line.text.strip()) is not None


def _is_item(line: Line) -> bool:
    return _MARK.match(line.text.strip()) is not None


def _leading(rows: Sequence[Line]) -> float:
    """The usual distance from one line to the next; 0 where there is none."""
    gaps = [a.bottom - b.bottom for a, b in pairwise(rows) if _same_size(a, b)]
    gaps = [gap for gap in gaps if gap > 0]
    return median(gaps) if gaps else 0.0


def _keeps_spaces(rows: Sequence[Line]) -> bool:
    ends = sum(row.text != row.text.rstrip(" ") for row in rows)
    return ends > len(rows) * KEPT_SPACES


def _same_size(a: Line, b: Line) -> bool:
    return abs(a.height - b.height) <= SAME_SIZE * max(a.height, b.height)


def _is_wrap(rows: Sequence[Line], index: int, leading: float) -> bool:
    """Whether line ``index`` only goes on with the paragraph of the line above it."""
    above, below = rows[index - 1], rows[index]
    if above.text.endswith(HYPHEN):
        return True
    if _is_item(below) or not above.height or not below.height:
        return False
    gap = above.bottom - below.bottom
    if abs(gap) < SAME_ROW * above.height:
        return True
    if not _same_size(above, below) or gap > WIDE_GAP * max(leading, above.height):
        return False
    if gap < 0:  # the top of the next column
        return not _SENTENCE_END.search(above.text.rstrip())
    return not _ends_short(rows, index) and not _is_indented(rows, index)


def _ends_short(rows: Sequence[Line], index: int) -> bool:
    """Whether the first word of the line would still have fitted on the line above."""
    above, below = rows[index - 1], rows[index]
    near = rows[max(index - NEIGHBOURS, 0) : index + NEIGHBOURS]
    column = [row for row in near if row.left < above.right and row.right > above.left]
    edge = max(row.right for row in [*column, below, above])
    space = 0.25 * below.height
    return edge - above.right > below.first_word + space


def _is_indented(rows: Sequence[Line], index: int) -> bool:
    """A first line that is set in, above a line that is not."""
    above, below = rows[index - 1], rows[index]
    indent = INDENT * below.height
    if below.left - above.left < indent or index + 1 == len(rows):
        return False
    return below.left - rows[index + 1].left >= indent and not _is_item(above)


def _glue(above: str, below: str, spaces_kept: bool) -> str:
    """What stands between two halves of a paragraph: a space, or nothing inside a word."""
    last, first = above.rstrip()[-1:], below[:1]
    if above.endswith(" "):
        return " "
    if last == HYPHEN or (last == "-" and len(above) > 1 and not above[-2].isspace()):
        return ""
    if _UNSPACED.match(last) and _UNSPACED.match(first):
        return ""
    both_hangul = _HANGUL.match(last) and _HANGUL.match(first)
    return "" if both_hangul and spaces_kept else " "
