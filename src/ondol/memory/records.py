"""What is kept of the owner: frozen records, and the rules for their fields.

Times are ISO 8601 in UTC, ids are opaque. Raises ``UsageError`` for a value that cannot be.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import Sensitivity

KINDS = ("fact", "preference")
OWNER = "owner"
CHAT = "chat"
PROGRAM = "mcp:"
LONGEST_LETTERS = 2000
LONGEST_NAME = 60
LONGEST_PERSONA = 20_000


@dataclass(frozen=True, slots=True)
class Memory:
    """One thing to remember. ``source`` is who it comes from: "owner" for what was typed in,
    "chat:ID" for what the owner said in that conversation, "mcp:NAME" for a program that may add to
    it. ``versions`` is how many older texts it stands in the place of."""

    id: str
    kind: str
    text: str
    sensitivity: Sensitivity
    source: str
    created_at: str
    updated_at: str
    versions: int = 0

    @property
    def is_owners(self) -> bool:
        """Whether the owner said it, and no program."""
        return not self.source.startswith(PROGRAM)


@dataclass(frozen=True, slots=True)
class Version:
    """What a memory said before, until ``at``. No prompt ever gets it."""

    number: int
    text: str
    sensitivity: Sensitivity
    source: str
    at: str


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of something that was said: the ``memory``, whether it ``is_new``, and what it
    ``replaced``. Neither new nor replacing: it was known."""

    memory: Memory
    is_new: bool = True
    replaced: Version | None = None

    @property
    def deed(self) -> str:
        """``added``, ``replaced`` or ``known``."""
        return "replaced" if self.replaced else "added" if self.is_new else "known"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Something that Ondol would remember, if its owner says yes; nothing uses it before.
    ``replaces`` is the memory that it contradicts."""

    id: str
    kind: str
    text: str
    sensitivity: Sensitivity
    conversation: str | None
    message: str | None
    replaces: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A profile: a name, and the text that chats begin with where it is chosen."""

    name: str
    text: str
    is_chosen: bool
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class Erased:
    """How many memories went; ``is_erased`` says that no byte of them is left in the database's
    files, else that is done when the library is opened next."""

    memories: int
    is_erased: bool = True


@dataclass(frozen=True, slots=True)
class Imported:
    """How many memories and personas were taken in, and how many of both were here already."""

    memories: int
    personas: int
    known: int


@dataclass(frozen=True, slots=True)
class Everything:
    """All memories, each with its versions, and all personas."""

    memories: Sequence[tuple[Memory, Sequence[Version]]] = field(default=())
    personas: Sequence[Persona] = field(default=())


SELECT = (
    "SELECT id, kind, text, sensitivity, source, created_at, updated_at,"
    " (SELECT count(*) FROM memory_history h WHERE h.memory = memories.id) FROM memories"
)


def memory_of(row: Sequence[Any]) -> Memory:
    """The memory in a row of ``SELECT``."""
    id, kind, text, sensitivity, source, created_at, updated_at, versions = row
    level = Sensitivity(sensitivity)
    return Memory(id, kind, text, level, source, created_at, updated_at, versions)


def valid_text(text: str) -> str:
    """``text`` in one line, as it is kept."""
    text = " ".join(_plain(text).split())
    if not text:
        raise UsageError(t("memory.empty"), param="text")
    if len(text) > LONGEST_LETTERS:
        raise UsageError(t("memory.too_long", most=LONGEST_LETTERS), param="text")
    return text


def valid_kind(kind: str) -> str:
    if kind not in KINDS:
        raise UsageError(t("memory.bad_kind", kind=kind), param="kind")
    return kind


def valid_name(name: str) -> str:
    """A persona's name, in one line."""
    name = " ".join(_plain(name).split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable() or "/" in name:
        raise UsageError(t("memory.bad_name", most=LONGEST_NAME), param="name")
    return name


def valid_persona(text: str) -> str:
    """A persona's text, its lines as they are."""
    text = _plain(text).strip()
    if not text or len(text) > LONGEST_PERSONA:
        raise UsageError(t("memory.bad_persona", most=LONGEST_PERSONA), param="text")
    return text


def new_id() -> str:
    """An id that nobody can guess and no other row has."""
    return secrets.token_hex(8)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(text: str) -> str:
    """Lone surrogates are no text, and NUL ends it for some readers."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
