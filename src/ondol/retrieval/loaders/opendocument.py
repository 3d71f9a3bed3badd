"""OpenDocument files (LibreOffice): texts as paragraphs, lists and tables; sheets row by row.

Tracked deletions, comments, headers and footers are left out; footnotes follow their paragraph.
The archive is checked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import package, tables, xlsx
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.layout import Layout
from ondol.retrieval.loaders.package import Package, local

MAX_COLUMNS = 1000
MAX_ROWS_REPEATED = 100

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_OFFICE = "{urn:oasis:names:tc:opendocument:xmlns:office:1.0}"
_DC_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_DROPPED = frozenset(
    "tracked-changes annotation sequence-decls forms table-of-content alphabetical-index "
    "bibliography".split()
)


def parse(data: bytes, name: str) -> Extract:
    """The document's text; the title is the one in its properties, else its first heading."""
    opened = package.open_package(data, name)
    if _is_encrypted(opened):
        raise DocumentError(t("documents.encrypted", name=name), t("documents.encrypted_hint"))
    body = opened.xml("content.xml").find(f"{_OFFICE}body")
    sheets = body.find(f"{_OFFICE}spreadsheet")
    text = _prose(body) if sheets is None else _sheets(sheets, name)
    if not text:
        raise DocumentError(t("documents.no_text", name=name))
    heading = text.partition("\n")[0] if sheets is None and text.startswith("#") else ""
    return Extract(text, _title(opened) or heading.lstrip("# "))


def _is_encrypted(opened: Package) -> bool:
    manifest = "META-INF/manifest.xml"
    return manifest in opened.names and b"encryption-data" in opened.read(manifest)


def _prose(body: Any) -> str:
    layout = Layout()
    _Body(layout).write(body)
    return layout.text()


class _Body:
    """Writes block elements to a layout."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._in_table = False

    def write(self, parent: Any) -> None:
        for element in parent:
            kind = local(element)
            if kind in ("p", "h"):
                self._paragraph(element, is_heading=kind == "h")
            elif kind == "list":
                self._list(element)
            elif kind == "table" and not self._in_table:
                self._table(element)
            elif kind and kind not in _DROPPED:
                self.write(element)

    def _paragraph(self, element: Any, *, is_heading: bool) -> None:
        if is_heading:
            level = element.get(f"{_TEXT}outline-level") or "1"
            self._layout.heading(min(int(level), 6) if level.isdigit() else 1)
        boxes: list[Any] = []
        _inline(self._layout, element, boxes)
        self._layout.block()
        for box in boxes:
            self.write(box)

    def _list(self, element: Any) -> None:
        self._layout.begin_list()
        for item in element:
            if local(item) in ("list-item", "list-header"):
                self._layout.item()
                self.write(item)
        self._layout.end_list()

    def _table(self, table: Any) -> None:
        self._in_table = True
        for row in table.iter(f"{_TABLE}table-row"):
            self._layout.begin_row()
            for cell in row:
                if local(cell) == "table-cell":
                    self.write(cell)
                    self._layout.end_cell()
            self._layout.end_row()
        self._in_table = False


def _inline(layout: Layout, element: Any, boxes: list[Any]) -> None:
    """The text of a paragraph; notes and text boxes in it go to ``boxes``."""
    layout.write(element.text or "")
    for child in element:
        kind = local(child)
        if kind in ("s", "tab"):
            layout.write(" ")
        elif kind == "line-break":
            layout.line_break()
        elif kind == "note":
            boxes.extend(child.iter(f"{_TEXT}note-body"))
        elif kind in ("frame", "text-box", "custom-shape"):
            boxes.append(child)
        elif kind and kind not in _DROPPED and kind != "ruby-text":
            _inline(layout, child, boxes)
        layout.write(child.tail or "")


def _sheets(root: Any, name: str) -> str:
    sheets, characters = [], 0
    for table in root.iter(f"{_TABLE}table"):
        written = []
        for line in tables.lines(_rows(table)):
            written.append(line)
            characters += len(line) + 1
            check_length(characters, name)
        if written:
            sheets.append(xlsx.sheet(table.get(f"{_TABLE}name") or "", written))
    return "\n\n".join(sheets)


def _rows(table: Any) -> Iterator[list[str]]:
    """Repeats are written out only so far: they fill a sheet to its edges."""
    for row in table.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row:
            if local(cell) in ("table-cell", "covered-table-cell"):
                repeats = _repeats(cell, "number-columns-repeated", MAX_COLUMNS - len(cells))
                cells.extend([_cell(cell)] * repeats)
        while cells and not cells[-1]:
            cells.pop()
        for _ in range(_repeats(row, "number-rows-repeated", MAX_ROWS_REPEATED) if cells else 0):
            yield cells


def _repeats(element: Any, attribute: str, limit: int) -> int:
    text = element.get(_TABLE + attribute) or "1"
    count = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else limit
    return max(min(count, limit), 0)


def _cell(cell: Any) -> str:
    """Dates and numbers as they are kept; everything else as it is shown."""
    kind = cell.get(f"{_OFFICE}value-type")
    if kind == "date":
        return tables.cell((cell.get(f"{_OFFICE}date-value") or "").replace("T", " "))
    if kind == "float" and (value := cell.get(f"{_OFFICE}value")):
        return tables.cell(float(value))
    shown = ("".join(p.itertext()) for p in cell.iterchildren(f"{_TEXT}p"))
    return tables.cell(" ".join(shown))


def _title(opened: Package) -> str:
    if "meta.xml" not in opened.names:
        return ""
    found = next(opened.xml("meta.xml").iter(_DC_TITLE), None)
    return (found.text or "") if found is not None else ""
