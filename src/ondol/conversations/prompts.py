"""The owner's own prompts: texts under a name, to be used again."""

from __future__ import annotations

from ondol import erasing
from ondol.conversations import rows
from ondol.conversations.place import Place
from ondol.conversations.records import Prompt
from ondol.database import Connection
from ondol.errors import PromptNotFoundError, UsageError
from ondol.i18n import t

LONGEST_NAME = 100
LONGEST_TEXT = 20_000
MOST = 1_000


class Prompts:
    """All of them."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def all(self) -> list[Prompt]:
        """By name."""
        with self._place.reading() as connection:
            found = connection.execute("SELECT * FROM prompts ORDER BY name").fetchall()
        return [Prompt(*row) for row in found]

    def add(self, name: str, text: str) -> Prompt:
        """Keep ``text`` under ``name``, which no other one has."""
        with self._place.writing() as connection:
            return insert(connection, name, text)

    def change(self, id: str, name: str | None = None, text: str | None = None) -> Prompt:
        """Change what is given; an old text is erased."""
        with self._place.writing() as connection:
            before = _find(connection, id)
            after = Prompt(
                id,
                before.name if name is None else _valid_name(name),
                before.text if text is None else _valid_text(text),
                before.created_at,
                rows.now(),
            )
            if after.name != before.name:
                _refuse_taken(connection, after.name)
            connection.execute(
                "UPDATE prompts SET name = ?, text = ?, updated_at = ? WHERE id = ?",
                (after.name, after.text, after.updated_at, id),
            )
            if after.text != before.text:
                erasing.begin(connection)
        if after.text != before.text:
            self._place.erase()
        return after

    def remove(self, id: str) -> bool:
        """Erase a prompt; whether no byte of it is left."""
        with self._place.writing() as connection:
            _find(connection, id)
            connection.execute("DELETE FROM prompts WHERE id = ?", (id,))
            erasing.begin(connection)
        return self._place.erase()


def insert(connection: Connection, name: str, text: str) -> Prompt:
    """Keep a prompt inside the caller's transaction."""
    now = rows.now()
    made = Prompt(rows.new_id(), _valid_name(name), _valid_text(text), now, now)
    _refuse_taken(connection, made.name)
    (count,) = connection.execute("SELECT count(*) FROM prompts").fetchone()
    if count >= MOST:
        raise UsageError(t("conversations.too_many_prompts", most=MOST), param="name")
    connection.execute(
        "INSERT INTO prompts VALUES (?, ?, ?, ?, ?)", (made.id, made.name, made.text, now, now)
    )
    return made


def _find(connection: Connection, id: str) -> Prompt:
    row = connection.execute("SELECT * FROM prompts WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise PromptNotFoundError(t("conversations.no_prompt"))
    return Prompt(*row)


def _refuse_taken(connection: Connection, name: str) -> None:
    if connection.execute("SELECT 1 FROM prompts WHERE name = ?", (name,)).fetchone():
        raise UsageError(t("conversations.prompt_taken", name=name), param="name")


def _valid_name(name: str) -> str:
    found = " ".join(rows.plain(name).split())
    if not found or len(found) > LONGEST_NAME or not found.isprintable():
        raise UsageError(t("conversations.bad_name", most=LONGEST_NAME), param="name")
    return found


def _valid_text(text: str) -> str:
    found = rows.plain(text)
    if not found.strip() or len(found) > LONGEST_TEXT:
        raise UsageError(t("conversations.bad_text", most=LONGEST_TEXT), param="text")
    return found
