"""Personas: profiles under a name, of which one may be chosen. A chat begins with its text.

A conversation may have one of its own: its name, or ``NONE``. Raises ``PersonaNotFoundError``.
"""

from __future__ import annotations

from ondol import erasing
from ondol.database import Connection
from ondol.errors import PersonaNotFoundError, UsageError
from ondol.i18n import t
from ondol.memory import records
from ondol.memory.records import Persona, valid_name, valid_persona
from ondol.place import Place

# What a conversation says that wants none, whichever is chosen.
NONE = "none"
MOST = 200
_SELECT = "SELECT name, text, is_chosen, created_at, updated_at FROM personas"


class Personas:
    """All of them."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def all(self) -> list[Persona]:
        """By name."""
        with self._place.reading() as connection:
            rows = connection.execute(f"{_SELECT} ORDER BY name").fetchall()
        return [Persona(name, text, bool(chosen), *at) for name, text, chosen, *at in rows]

    def get(self, name: str) -> Persona:
        with self._place.reading() as connection:
            return _find(connection, name)

    def text_for(self, wanted: str = "") -> str:
        """What a chat begins with whose conversation wants the persona ``wanted``: its text, that
        of the chosen one for "", or nothing. One that is gone by now is like "" ."""
        if wanted == NONE:
            return ""
        found = self.all()
        own = next((one for one in found if one.name == wanted), None)
        chosen = next((one for one in found if one.is_chosen), None)
        return (own or chosen).text if own or chosen else ""  # type: ignore[union-attr]

    def put(self, name: str, text: str) -> Persona:
        """Keep ``text`` under ``name``; an older text of that name is erased."""
        name, text = valid_name(name), valid_persona(text)
        if name.casefold() == NONE:
            raise UsageError(t("memory.bad_name", most=records.LONGEST_NAME), param="name")
        now = records.now()
        with self._place.reading():
            with self._place.writing() as connection:
                before = connection.execute(
                    "SELECT text FROM personas WHERE name = ?", [name]
                ).fetchone()
                (count,) = connection.execute("SELECT count(*) FROM personas").fetchone()
                if before is None and count >= MOST:
                    raise UsageError(t("memory.too_many_personas", most=MOST), param="name")
                connection.execute(
                    "INSERT INTO personas (name, text, created_at, updated_at) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT DO UPDATE SET text = excluded.text,"
                    " updated_at = excluded.updated_at",
                    [name, text, now, now],
                )
                if before is not None and before[0] != text:
                    erasing.begin(connection)
            if before is not None and before[0] != text:
                self._place.erase()
            return self.get(name)

    def choose(self, name: str | None) -> None:
        """Have chats begin with ``name`` from now on, or with none."""
        with self._place.writing() as connection:
            if name is not None:
                name = _find(connection, name).name
            connection.execute("UPDATE personas SET is_chosen = 0 WHERE is_chosen")
            connection.execute("UPDATE personas SET is_chosen = 1 WHERE name = ?", [name])

    def remove(self, name: str) -> bool:
        """Erase a persona; whether no byte of it is left."""
        with self._place.reading():
            with self._place.writing() as connection:
                connection.execute(
                    "DELETE FROM personas WHERE name = ?", [_find(connection, name).name]
                )
                erasing.begin(connection)
            return self._place.erase()


def _find(connection: Connection, name: str) -> Persona:
    row = connection.execute(f"{_SELECT} WHERE name = ?", [name]).fetchone()
    if row is None:
        raise PersonaNotFoundError(t("memory.no_persona", name=name), t("memory.no_persona_hint"))
    found, text, chosen, created_at, updated_at = row
    return Persona(found, text, bool(chosen), created_at, updated_at)
