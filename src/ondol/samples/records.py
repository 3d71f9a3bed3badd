"""What is kept of what a model may learn from: frozen records, and the JSON that the API gives.

Times are ISO 8601 in UTC, ids are opaque.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ondol.types import Message, Sensitivity

Kind = Literal["sft", "preference", "thumb"]
SourceKind = Literal["feedback", "chat_export", "writing", "file"]
Personal = Literal["keep", "skip", "redact"]

KINDS: tuple[Kind, ...] = ("sft", "preference", "thumb")
SOURCE_KINDS: tuple[SourceKind, ...] = ("feedback", "chat_export", "writing", "file")
PERSONAL: tuple[Personal, ...] = ("keep", "skip", "redact")
"""What may be done with personal data in a sample: it never leaves this machine in any case."""

REFUSALS = (
    "empty",
    "no_question",
    "no_difference",
    "too_long",
    "secret",
    "personal",
    "contradicts",
    "too_many_alike",
    "too_many",
)
"""Why a draft was not taken, in codes; ``samples.refused_CODE`` is the sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where samples are from, and since when the owner agrees to it. ``origin`` is a path or what
    else says where it was read; ``sensitivity`` is the label that its samples have at most;
    ``personal`` what happens to those with personal data."""

    id: str
    kind: SourceKind
    name: str
    origin: str
    sensitivity: Sensitivity
    consented_at: str
    personal: Personal = "keep"

    def json(self, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
        """As the API gives it; ``counts`` are of ``Samples.counts``."""
        found = counts or {}
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "sensitivity": self.sensitivity.name.lower(),
            "samples": {kind: found.get(kind, 0) for kind in (*KINDS, "held_out")},
        }


@dataclass(frozen=True, slots=True)
class Draft:
    """A sample that is not kept yet. ``conversation`` groups what must not be parted by the split;
    ``message`` is the kept answer that it comes from, if any. A preference has ``rejected``, a
    thumb ``is_desirable``; the last of ``messages`` is the owner's."""

    kind: Kind
    conversation: str
    messages: tuple[Message, ...]
    reply: str
    rejected: str | None = None
    is_desirable: bool | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One thing to learn from: ``reply`` is what should be said after ``messages`` (of a thumb:
    what was said), ``rejected`` what should not. ``language`` is an ISO 639 code, "und" where it
    cannot be told. What ``is_held_out`` is measured with and never learned from."""

    id: str
    source: str
    kind: Kind
    conversation: str
    messages: tuple[Message, ...]
    reply: str
    rejected: str | None
    is_desirable: bool | None
    language: str
    sensitivity: Sensitivity
    is_held_out: bool
    message: str | None = None
    added_at: str = ""

    def json(self) -> dict[str, Any]:
        """As the API and an export give it."""
        return {
            "id": self.id,
            "source": self.source,
            "kind": self.kind,
            "conversation": self.conversation,
            "message": self.message,
            "messages": [{"role": one.role, "content": one.content} for one in self.messages],
            "reply": self.reply,
            "rejected": self.rejected,
            "is_desirable": self.is_desirable,
            "language": self.language,
            "sensitivity": self.sensitivity.name.lower(),
            "is_held_out": self.is_held_out,
            "added_at": self.added_at,
        }


@dataclass(frozen=True, slots=True)
class Added:
    """What came of drafts: the ids of the new samples, how many were here already (word for word,
    or nearly), and how many were refused, by a code of ``REFUSALS``."""

    added: tuple[str, ...] = ()
    duplicates: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Erased:
    """What went: how many samples and sources. ``adapters`` are the digests of those that had
    learned from them; ``is_erased`` says that no byte is left in the database's files, else that is
    done when the library is opened next."""

    samples: int
    sources: int = 0
    adapters: frozenset[str] = frozenset()
    is_erased: bool = True
