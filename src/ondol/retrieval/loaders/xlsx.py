"""Excel workbooks (calamine): a heading for every sheet, then each row as one line, see ``tables``.

The archive is checked first, and how far the cells of a sheet lie apart: calamine keeps a sheet as
one full rectangle. Values are those that Excel computed last; hidden sheets are read too.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import package, tables
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.package import Package

MAX_CELLS = 10_000_000

# A cell that holds something (an empty one closes itself), with its place: column letters and row.
_CELL = re.compile(rb"<[^<>]*?\sr\s*=\s*[\"']([A-Za-z]{0,4})(\d{1,9})[\"'][^<>]*(?<!/)>")


def parse(data: bytes, name: str) -> Extract:
    """The workbook's sheets in their order."""
    import python_calamine

    opened = package.open_package(data, name)
    _check_extent(opened, name)
    try:
        workbook = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(data))
        text = _text(workbook, name)
    except python_calamine.PasswordError as error:
        hint = t("documents.encrypted_hint")
        raise DocumentError(t("documents.encrypted", name=name), hint) from error
    except BaseException as error:
        # A panic in the library is no Exception, so that nobody mistakes it for an ordinary error.
        if type(error).__name__ != "PanicException":
            raise
        raise DocumentError(t("documents.broken", name=name)) from error
    if not text:
        raise DocumentError(t("documents.no_text", name=name))
    return Extract(text, opened.title)


def _text(workbook: Any, name: str) -> str:
    sheets, characters = [], 0
    for title in _worksheets(workbook):
        written = []
        for line in tables.lines(_rows(workbook, title)):
            written.append(line)
            characters += len(line) + 1
            check_length(characters, name)
        if written:
            sheets.append(sheet(title, written))
    return "\n\n".join(sheets)


def sheet(title: str, lines: list[str]) -> str:
    """A sheet as text: only its heading follows an empty line, whatever the rows begin with."""
    heading = tables.cell(title) or "-"
    return "\n".join([f"# {heading}", *lines])


def _worksheets(workbook: Any) -> Iterator[str]:
    """The names of the sheets with cells; a chart can be a sheet of its own."""
    import python_calamine

    for about in workbook.sheets_metadata:
        if about.typ == python_calamine.SheetTypeEnum.WorkSheet:
            yield about.name


def _rows(workbook: Any, title: str) -> Iterator[list[str]]:
    for row in workbook.get_sheet_by_name(title).iter_rows():
        yield [tables.cell(value) for value in row]


def _check_extent(opened: Package, name: str) -> None:
    for member in opened.names:
        if not member.lower().startswith("xl/worksheets/") or not member.lower().endswith(".xml"):
            continue
        rows = columns = 1
        for letters, number in _CELL.findall(opened.read(member)):
            rows = max(rows, int(number))
            columns = max(columns, _column(letters))
        if rows * columns > MAX_CELLS:
            message = t("formats.sheet_too_wide", name=name, cells=f"{rows * columns:,}")
            raise DocumentError(message, t("formats.sheet_too_wide_hint"))


def _column(letters: bytes) -> int:
    """A is 1, Z 26, AA 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number
