"""Text laid out in blocks, the way every extracted document is written.

Paragraphs are separated by an empty line; headings are ``#`` lines, list items ``-`` lines, table
rows ``| a | b |`` lines. White space inside a paragraph is one space.
"""

from __future__ import annotations

import re

MAX_INDENT = 8

_SPACE = re.compile(r"[ \t\n\r\f\v\u00a0\u2000-\u200a\u202f\u3000]+")
_INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\\x00-\\x08\\x0e-\\x1f\\x7f\ufffe\uffff]")
_BREAK = "\x0b"


class Layout:
    """Receives text and block marks in document order; ``text()`` is the result."""

    def __init__(self) -> None:
        self._blocks: list[str] = []
        self._inline: list[str] = []
        self._prefix = ""
        self._tight = False
        self._depth = 0
        self._verbatim = 0
        self._row: list[str] | None = None

    def write(self, text: str) -> None:
        """Inline text; neighbours stick together as they stand."""
        self._inline.append(text if self._verbatim else text.replace(_BREAK, " "))

    def line_break(self) -> None:
        """A new line in the same paragraph; two of them end it."""
        self._inline.append("\n" if self._verbatim else _BREAK)

    def block(self) -> None:
        """End the current paragraph."""
        if self._row is not None:
            self._inline.append(" ")
            return
        text = self._take()
        if text:
            self._put(self._prefix + text, tight=self._tight)
            self._prefix, self._tight = "", False

    def heading(self, level: int) -> None:
        self._start("#" * level + " ", tight=False)

    def item(self) -> None:
        """A list item begins."""
        indent = "  " * min(max(self._depth - 1, 0), MAX_INDENT)
        self._start(f"{indent}- ", tight=bool(self._blocks) and self._is_item(self._blocks[-1]))

    def begin_list(self) -> None:
        self.block()
        self._depth += 1

    def end_list(self) -> None:
        self.block()
        self._depth = max(self._depth - 1, 0)

    def begin_verbatim(self) -> None:
        """Text that keeps its lines and spaces."""
        self.block()
        self._verbatim += 1

    def end_verbatim(self) -> None:
        if self._verbatim and self._row is None:
            text = "".join(self._inline).strip("\n")
            self._inline.clear()
            if text.strip():
                self._put(text, tight=False)
        self._verbatim = max(self._verbatim - 1, 0)

    def begin_row(self) -> None:
        self.block()
        self._row = []

    def end_cell(self) -> None:
        if self._row is not None:
            self._row.append(" ".join(self._take().split()))

    def end_row(self) -> None:
        cells, self._row = self._row or [], None
        self.block()
        if any(cells):
            tight = bool(self._blocks) and self._blocks[-1].startswith("| ")
            self._put("| " + " | ".join(cells) + " |", tight=tight)

    def text(self) -> str:
        self._row = None
        self.block()
        return "".join(self._blocks).removeprefix("\n\n")

    def _start(self, prefix: str, *, tight: bool) -> None:
        self.block()
        if self._row is None:
            self._prefix, self._tight = prefix, tight

    def _put(self, text: str, *, tight: bool) -> None:
        self._blocks.append("\n" if tight else "\n\n")
        self._blocks.append(text)

    @staticmethod
    def _is_item(block: str) -> bool:
        return block.lstrip(" ").startswith("- ")

    def _take(self) -> str:
        text = _INVISIBLE.sub("", "".join(self._inline).replace(_BREAK, "\ue000"))
        self._inline.clear()
        rows = [_SPACE.sub(" ", row).strip() for row in text.split("\ue000")]
        return re.sub(r"\n{3,}", "\n\n", "\n".join(rows)).strip()
