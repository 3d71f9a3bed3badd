"""Tables to text, row by row: "name: value; name: value", so that a row reads as one sentence.

Finds the row that names the columns. Knows nothing about files; used for xlsx, ods, csv and tsv.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

# The names of the columns are looked for in this many rows; above them stand titles.
HEAD_ROWS = 25
# A row of names fills at least this share of the widest row near it.
MIN_FILLED = 0.5
MAX_NAME_CHARACTERS = 80

_NUMBER = re.compile(r"[-+(]?[₩$€£¥]?\s?\d[\d,. ]*\s?(?:%|원|\))?")
_DATE = re.compile(r"\d{2,4}\s?[-./년]\s?\d{1,2}\s?[-./월]\s?\d{1,4}.*")

_PERIOD = re.compile(r"(?:19|20)\d\d(?:\s?년|[-./]\d{1,2})?")

Row = Sequence[str]


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """One line for every row that holds anything; the names themselves are one too only when no
    row follows."""
    walk = iter(rows)
    head = list(islice(walk, HEAD_ROWS))
    place = _names_row(head)
    if place is None:
        yield from filter(None, (_line(row, ()) for row in chain(head, walk)))
        return
    names = [cell[:MAX_NAME_CHARACTERS] for cell in head[place]]
    yield from filter(None, (_line(row, ()) for row in head[:place]))
    below = filter(None, (_line(row, names) for row in chain(head[place + 1 :], walk)))
    first = next(below, None)
    if first is None:
        yield _line(head[place], ())
        return
    yield first
    yield from below


def cell(value: object) -> str:
    """A value as a person would write it: 3.0 is 3, a date has no time of midnight."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return f"{value:.15g}" if abs(value) < 1e15 else f"{value:.0f}"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds").removesuffix(" 00:00:00").removesuffix(":00")
    if isinstance(value, datetime.time):
        return value.isoformat("seconds").removesuffix(":00")
    return " ".join(str(value).split())


def _line(row: Row, names: Sequence[str]) -> str:
    parts = []
    for index, value in enumerate(row):
        if value:
            name = names[index] if index < len(names) else ""
            parts.append(f"{name}: {value}" if name else value)
    return "; ".join(parts)


def _names_row(head: Sequence[Row]) -> int | None:
    """The first row that looks like names: nearly as wide as the table, all words, no two alike."""
    filled = [[value for value in row if value] for row in head]
    widest = max(map(len, filled), default=0)
    for index, values in enumerate(filled):
        if not values or len(values) < max(widest * MIN_FILLED, min(widest, 2)):
            continue
        is_names = not any(_is_value(value) for value in values)
        return index if is_names and len(set(values)) == len(values) else None
    return None


def _is_value(text: str) -> bool:
    """A number, an amount or a date: what stands under a name. Years and months can be names."""
    if _PERIOD.fullmatch(text):
        return False
    return bool(_NUMBER.fullmatch(text) or _DATE.fullmatch(text)) or len(text) > MAX_NAME_CHARACTERS
