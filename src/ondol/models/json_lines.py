"""JSON Lines that strangers wrote: an object a line, bounded, with the line that is wrong.

Raises ``InvalidPackError``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondol.errors import InvalidPackError
from ondol.i18n import t

_UNSEEN = "\n\t\u00a0\u202f\u3000\u200c\u200d"
"""Spaces, and the joiners that Persian and Hindi are not written right without."""


@dataclass(frozen=True, slots=True)
class Line:
    """The object of one line."""

    file: str
    number: int
    fields: Mapping[str, Any]

    def text(self, name: str, longest: int) -> str:
        """A text, which must be there, on one line then."""
        value = self.fields.get(name)
        if not is_plain(value, longest):
            raise self.wrong(t("packs.bad_text", field=name, most=longest))
        return " ".join(str(value).split())

    def texts(self, name: str, longest: int, most: int) -> tuple[str, ...]:
        """A list of such texts, perhaps an empty one."""
        values = self.fields.get(name, [])
        if not isinstance(values, list) or len(values) > most:
            raise self.wrong(t("packs.bad_list", field=name, most=most))
        if not all(is_plain(value, longest) for value in values):
            raise self.wrong(t("packs.bad_text", field=name, most=longest))
        return tuple(" ".join(value.split()) for value in values)

    def only(self, *known: str) -> None:
        """Refuse what nobody would read."""
        for name in self.fields:
            if name not in known:
                raise self.wrong(t("packs.unknown_field", field=name[:40]))

    def wrong(self, why: str) -> InvalidPackError:
        return InvalidPackError(t("packs.in_line", file=self.file, line=self.number, why=why))


def read_lines(path: Path, file: str, most_bytes: int, most_lines: int) -> Iterator[Line]:
    """The lines of ``path``, which people call ``file``; empty ones are left out."""
    text = read_text(path, file, most_bytes)
    count = 0
    # Not splitlines: U+2028 may stand inside a JSON text.
    for number, said in enumerate(text.split("\n"), 1):
        if not said.strip():
            continue
        count += 1
        if count > most_lines:
            raise InvalidPackError(t("packs.too_many_lines", file=file, most=most_lines))
        try:
            fields = json.loads(said, parse_constant=_refuse)
        except (ValueError, RecursionError):
            fields = None
        line = Line(file, number, fields if isinstance(fields, dict) else {})
        if not isinstance(fields, dict):
            raise line.wrong(t("packs.no_json"))
        yield line


def read_text(path: Path, file: str, most_bytes: int) -> str:
    """All of ``path``, which is UTF-8 and not too large."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(most_bytes + 1)
    except OSError as error:
        raise InvalidPackError(t("packs.missing", file=file)) from error
    if len(raw) > most_bytes:
        raise InvalidPackError(t("packs.too_large", file=file, most=most_bytes // 1024))
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidPackError(t("packs.not_text", file=file)) from None


def is_plain(value: Any, longest: int) -> bool:
    """Whether it is a text that says something, of characters that can be seen."""
    return (
        isinstance(value, str)
        and bool(value.strip())
        and len(value) <= longest
        and all(character.isprintable() or character in _UNSEEN for character in value)
    )


def _refuse(constant: str) -> Any:
    raise ValueError(constant)
