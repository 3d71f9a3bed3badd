"""Reads the htm templates of a JavaScript file: what in them a person would see or hear.

A small tokenizer, enough for how this app is written: strings, comments, template literals and what
is nested in them. Regular expressions are told from divisions by what stands before them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# Attributes, and properties of our own parts, whose value is said or shown.
SPOKEN = frozenset(
    "aria-label aria-description aria-roledescription aria-valuetext title placeholder alt label "
    "hint about text action caption heading error".split()
)
_BEFORE_REGEX = "=([{,;:!&|?+-*%<>~^" + "\n"


@dataclass
class Template:
    """One tagged template: its texts and, between them, the code of each ``${…}``."""

    texts: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    line: int = 0


def templates(source: str) -> list[Template]:
    """Every html`…` in ``source``, nested ones too."""
    found: list[Template] = []
    _code(source, 0, found, len(source), is_nested=False)
    return found


def spoken(template: Template) -> Iterator[str]:
    """The literal texts of ``template`` that a person would see or hear."""
    whole = ""
    for number, text in enumerate(template.texts):
        whole += text
        if number < len(template.codes):
            whole += f"\0{number}\0"
    for match in re.finditer(
        r"<!--.*?-->|<[^<>]*?(?:\"[^\"]*\"[^<>]*?)*>|[^<>]+", whole, re.DOTALL
    ):
        piece = match[0]
        if piece.startswith("<!--"):
            continue
        if piece.startswith("<"):
            for name, value in re.findall(r"([\w-]+)=\"([^\"]*)\"", piece):
                if name in SPOKEN:
                    yield from _letters(re.sub(r"\0\d+\0", " ", value))
            for name, number in re.findall(r"([\w-]+)=\0(\d+)\0", piece):
                if name in SPOKEN:
                    yield from _literals(template.codes[int(number)])
        else:
            yield from _letters(re.sub(r"\0\d+\0", " ", piece))
            for number in re.findall(r"\0(\d+)\0", piece):
                yield from _literals(template.codes[int(number)])


def _letters(text: str) -> Iterator[str]:
    text = re.sub(r"&\w+;|&#\w+;", " ", text).strip()
    if re.search(r"[^\W\d_]", text):
        yield text


def _literals(code: str) -> Iterator[str]:
    """String literals that are the value of ``code`` or of a branch of it: not an argument, not
    compared with, not a key."""
    flat = _without_nested(code)
    for match in re.finditer(
        r"(?P<before>.{0,4})(?P<q>[\"'])(?P<text>(?:\\.|(?!(?P=q)).)*)(?P=q)(?P<after>.{0,4})", flat
    ):
        if re.search(r"(?:[=!]==?|\bin|case)\s*$", match["before"]):
            continue
        if re.match(r"\s*(?:[=!]==?|:(?!:)|\bin\b)", match["after"]) and "?" not in flat:
            continue
        yield from _letters(match["text"])
    for text in re.findall(r"`((?:\\.|[^`$])*)`", flat):
        yield from _letters(text)


def _without_nested(code: str) -> str:
    """``code`` without what stands in brackets, and without nested templates."""
    out, depth, at = "", 0, 0
    while at < len(code):
        char = code[at]
        if char in "\"'":
            end = _string(code, at)
            out += code[at:end] if depth == 0 else ""
            at = end
            continue
        if char == "`":
            end = _template(code, at + 1, [], [])
            tagged = re.search(r"[\w)\]]$", code[:at])
            out += code[at:end] if depth == 0 and not tagged and "${" not in code[at:end] else ""
            at = end
            continue
        # A bracket that groups is looked into; one that calls, indexes or makes an object is not.
        if char in "([{":
            groups = char == "(" and not re.search(r"[\w)\]]\s*$", code[:at])
            if depth or not groups:
                depth += 1
        elif char in ")]}":
            depth = max(0, depth - 1)
        elif depth == 0:
            out += char
        at += 1
    return out


def _code(source: str, at: int, found: list[Template], end: int, *, is_nested: bool) -> int:
    """Read code from ``at``; where it is inside ``${…}`` up to the brace that ends it."""
    depth = 0
    while at < end:
        char = source[at]
        two = source[at : at + 2]
        if two == "//":
            at = (source.find("\n", at) + 1) or end
        elif two == "/*":
            at = source.index("*/", at) + 2
        elif char in "\"'":
            at = _string(source, at)
        elif char == "`":
            is_html = source[:at].endswith("html")
            made = Template(line=source.count("\n", 0, at) + 1)
            at = _template(source, at + 1, made.texts, made.codes, found)
            if is_html:
                found.append(made)
        elif char == "/" and _is_regex(source, at):
            at = _regex(source, at)
        elif char == "{":
            depth += 1
            at += 1
        elif char == "}":
            if depth == 0 and is_nested:
                return at
            depth -= 1
            at += 1
        else:
            at += 1
    return at


def _template(
    source: str, at: int, texts: list[str], codes: list[str], found: list[Template] | None = None
) -> int:
    """Read a template literal whose backtick stands before ``at``; the place after it."""
    text = ""
    while at < len(source):
        if source[at] == "\\":
            text += source[at : at + 2]
            at += 2
        elif source[at] == "`":
            texts.append(text)
            return at + 1
        elif source.startswith("${", at):
            texts.append(text)
            text = ""
            stop = _code(
                source, at + 2, [] if found is None else found, len(source), is_nested=True
            )
            codes.append(source[at + 2 : stop])
            at = stop + 1
        else:
            text += source[at]
            at += 1
    raise ValueError("a template that does not end")


def _string(source: str, at: int) -> int:
    quote = source[at]
    at += 1
    while source[at] != quote:
        at += 2 if source[at] == "\\" else 1
    return at + 1


def _is_regex(source: str, at: int) -> bool:
    before = source[:at].rstrip(" ")
    return not before or before[-1] in _BEFORE_REGEX or before.endswith(("return", "=>", "typeof"))


def _regex(source: str, at: int) -> int:
    at += 1
    in_class = False
    while in_class or source[at] != "/":
        if source[at] == "\\":
            at += 1
        elif source[at] == "[":
            in_class = True
        elif source[at] == "]":
            in_class = False
        at += 1
    return at + 1
