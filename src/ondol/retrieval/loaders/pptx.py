"""PowerPoint files: every slide is a page under "## Slide n: title", then its speaker notes.

Text in placeholders becomes list items, other boxes paragraphs, tables ``| a | b |`` lines. Dates,
footers and slide numbers are left out; hidden slides are read. The archive is checked first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import package
from ondol.retrieval.loaders.extract import Extract, check_length
from ondol.retrieval.loaders.layout import Layout
from ondol.retrieval.loaders.package import Package, local
from ondol.types import Page

MAX_SLIDES = 5000
BREAK = "\n\n"

_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_P = "{http://schemas.openxmlformats.org/presentationml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_TITLES = frozenset(("title", "ctrTitle"))
_AROUND = frozenset(("dt", "ftr", "sldNum", "hdr", "sldImg"))
_UNTITLED = frozenset(("PowerPoint Presentation", "PowerPoint 프레젠테이션"))
_PROSE = "subTitle"


def parse(data: bytes, name: str) -> Extract:
    """The slides in the order in which they are shown; offsets of the pages are the slides'."""
    opened = package.open_package(data, name)
    parts: list[str] = []
    pages: list[Page] = []
    position, first_title = 0, ""
    for number, member in enumerate(_slides(opened, name), start=1):
        title, body = _slide(opened, member)
        heading = f"## Slide {number}: {title}" if title else f"## Slide {number}"
        text = f"{heading}{BREAK}{body}" if body else heading
        if title or body:
            position += len(BREAK) if parts else 0
            pages.append(Page(number, position))
            parts.append(text)
            position += len(text)
            check_length(position, name)
            first_title = first_title or title
    if not parts:
        raise DocumentError(t("documents.no_text", name=name))
    title = "" if opened.title in _UNTITLED else opened.title
    return Extract(BREAK.join(parts), title or first_title, tuple(pages))


def _slides(opened: Package, name: str) -> Iterator[str]:
    relations = {found[1]: found[2] for found in opened.relations("")}
    main = relations.get("officeDocument", "ppt/presentation.xml")
    targets = {key: target for key, _, target in opened.relations(main)}
    entries = opened.xml(main).findall(f"{_P}sldIdLst/{_P}sldId")
    if len(entries) > MAX_SLIDES:
        limit = f"{MAX_SLIDES:,}"
        raise DocumentError(t("documents.too_many_pages", name=name, limit=limit))
    for entry in entries:
        yield targets[entry.get(f"{_R}id", "")]


def _slide(opened: Package, member: str) -> tuple[str, str]:
    """Title and text of one slide."""
    slide = _Slide()
    slide.shapes(opened.xml(member).find(f"{_P}cSld/{_P}spTree"))
    for _, kind, target in opened.relations(member):
        if kind == "diagramData" and target in opened.names:
            slide.diagram(opened.xml(target))
        elif kind == "notesSlide" and target in opened.names:
            slide.notes(opened.xml(target))
    return slide.title, slide.text()


class _Slide:
    """Gathers the text of one slide."""

    def __init__(self) -> None:
        self.title = ""
        self._layout = Layout()
        self._notes: list[str] = []

    def text(self) -> str:
        body = self._layout.text()
        notes = "\n".join(self._notes)
        return BREAK.join(filter(None, (body, f"Notes: {notes}" if notes else "")))

    def shapes(self, parent: Any) -> None:
        for shape in parent if parent is not None else ():
            kind = local(shape)
            if kind == "sp":
                self._shape(shape)
            elif kind == "graphicFrame":
                for table in shape.iter(f"{_A}tbl"):
                    self._table(table)
            elif kind in ("grpSp", "AlternateContent", "Choice"):  # Fallback: the same once more
                self.shapes(shape)

    def diagram(self, root: Any) -> None:
        """SmartArt keeps its text in a part of its own."""
        for paragraph in root.iter(f"{_A}p"):
            self._paragraph(paragraph, is_item=True)

    def notes(self, root: Any) -> None:
        for shape in root.iter(f"{_P}sp"):
            if _placeholder(shape) == "body":
                lines = (_one_line(paragraph) for paragraph in shape.iter(f"{_A}p"))
                self._notes.extend(filter(None, lines))

    def _shape(self, shape: Any) -> None:
        kind = _placeholder(shape)
        paragraphs = list(shape.iter(f"{_A}p"))
        if kind in _TITLES and not self.title:
            self.title = " ".join(filter(None, map(_one_line, paragraphs)))
        elif kind not in _AROUND:
            for paragraph in paragraphs:
                self._paragraph(paragraph, is_item=kind not in (None, *_TITLES, _PROSE))

    def _paragraph(self, paragraph: Any, *, is_item: bool) -> None:
        properties = paragraph.find(f"{_A}pPr")
        plain = properties is not None and properties.find(f"{_A}buNone") is not None
        level = (properties.get("lvl") or "0") if properties is not None else "0"
        if is_item and not plain:
            depth = int(level) + 1 if level.isascii() and level.isdigit() else 1
            self._item(paragraph, min(depth, 9))
        else:
            _write(self._layout, paragraph)
            self._layout.block()

    def _item(self, paragraph: Any, depth: int) -> None:
        for _ in range(depth):
            self._layout.begin_list()
        self._layout.item()
        _write(self._layout, paragraph)
        for _ in range(depth):
            self._layout.end_list()

    def _table(self, table: Any) -> None:
        for row in table.iter(f"{_A}tr"):
            self._layout.begin_row()
            for cell in row.iter(f"{_A}tc"):
                for paragraph in cell.iter(f"{_A}p"):
                    _write(self._layout, paragraph)
                    self._layout.block()
                self._layout.end_cell()
            self._layout.end_row()


def _placeholder(shape: Any) -> str | None:
    """What a shape holds the place of; ``None`` for a box of its own."""
    found = shape.find(f"{_P}nvSpPr/{_P}nvPr/{_P}ph")
    return None if found is None else found.get("type", "obj")


def _write(layout: Layout, paragraph: Any) -> None:
    for element in paragraph.iter(f"{_A}t", f"{_A}br"):
        layout.write(element.text or "") if local(element) == "t" else layout.line_break()


def _one_line(paragraph: Any) -> str:
    found = paragraph.iter(f"{_A}t", f"{_A}br")
    return " ".join("".join(element.text or " " for element in found).split())
