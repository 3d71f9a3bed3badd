"""What a parser makes of a file's bytes, before it becomes a ``Document``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ondol.errors import DocumentError
from ondol.i18n import t
from ondol.types import Page

MAX_CHARACTERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside a file. ``name`` is as the container writes it; ``size_bytes`` is what the
    container says; ``read`` gives the bytes, or raises ``DocumentError``."""

    name: str
    size_bytes: int
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Extract:
    """Text, and what the file says about itself; ``title`` is empty when it says nothing.

    ``members`` may be lazy: it is walked once, and whatever it raises concerns only what is left of
    it. ``unread`` are parts without bytes of their own (a page), each with the reason.
    """

    text: str
    title: str = ""
    pages: tuple[Page, ...] = ()
    members: Iterable[Member] = ()
    unread: tuple[tuple[str, str], ...] = ()


def check_length(characters: int, name: str) -> None:
    """Raises ``DocumentError`` when a document has more text than is read from one file."""
    if characters > MAX_CHARACTERS:
        limit = f"{MAX_CHARACTERS:,}"
        raise DocumentError(t("documents.too_long", name=name, limit=limit))
