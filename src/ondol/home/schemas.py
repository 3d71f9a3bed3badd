"""Which JSON schemas a device may have its answer follow.

A grammar is made of a schema, and at each token the engine looks what the grammar allows. A regular
expression of thirty characters, or alternatives that refer to each other, make that take for ever;
the engine is then lost to everybody, for it cannot be told to stop. Raises ``UsageError``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t

LONGEST_BYTES = 16 * 1024
REFUSED = ("pattern", "$ref", "$dynamicRef")
# What is below these are names or values, and no words of JSON Schema.
_NAMES = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples")


def check(schema: Mapping[str, Any] | None) -> None:
    """Raise unless ``schema`` is one that cannot hold the engine up."""
    if schema is None:
        return
    if len(json.dumps(schema)) > LONGEST_BYTES:
        raise _refused(t("home.schema_too_long", kilobytes=LONGEST_BYTES // 1024))
    for word in _words(schema):
        if word in REFUSED:
            raise _refused(t("home.schema_word", word=word))


def _words(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for one in schema:
            yield from _words(one)
    elif isinstance(schema, Mapping):
        for word, inner in schema.items():
            yield word
            if word in _NAMES and isinstance(inner, Mapping):
                yield from _words(list(inner.values()))
            elif word not in _VALUES:
                yield from _words(inner)


def _refused(message: str) -> UsageError:
    return UsageError(message, t("home.schema_hint"), param="response_format")
