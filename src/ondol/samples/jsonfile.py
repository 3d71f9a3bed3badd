"""JSON that may be anything: read, or refused in a sentence. Raises ``InvalidSamplesError``."""

from __future__ import annotations

import json
from typing import Any

from ondol.errors import InvalidSamplesError
from ondol.i18n import t

MOST_VALUES = 16_000_000
"""In memory a value takes up to thirty times its bytes: half a gigabyte of empty lists would take
ten. A chat export of half a gigabyte has a few million."""


def from_bytes(data: bytes, name: str) -> Any:
    """What ``data``, the file ``name``, says. UTF-8, or UTF-16 and UTF-32 as JSON has them."""
    if not data.strip():
        raise InvalidSamplesError(t("samples.empty_file", file=name))
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > MOST_VALUES:
        raise InvalidSamplesError(t("samples.too_many_values", file=name))
    try:
        return _finite(data)
    except UnicodeDecodeError as error:
        raise InvalidSamplesError(
            t("samples.encoding", file=name), t("samples.encoding_hint")
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidSamplesError(t("samples.broken_json", file=name, reason=why(error))) from error


def line(text: str, name: str, number: int) -> Any:
    """What one line says; ``number`` counts from 1."""
    try:
        return _finite(text)
    except (ValueError, RecursionError) as error:
        raise bad_line(name, number, why(error)) from error


def bad_line(name: str, number: int, reason: str) -> InvalidSamplesError:
    """The refusal of a file for one of its lines."""
    return InvalidSamplesError(
        t("samples.bad_line", file=name, line=number, reason=reason), t("samples.forms_hint")
    )


def why(error: BaseException) -> str:
    """In the words of the parser, without what stood there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} ({error.lineno}:{error.colno})"
    return "nesting" if isinstance(error, RecursionError) else type(error).__name__


def _finite(text: str | bytes) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(name: str) -> None:
    raise json.JSONDecodeError(name, "", 0)
