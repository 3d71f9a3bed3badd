"""Where conversations are kept: a place whose connection knows what folded letters are."""

from __future__ import annotations

from ondol import place
from ondol.conversations.rows import folded
from ondol.database import Connection


class Place(place.Place):
    """A connection and the lock that guards it. Safe to use from several threads."""

    def prepare(self, connection: Connection) -> None:
        connection.create_function("holds", 2, _holds)


def _holds(text: str, word: str) -> bool:
    return word in folded(text)
