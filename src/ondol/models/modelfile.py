"""Ollama's Modelfile: what a model is made from, in words (docs/modelfile.mdx, parser/parser.go).

An instruction a line; a value may stand in quotes, and over several lines in three of them. Raises
``UsageError`` with the line that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.made import ROLES

INSTRUCTIONS = (
    "from license template system adapter renderer parser parameter message requires draft"
).split()
LARGEST = 4 * 1024 * 1024

_WORD = re.compile(r"[^\s\"]+")
_SPACE = re.compile(r"[ \t]*")


@dataclass(slots=True)
class Modelfile:
    """What the instructions say; ``sources`` are those of FROM, ``adapters`` those of ADAPTER, as
    they were written: names or paths. A parameter has every value that it was given. RENDERER,
    PARSER and REQUIRES are read and left: they name what is built into Ollama."""

    sources: list[str] = field(default_factory=list)
    adapters: list[str] = field(default_factory=list)
    parameters: dict[str, list[str]] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    system: str | None = None
    template: str | None = None


def parse(text: str) -> Modelfile:
    """The instructions in ``text``; FROM must be among them."""
    if len(text) > LARGEST:
        raise UsageError(t("making.modelfile_too_large"), param="modelfile")
    found = Modelfile()
    lists = {"from": found.sources, "adapter": found.adapters, "license": found.licences}
    for line, instruction, name, value in _instructions(text.removeprefix("\ufeff")):
        if instruction in lists:
            lists[instruction].append(value)
        elif instruction == "system":
            found.system = value
        elif instruction == "template":
            found.template = value
        elif instruction == "parameter":
            found.parameters.setdefault(name.lower(), []).append(value)
        elif instruction == "message":
            if name.lower() not in ROLES:
                raise _wrong(line, t("making.bad_role", role=name[:40]))
            found.messages.append((name.lower(), value))
        elif instruction == "draft":
            raise _wrong(line, t("making.no_drafts"))
    if not found.sources:
        raise UsageError(t("making.no_from"), param="modelfile")
    return found


def _instructions(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Line, instruction, and its name and value; only PARAMETER and MESSAGE have a name."""
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] == "#":
            at = _end_of_line(text, at)
        else:
            line = text.count("\n", 0, at) + 1
            word, at = _word(text, at)
            if word.lower() not in INSTRUCTIONS:
                raise _wrong(line, t("making.bad_instruction", word=word[:40]))
            name = ""
            if word.lower() in ("parameter", "message"):
                name, at = _word(text, at)
            value, at = _value(text, at, line)
            if not value and word.lower() in ("from", "adapter", "parameter"):
                raise _wrong(line, t("making.no_value", word=word.upper()))
            yield line, word.lower(), name, value


def _word(text: str, at: int) -> tuple[str, int]:
    at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    match = _WORD.match(text, at)
    return (match[0], match.end()) if match else ("", at)


def _value(text: str, at: int, line: int) -> tuple[str, int]:
    at = _SPACE.match(text, at).end()  # type: ignore[union-attr]
    for quote in ('"""', '"'):
        if text.startswith(quote, at):
            end = text.find(quote, at + len(quote))
            if end < 0:
                raise _wrong(line, t("making.open_quote"))
            while quote != '"' and text.startswith('"', end + len(quote)):
                end += 1  # the text itself ends in a quotation mark
            after = _end_of_line(text, end + len(quote))
            if text[end + len(quote) : after].strip():
                raise _wrong(line, t("making.after_quote"))
            return text[at + len(quote) : end], after
    end = _end_of_line(text, at)
    return text[at:end].strip(), end


def _end_of_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _wrong(line: int, why: str) -> UsageError:
    return UsageError(t("making.in_line", line=line, why=why), param="modelfile")


def quoted(text: str) -> str:
    """``text`` as a value of a Modelfile, where it has to stand in quotes. Three marks in a row
    would end it, and what follows be read as instructions; the format has no escape, so a space
    parts them."""
    if "\n" in text or '"' in text:
        parted = re.sub('""(?=")', '"" ', text)
        return f'"""{parted}"""'
    return f'"{text}"' if not text or text != text.strip() or " " in text else text
