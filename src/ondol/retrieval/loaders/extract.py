"""What a parser makes of a file's bytes, before it becomes a ``Document``."""

from __future__ import annotations

from dataclasses import dataclass

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.types import Page

MAX_CHARACTERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Extract:
    """Text, and what the file says about itself; ``title`` is empty when it says nothing."""

    text: str
    title: str = ""
    pages: tuple[Page, ...] = ()


def check_length(characters: int, name: str) -> None:
    """Raises ``DocumentError`` when a document has more text than is read from one file."""
    if characters > MAX_CHARACTERS:
        limit = f"{MAX_CHARACTERS:,}"
        raise DocumentError(t("documents.too_long", name=name, limit=limit))
