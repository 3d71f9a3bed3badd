"""Comma- and tab-separated values: each row one line, see ``tables``.

The delimiter is the one that cuts most rows into the same number of cells. Never raises but for
binary data and too much text.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import encoding, tables
from ondol.retrieval.loaders.extract import Extract, check_length

DELIMITERS = ",\t;|"
SAMPLE_CHARACTERS = 20_000
MAX_CELL_CHARACTERS = 1_000_000


def parse(data: bytes, name: str) -> Extract:
    """The rows as lines; a table says nothing about its title."""
    if encoding.is_binary(data):
        raise DocumentError(t("documents.binary", name=name))
    text = encoding.decode(data).replace("\0", "")
    first, _, rest = text.partition("\n")
    declared = ""
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:  # Excel's own line
        declared, text = first.strip()[4], rest
    delimiter = declared or _delimiter(text[:SAMPLE_CHARACTERS])
    written, characters = [], 0
    for line in tables.lines(_rows(text, delimiter)):
        written.append(line)
        characters += len(line) + 1
        check_length(characters, name)
    return Extract("\n".join(written))


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            yield [tables.cell(value) for value in row]
    except csv.Error:  # a quote that is never closed: the rest is lines without quotes
        for line in lines:
            yield [tables.cell(value) for value in line.split(delimiter)]


def _delimiter(sample: str) -> str:
    """A comma when nothing divides the sample."""
    scores = {}
    for delimiter in DELIMITERS:
        try:
            rows = list(csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter))
        except csv.Error:
            continue
        widths = Counter(len(row) for row in (rows[:-1] or rows) if row)
        width, count = widths.most_common(1)[0] if widths else (0, 0)
        scores[delimiter] = count / sum(widths.values()) if width > 1 else 0.0
    best = max(scores, key=lambda found: scores[found], default=",")
    return best if scores.get(best) else ","
