"""JavaScript without its comments and indentation, as it goes to the browser: a third lighter.

Nothing else is touched: names, lines and what a template says stay as they were written. Knows
strings, template literals and what is nested in them, and regular expressions as far as this app
uses them (told from a division by what stands before).
"""

from __future__ import annotations

import re

_BEFORE_REGEX = (*"=([{,;:!&|?+-*%<>~^", "return", "typeof", "=>")
_PLAIN = re.compile(r"[^\"'`/{}]+")
_EMPTY_LINES = re.compile(r"\n\s*\n+")
_INDENTATION = re.compile(r"\n[ \t]+")


def javascript(source: str) -> str:
    """``source`` without comments. Raises ``ValueError`` for what does not end."""
    pieces: list[str] = []
    _code(source, 0, pieces, is_nested=False)
    return "".join(pieces).lstrip()


def _code(source: str, at: int, pieces: list[str], *, is_nested: bool) -> int:
    """Read code from ``at``, inside ``${…}`` up to the brace that ends it; the place after."""
    depth = 0
    code: list[str] = []

    def flush() -> None:
        text = "".join(code)
        code.clear()
        text = _INDENTATION.sub("\n", _EMPTY_LINES.sub("\n", text))
        pieces.append(text if not (pieces and pieces[-1].endswith("\n")) else text.lstrip(" \t\n"))

    while at < len(source):
        plain = _PLAIN.match(source, at)
        if plain:
            code.append(plain[0])
            at = plain.end()
            continue
        char, two = source[at], source[at : at + 2]
        if two == "//":
            at = _end(source, "\n", at)
        elif two == "/*":
            stop = _end(source, "*/", at) + 2
            code.append("\n" if "\n" in source[at:stop] else " ")
            at = stop
        elif char in "\"'" or (char == "/" and _is_regex("".join(code))):
            stop = _quoted(source, at)
            flush()
            pieces.append(source[at:stop])
            at = stop
        elif char == "`":
            flush()
            at = _template(source, at, pieces)
        else:
            depth += {"{": 1, "}": -1}.get(char, 0)
            if depth < 0 and is_nested:
                flush()
                return at
            code.append(char)
            at += 1
    flush()
    return at


def _template(source: str, at: int, pieces: list[str]) -> int:
    start = at
    at += 1
    while source[at : at + 1] != "`":
        if at >= len(source):
            raise ValueError("a template that does not end")
        if source.startswith("${", at):
            pieces.append(source[start : at + 2])
            at = start = _code(source, at + 2, pieces, is_nested=True)
            continue
        at += 2 if source[at] == "\\" else 1
    pieces.append(source[start : at + 1])
    return at + 1


def _quoted(source: str, at: int) -> int:
    """The place after the string or regular expression that begins at ``at``."""
    quote, in_class = source[at], False
    at += 1
    while in_class or source[at : at + 1] != quote:
        if at >= len(source) or source[at] == "\n":
            raise ValueError("a string that does not end")
        if quote == "/" and source[at] in "[]":
            in_class = source[at] == "["
        at += 2 if source[at] == "\\" else 1
    return at + 1


def _is_regex(before: str) -> bool:
    before = before.rstrip()
    return not before or before.endswith(_BEFORE_REGEX)


def _end(source: str, mark: str, at: int) -> int:
    found = source.find(mark, at)
    return len(source) if found < 0 else found
