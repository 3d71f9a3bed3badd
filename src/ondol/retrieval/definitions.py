"""Source code to sections: where functions, classes and their like begin, by their qualified names.

Python is parsed; other languages are read line by line (``outline``). Offsets are those of the
text. Never raises; code in which nothing is found is one section without a name.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator

from ondol.retrieval import outline
from ondol.retrieval.outline import Definition

Section = tuple[int, str]
"""Where a section begins, and its name ("class Boiler › def start"); "" is the file's own level."""

SEPARATOR = " › "
MAX_PYTHON_CHARACTERS = 2_000_000

_COMMENT = re.compile(r"[ \t]*#")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)")


def sections(text: str, media_type: str) -> list[Section]:
    """The sections of a source file in order, the first at 0; they cover all of the text."""
    spans = [match.span() for match in _LINE.finditer(text)]
    lines = [text[start:end] for start, end in spans]
    language = media_type.removeprefix("text/x-")
    found = _python(text, lines) if language == "python" else None
    if found is None:
        found = outline.definitions(lines, language)
    starts = [start for start, _ in spans]
    return [(starts[line], name) for line, name in _flat(found, lines)]


def _python(text: str, lines: list[str]) -> list[Definition] | None:
    """``None`` when it is no Python of today."""
    if len(text) > MAX_PYTHON_CHARACTERS:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escapes in somebody else's strings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return list(_nested(tree.body, lines))


def _nested(body: list[ast.stmt], lines: list[str]) -> Iterator[Definition]:
    """Classes with what is in them, and functions, which stay whole."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            is_class = isinstance(node, ast.ClassDef)
            first = min(d.lineno for d in (node, *node.decorator_list)) - 1
            start = outline.with_comments(lines, first, comment=_COMMENT)
            name = f"{'class' if is_class else 'def'} {node.name}"
            yield Definition(start, node.end_lineno or node.lineno, name)
            if is_class:
                yield from _nested(node.body, lines)
        elif isinstance(node, ast.If | ast.Try | ast.With):
            for inside in (node, *getattr(node, "handlers", ())):
                for part in ("body", "orelse", "finalbody"):
                    yield from _nested(getattr(inside, part, []), lines)


def _flat(found: Iterable[Definition], lines: list[str]) -> list[tuple[int, str]]:
    """Nested definitions as a row of sections: each goes on to the next one's first line, or to
    where its parent goes on with more than closing brackets."""
    # Of what ends at one line the outermost is closed last; what begins there is written after.
    marks: dict[int, str] = {0: ""}
    open_: list[tuple[int, str]] = []

    def close(until: int) -> None:
        while open_ and open_[-1][0] <= until:
            end = open_.pop()[0]
            marks[end] = open_[-1][1] if open_ else ""

    for definition in sorted(found, key=lambda d: (d.start, -d.end)):
        close(definition.start)
        parent = open_[-1][1] if open_ else ""
        name = f"{parent}{SEPARATOR}{definition.name}" if parent else definition.name
        marks[definition.start] = name
        end = min(definition.end, open_[-1][0]) if open_ else definition.end
        open_.append((max(end, definition.start + 1), name))
    close(len(lines))
    return list(_said(sorted(marks.items()), lines))


def _said(marks: list[tuple[int, str]], lines: list[str]) -> Iterator[tuple[int, str]]:
    """The sections that hold a word; what has none goes with the section before it."""
    ends = [line for line, _ in marks[1:]] + [len(lines)]
    for (line, name), end in zip(marks, ends, strict=True):
        if line == 0 or any(map(str.isalnum, "".join(lines[line:end]))):
            yield line, name
