"""What is kept of a conversation: frozen records, and the JSON that the API and exports give.

Times are ISO 8601 in UTC, ids are opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Mode = Literal["documents", "chat"]
Role = Literal["user", "assistant"]
Status = Literal["done", "running", "stopped", "failed"]

REASONS = (
    "wrong",
    "not_in_documents",
    "incomplete",
    "too_long",
    "wrong_language",
    "style",
    "other",
)
"""What may be wrong with an answer, in codes."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that was dropped into a conversation. ``status`` is "reading", "ready" or "failed",
    with the ``reason`` in words; ``source`` is what the library calls it."""

    name: str
    size_bytes: int
    status: str
    reason: str = ""
    source: str = ""

    def json(self) -> dict[str, Any]:
        """Without where it lies."""
        return {name: value for name, value in asdict(self).items() if name != "source"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages. ``mode`` says whether questions are asked of the
    documents; ``filter`` which of them count, as a request says it; ``draft`` is what was typed and
    not sent, ``leaf`` the message that ends the branch which is shown; ``persona`` is that of this
    conversation, "" for whichever is chosen."""

    id: str
    title: str
    folder: str
    pinned: bool
    created_at: str
    updated_at: str
    model: str
    mode: Mode
    filter: Mapping[str, Any]
    wanted: str
    draft: str
    leaf: str | None
    persona: str = ""
    attachments: tuple[Attachment, ...] = ()

    def json(self, running: str | None = None) -> dict[str, Any]:
        """``running`` is the id of the run that gives an answer in it now."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        found["attachments"] = [one.json() for one in self.attachments]
        return {**found, "filter": dict(self.filter), "running": running}


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the owner said of an answer. ``right`` may be unknown; ``reasons`` are of ``REASONS``;
    ``edited`` is the answer as it should have been."""

    right: bool | None
    reasons: tuple[str, ...]
    edited: str | None
    at: str

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "reasons": list(self.reasons)}


@dataclass(frozen=True, slots=True)
class Message:
    """One message. ``parent`` is the one that it follows (``None``: it begins the conversation);
    ``siblings`` are the ids of all that follow the same one in the same role, itself included, in
    the order in which they were said. ``answer`` is what the API gave of an answer, ``error`` a
    ``{code, message, hint}``."""

    id: str
    conversation: str
    parent: str | None
    role: Role
    content: str
    created_at: str
    status: Status
    error: Mapping[str, str] | None = None
    answer: Mapping[str, Any] | None = None
    feedback: Feedback | None = None
    siblings: tuple[str, ...] = field(default=())

    def json(self) -> dict[str, Any]:
        found = {
            name: getattr(self, name)
            for name in self.__dataclass_fields__
            if name != "conversation"
        }
        found["feedback"] = self.feedback.json() if self.feedback else None
        return {**found, "siblings": list(self.siblings)}


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text of the owner's, kept under a name to be used again."""

    id: str
    name: str
    text: str
    created_at: str
    updated_at: str

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many conversations went; ``is_erased`` says that no byte of them is left in the
    database's files, else that is done when the library is opened next."""

    conversations: int
    is_erased: bool = True
