"""Which JSON schemas an answer may be made to follow.

A grammar is made of a schema, and at each token the engine looks at every way in which the grammar
could go on. Some hundreds of ways at once, from a regular expression of thirty characters or from
alternatives that refer to each other, hold the engine up for minutes, for everybody. So the ways
are counted before: never too few, sometimes too many. Raises ``UsageError``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ondol.engine.patterns import MOST_WAYS, cost
from ondol.errors import UsageError
from ondol.i18n import t

LONGEST_BYTES = 64 * 1024
DEEPEST = 100
MOST_ALTERNATIVES = 512
MOST_STEPS = 20_000
# What is below these are names or values, and no words of JSON Schema.
_NAMES = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_VALUES = ("enum", "const", "default", "examples", "required")


def check(
    schema: Mapping[str, Any] | None,
    *,
    longest_bytes: int = LONGEST_BYTES,
    refused: Collection[str] = (),
) -> None:
    """Raise unless ``schema`` is one that cannot hold the engine up; ``refused`` are words that it
    may not have at all."""
    if schema is None:
        return
    try:
        size = len(json.dumps(schema))
    except (RecursionError, ValueError):
        raise _refused(t("engine.schema_too_deep", most=DEEPEST)) from None
    if size > longest_bytes:
        raise _refused(t("engine.schema_too_long", kilobytes=longest_bytes // 1024))
    _Check(schema, refused).all()


class _Check:
    """One schema. The alternatives of a part are counted once, whoever refers to it."""

    def __init__(self, schema: Mapping[str, Any], refused: Collection[str]) -> None:
        self._schema = schema
        self._refused = refused
        self._known: dict[int, int] = {}
        self._steps = 0

    def all(self) -> None:
        for part in self._parts(self._schema, 0):
            for word in part:
                if word in self._refused:
                    raise _refused(t("engine.schema_word", word=word))
            if self._alternatives(part, 0) > MOST_ALTERNATIVES:
                raise _refused(t("engine.schema_too_wide", most=MOST_ALTERNATIVES))
            for pattern in _patterns(part):
                self._steps += cost(pattern).steps
                if self._steps > MOST_STEPS:
                    raise _too_much(pattern)

    def _parts(self, value: object, depth: int) -> Iterator[Mapping[str, Any]]:
        """Every schema in ``value``, itself first."""
        if depth > DEEPEST:
            raise _refused(t("engine.schema_too_deep", most=DEEPEST))
        if isinstance(value, list):
            for one in value:
                yield from self._parts(one, depth + 1)
        elif isinstance(value, Mapping):
            yield value
            for word, inner in value.items():
                if word in _NAMES and isinstance(inner, Mapping):
                    for one in inner.values():
                        yield from self._parts(one, depth + 1)
                elif word not in _VALUES:
                    yield from self._parts(inner, depth + 1)

    def _alternatives(self, part: object, depth: int) -> int:
        """In how many ways an answer to ``part`` can begin, or go on after a property."""
        if not isinstance(part, Mapping):
            return 1
        if id(part) in self._known:
            return self._known[id(part)]
        if depth > DEEPEST:
            raise _refused(t("engine.schema_too_deep", most=DEEPEST))
        self._known[id(part)] = 1  # what refers to itself is counted once

        def of(word: str) -> list[int]:
            listed = part.get(word)
            found = listed if isinstance(listed, list) else []
            return [self._alternatives(one, depth + 1) for one in found]

        found = 1
        for word in ("anyOf", "oneOf"):
            found *= sum(of(word)) or 1
        for ways in of("allOf"):
            found *= ways
        for word in ("enum", "type"):
            found *= len(part[word]) or 1 if isinstance(part.get(word), list) else 1
        found *= self._alternatives(self._target(part.get("$ref")), depth + 1)
        for pattern in _patterns(part):
            found *= _weight(pattern)
        found = max(found, _optional(part))
        self._known[id(part)] = min(found, MOST_ALTERNATIVES + 1)
        return self._known[id(part)]

    def _target(self, reference: object) -> object:
        """What a reference inside this schema points at."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found: object = self._schema
        for part in reference[1:].split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _patterns(part: Mapping[str, Any]) -> list[str]:
    of_names = part.get("patternProperties")
    found = [part.get("pattern"), *(of_names if isinstance(of_names, Mapping) else ())]
    return [one for one in found if isinstance(one, str)]


def _weight(pattern: str) -> int:
    """How many alternatives a regular expression is as slow as."""
    ways = cost(pattern).ways
    if ways > MOST_WAYS:
        raise _too_much(pattern)
    return max(1, ways * ways * MOST_ALTERNATIVES // MOST_WAYS**2)


def _optional(part: Mapping[str, Any]) -> int:
    named, required = part.get("properties"), part.get("required")
    if not isinstance(named, Mapping):
        return 1
    return len(set(named) - set(map(str, required if isinstance(required, list) else ())))


def _too_much(pattern: str) -> UsageError:
    return _refused(t("engine.schema_pattern", pattern=pattern[:60]))


def _refused(message: str) -> UsageError:
    return UsageError(message, t("engine.schema_hint"), param="response_format")
