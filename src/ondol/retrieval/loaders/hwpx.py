"""Hancom's .hwpx (KS X 6101): paragraphs, tables, text boxes and notes of every section in order.

Outline styles become headings. Page headers, footers and hidden comments are left out. The archive
is checked first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.retrieval.loaders import package
from ondol.retrieval.loaders.extract import Extract
from ondol.retrieval.loaders.layout import Layout
from ondol.retrieval.loaders.package import Package, local

_SECTION = re.compile(r"Contents/section(\d+)\.xml")
_OUTLINE = re.compile(r"(?:개요|Outline)\s*(\d+)")
_DROPPED = frozenset(("header", "footer", "hiddenComment", "indexmark", "fieldBegin", "secPr"))
_BREAKS = frozenset(("lineBreak", "columnBreak"))
_SPACES = frozenset(("tab", "nbSpace", "fwSpace"))


def parse(data: bytes, name: str) -> Extract:
    """The document's text; the title is the one in its properties, else its first heading."""
    opened = package.open_package(data, name)
    if _is_encrypted(opened):
        raise DocumentError(t("documents.encrypted", name=name), t("documents.encrypted_hint"))
    layout = Layout()
    levels = _levels(opened)
    for member in _sections(opened):
        _Section(layout, levels).write(opened.xml(member))
    text = layout.text()
    if not text:
        raise DocumentError(t("documents.no_text", name=name))
    return Extract(text, _title(opened, text))


def _is_encrypted(opened: Package) -> bool:
    manifest = "META-INF/manifest.xml"
    return manifest in opened.names and b"encryption-data" in opened.read(manifest)


def _sections(opened: Package) -> list[str]:
    """Sections in the order of their numbers, in which programs write them. ``KeyError`` when
    there is none."""
    found = {int(match.group(1)): name for name in opened.names if (match := _SECTION.match(name))}
    if not found:
        raise KeyError("section0")
    return [found[number] for number in sorted(found)]


def _levels(opened: Package) -> dict[str, int]:
    """The outline level of every style that has one, by the style's number."""
    if "Contents/header.xml" not in opened.names:
        return {}
    levels = {}
    for style in opened.xml("Contents/header.xml").iter():
        if local(style) == "style":
            names = (style.get("name") or "", style.get("engName") or "")
            match = next(filter(None, map(_OUTLINE.match, names)), None)
            if match:
                levels[style.get("id") or ""] = min(int(match.group(1)), 6)
    return levels


class _Section:
    """Writes the paragraphs of one section to a layout."""

    def __init__(self, layout: Layout, levels: dict[str, int]) -> None:
        self._layout = layout
        self._levels = levels
        self._in_table = False

    def write(self, parent: Any) -> None:
        for element in parent:
            kind = local(element)
            if kind == "p":
                self._paragraph(element)
            elif kind == "tbl" and not self._in_table:
                self._table(element)
            elif kind and kind not in _DROPPED:
                self.write(element)

    def _paragraph(self, paragraph: Any) -> None:
        level = self._levels.get(paragraph.get("styleIDRef") or "")
        if level and not self._in_table:
            self._layout.heading(level)
        boxes: list[Any] = []
        for run in paragraph:
            for part in run if local(run) == "run" else ():
                self._text(part) if local(part) == "t" else boxes.append(part)
        self._layout.block()
        for box in boxes:
            if local(box) not in _DROPPED:
                self.write([box])

    def _text(self, text: Any) -> None:
        self._layout.write(text.text or "")
        for mark in text:
            kind = local(mark)
            if kind in _BREAKS:
                self._layout.line_break()
            elif kind in _SPACES:
                self._layout.write(" ")
            self._layout.write(mark.tail or "")

    def _table(self, table: Any) -> None:
        self._in_table = True
        for row in _children(table, "tr"):
            self._layout.begin_row()
            for cell in _children(row, "tc"):
                self.write(cell)
                self._layout.end_cell()
            self._layout.end_row()
        self._in_table = False


def _children(parent: Any, kind: str) -> Iterator[Any]:
    return (element for element in parent if local(element) == kind)


def _title(opened: Package, text: str) -> str:
    if "Contents/content.hpf" in opened.names:
        for element in opened.xml("Contents/content.hpf").iter():
            if local(element) == "title" and (element.text or "").strip():
                return str(element.text)
    heading = re.search(r"^#{1,6} (.+)$", text, re.M)
    return heading.group(1) if heading else ""
