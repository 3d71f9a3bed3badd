"""All that is remembered in one form, to be taken along: memories with their versions, personas.

What comes in adds to what is here and replaces nothing: a file may be older than that. Raises
``UsageError`` for a file that is none, before anything of it is taken in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.memory import records
from ondol.memory.history import versions_of
from ondol.memory.personas import NONE, Personas
from ondol.memory.records import (
    OWNER,
    SELECT,
    Everything,
    Imported,
    Memory,
    Persona,
    Version,
    memory_of,
    valid_kind,
    valid_name,
    valid_persona,
    valid_text,
)
from ondol.place import Place
from ondol.types import Sensitivity

_ID = re.compile(r"[0-9a-f]{16}")
_SOURCE = re.compile(r"owner|chat|chat:[0-9a-f]{1,32}|mcp:[^\n]{1,100}")


class Carrying:
    """Takes everything out, and takes in what came from elsewhere; ``most`` memories can be."""

    def __init__(self, place: Place, personas: Personas, most: Callable[[], int]) -> None:
        self._place = place
        self._personas = personas
        self._most = most

    def everything(self) -> Everything:
        """The latest memory first, and its latest version."""
        with self._place.reading() as connection:
            rows = connection.execute(f"{SELECT} ORDER BY created_at DESC, rowid DESC").fetchall()
            memories = [memory_of(row) for row in rows]
            found = [(one, versions_of(connection, one.id)) for one in memories]
        return Everything(found, self._personas.all())

    def take_in(self, data: Any) -> Imported:
        """What ``as_json`` wrote; all of it or nothing."""
        given = from_json(data)
        taken = personas = 0
        with self._place.writing() as connection:
            known = {row[0]: row[1] for row in connection.execute("SELECT id, text FROM memories")}
            texts = set(known.values())
            # Backwards: the latest one is to be the latest here too.
            for memory, versions in reversed(given.memories):
                if memory.id in known or memory.text in texts:
                    continue
                connection.execute(
                    "INSERT INTO memories VALUES (?, ?, ?, ?, ?, ?, ?)",
                    [
                        *(memory.id, memory.kind, memory.text, int(memory.sensitivity)),
                        *(memory.source, memory.created_at, memory.updated_at),
                    ],
                )
                connection.executemany(
                    "INSERT INTO memory_history (memory, text, sensitivity, source, at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    [
                        [memory.id, one.text, int(one.sensitivity), one.source, one.at]
                        for one in reversed(versions)
                    ],
                )
                known[memory.id] = memory.text
                texts.add(memory.text)
                taken += 1
            if len(known) > self._most():
                raise UsageError(t("memory.too_many", most=self._most()), param="memories")
            for persona in given.personas:
                cursor = connection.execute(
                    "INSERT OR IGNORE INTO personas (name, text, created_at, updated_at)"
                    " VALUES (?, ?, ?, ?)",
                    [persona.name, persona.text, persona.created_at, persona.updated_at],
                )
                personas += cursor.rowcount
        count = len(given.memories) + len(given.personas)
        return Imported(taken, personas, count - taken - personas)


def as_json(everything: Everything) -> dict[str, Any]:
    """The form of exports and imports; sensitivities are words."""
    return {
        "memories": [
            {
                **{name: value for name, value in _plain(memory).items() if name != "versions"},
                "history": [_plain(one) for one in versions],
            }
            for memory, versions in everything.memories
        ],
        "personas": [_plain(one) for one in everything.personas],
    }


def from_json(data: Any) -> Everything:
    """What ``as_json`` wrote; what is not said is as for a memory that is typed in."""
    if not isinstance(data, Mapping) or not any(name in data for name in ("memories", "personas")):
        raise UsageError(t("memory.bad_file"), t("memory.bad_file_hint"), param="memories")
    memories = [
        (_memory(one), [_version(old) for old in _list(one, "history")])
        for one in _list(data, "memories")
    ]
    return Everything(memories, [_persona(one) for one in _list(data, "personas")])


def _plain(record: Any) -> dict[str, Any]:
    return {
        name: value.name.lower() if isinstance(value, Sensitivity) else value
        for name, value in asdict(record).items()
    }


def _memory(one: Mapping[str, Any]) -> Memory:
    now = records.now()
    created_at = _time(one, "created_at", now)
    id = one.get("id")
    return Memory(
        id if isinstance(id, str) and _ID.fullmatch(id) else records.new_id(),
        valid_kind(_text(one, "kind", records.KINDS[0])),
        valid_text(_text(one, "text")),
        _level(one),
        _source(one),
        created_at,
        _time(one, "updated_at", created_at),
    )


def _version(one: Mapping[str, Any]) -> Version:
    at = _time(one, "at", records.now())
    return Version(0, valid_text(_text(one, "text")), _level(one), _source(one), at)


def _persona(one: Mapping[str, Any]) -> Persona:
    created_at = _time(one, "created_at", records.now())
    name = valid_name(_text(one, "name"))
    if name.casefold() == NONE:
        raise UsageError(t("memory.bad_name", most=records.LONGEST_NAME), param="name")
    updated_at = _time(one, "updated_at", created_at)
    return Persona(name, valid_persona(_text(one, "text")), False, created_at, updated_at)


def _list(data: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = data.get(name) or []
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        raise UsageError(t("memory.bad_file"), t("memory.bad_file_hint"), param=name)
    return found


def _text(one: Mapping[str, Any], name: str, otherwise: str = "") -> str:
    value = one.get(name, otherwise)
    if not isinstance(value, str):
        raise UsageError(t("memory.bad_file"), t("memory.bad_file_hint"), param=name)
    return value


def _level(one: Mapping[str, Any]) -> Sensitivity:
    """What cannot be read is private."""
    word = str(one.get("sensitivity") or "private").upper()
    return Sensitivity[word] if word in Sensitivity.__members__ else Sensitivity.PRIVATE


def _source(one: Mapping[str, Any]) -> str:
    source = one.get("source")
    return source if isinstance(source, str) and _SOURCE.fullmatch(source) else OWNER


def _time(one: Mapping[str, Any], name: str, otherwise: str) -> str:
    value = one.get(name)
    try:
        given = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        given = None
    return given.isoformat(timespec="seconds") if given and given.tzinfo else otherwise
