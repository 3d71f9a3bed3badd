"""Word files (python-docx): paragraphs and tables in document order, then the notes.

Headings become ``#`` lines, list items ``-`` lines, table rows ``| a | b |`` lines. Deleted text,
tables of contents, page headers and footers are left out. The archive is checked before anything
in it is parsed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import package
from ondol.retrieval.loaders.extract import Extract
from ondol.retrieval.loaders.layout import Layout

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
_TEXT = frozenset((f"{_W}t", f"{_M}t"))
_TEXT_BOX = f"{_W}txbxContent"
# Struck out, moved away, ruby readings, and the second copy of what newer programs draw better.
_DROPPED = frozenset((f"{_W}del", f"{_W}moveFrom", f"{_W}rt", f"{_MC}Fallback"))
_BREAKS = frozenset((f"{_W}br", f"{_W}cr"))
_HEADING_NAME = re.compile(r"(?:heading|제목)\s*([1-9])$")
_TITLE_NAMES = frozenset(("title", "제목"))


@dataclass(frozen=True, slots=True)
class _Style:
    heading: int = 0
    is_item: bool = False
    is_contents: bool = False


def parse(data: bytes, name: str) -> Extract:
    """The document's text; the title is the one in its properties, else its first heading."""
    import docx

    if data.startswith(package.OLE):
        raise DocumentError(t("documents.old_word", name=name), t("documents.old_word_hint"))
    package.open_package(data, name)
    document = docx.Document(io.BytesIO(data))
    layout = Layout()
    styles = _styles(document)
    _Body(layout, styles).write(document.element.body)
    for notes in _notes(document.part):
        _Body(layout, styles).write(notes)
    text = layout.text()
    if not text:
        raise DocumentError(t("documents.no_text", name=name))
    return Extract(text, document.core_properties.title or _first_heading(text))


def _first_heading(text: str) -> str:
    heading = re.search(r"^#{1,6} (.+)$", text, re.M)
    return heading.group(1) if heading else ""


class _Body:
    """Writes the block-level elements of one story (the body, or the notes) to a layout."""

    def __init__(self, layout: Layout, styles: dict[str, _Style]) -> None:
        self._layout = layout
        self._styles = styles
        self._in_table = False

    def write(self, parent: Any) -> None:
        for element in parent:
            tag = element.tag
            if tag == f"{_W}p":
                self._paragraph(element)
            elif tag == f"{_W}tbl" and not self._in_table:
                self._table(element)
            elif isinstance(tag, str) and tag not in _DROPPED:
                self.write(element)  # content controls, tracked insertions, tables in cells

    def _paragraph(self, paragraph: Any) -> None:
        style = self._styles.get(_value(paragraph, "pPr/pStyle"), _Style())
        if style.is_contents:
            return
        level = _outline_level(paragraph) or style.heading
        numbering = _value(paragraph, "pPr/numPr/numId")
        depth = 0
        if level:
            self._layout.heading(min(level, 6))
        elif numbering != "0" and (numbering or style.is_item):  # 0 switches numbering off
            depth = min(_number(_value(paragraph, "pPr/numPr/ilvl"), 0), 8) + 1
        self._write(paragraph, depth)

    def _write(self, paragraph: Any, depth: int) -> None:
        """A paragraph, as a list item when it has a depth, then the text boxes anchored in it."""
        for _ in range(depth):
            self._layout.begin_list()
        if depth:
            self._layout.item()
        boxes = _write_runs(self._layout, paragraph)
        self._layout.block()
        for _ in range(depth):
            self._layout.end_list()
        for box in boxes:
            self.write(box)

    def _table(self, table: Any) -> None:
        self._in_table = True
        for row in _children(table, f"{_W}tr"):
            self._layout.begin_row()
            for cell in _children(row, f"{_W}tc"):
                self.write(cell)
                self._layout.end_cell()
            self._layout.end_row()
        self._in_table = False


def _children(parent: Any, tag: str) -> Iterator[Any]:
    """Direct children, also through content controls, but not those of a table further down."""
    for element in parent:
        if element.tag == tag:
            yield element
        elif isinstance(element.tag, str) and element.tag != f"{_W}tbl":
            yield from _children(element, tag)


def _write_runs(layout: Layout, paragraph: Any) -> list[Any]:
    """Write the text of a paragraph; returns the text boxes that are anchored in it."""
    boxes: list[Any] = []
    for element in _inline(paragraph, boxes):
        tag = element.tag
        if tag in _TEXT:
            layout.write(element.text or "")
        elif tag in _BREAKS:
            layout.line_break()
        elif tag == f"{_W}tab":
            layout.write(" ")
        elif tag == f"{_W}noBreakHyphen":
            layout.write("-")
    return boxes


def _inline(element: Any, boxes: list[Any]) -> Iterator[Any]:
    for child in element:
        tag = child.tag
        if tag == _TEXT_BOX:
            boxes.append(child)
        elif isinstance(tag, str) and tag not in _DROPPED and tag != f"{_W}pPr":
            yield child
            yield from _inline(child, boxes)


def _styles(document: Any) -> dict[str, _Style]:
    found = document.styles.element.iter(f"{_W}style")
    elements = {_attribute(style, "styleId") or "": style for style in found}
    return {name: _style(elements, name) for name in elements}


def _style(elements: dict[str, Any], name: str) -> _Style:
    """A style with what it inherits; a circle of styles ends after ten steps."""
    heading, is_item, is_contents = 0, False, False
    for _ in range(10):
        element = elements.get(name)
        if element is None:
            break
        label = _value(element, "name").lower()
        heading = heading or _heading_level(element, label)
        is_item = is_item or _find(element, "pPr/numPr") is not None
        is_contents = is_contents or label.startswith("toc ")
        name = _value(element, "basedOn")
    return _Style(heading, is_item, is_contents)


def _heading_level(style: Any, label: str) -> int:
    match = _HEADING_NAME.match(label)
    if match:
        return int(match.group(1))
    if label in _TITLE_NAMES:
        return 1
    return _outline_level(style)


def _outline_level(element: Any) -> int:
    """1 for the highest; 0 for body text, which Word also writes as 9."""
    level = _number(_value(element, "pPr/outlineLvl"), 9) + 1
    return level if 1 <= level <= 9 else 0


def _number(text: str, default: int) -> int:
    return int(text) if text.isascii() and text.isdigit() else default


def _notes(part: Any) -> Iterator[Any]:
    """Footnotes and endnotes, without the lines that only separate them from the page."""
    from docx.oxml.parser import parse_xml

    for relation in part.rels.values():
        if relation.is_external or not relation.reltype.endswith(("/footnotes", "/endnotes")):
            continue
        root = parse_xml(relation.target_part.blob)
        yield [note for note in root if _attribute(note, "type") is None]


def _find(element: Any, path: str) -> Any:
    return element.find("/".join(_W + step for step in path.split("/")))


def _value(element: Any, path: str) -> str:
    found = _find(element, path)
    return "" if found is None else _attribute(found, "val") or ""


def _attribute(element: Any, name: str) -> str | None:
    value = element.get(_W + name)
    return None if value is None else str(value)
