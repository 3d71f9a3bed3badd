"""Texts and where they come from: messages, documents, chunks, hits, quotes; who may see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from ondol.types.generation import ToolCall

Role = Literal["system", "user", "assistant", "tool"]
InputType = Literal["query", "document"]


class Sensitivity(IntEnum):
    """How far a text may travel. A prompt carries the minimum of everything that went into it."""

    PRIVATE = 0
    """Never leaves the device."""
    TRUSTED = 1
    """May go to a server the owner runs."""
    PUBLIC = 2


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, as OpenAI and Ollama chat clients send it. An assistant's turn
    may hold the ``tool_calls`` it made and the ``reasoning`` before them; a tool's has the
    ``tool_call_id`` or ``tool_name`` of the call it answers. ``images`` are whole files (PNG, JPEG,
    …)."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    tool_name: str = ""
    images: tuple[bytes, ...] = ()
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page of a paginated source begins, as a character offset into the document text."""

    number: int
    start: int


@dataclass(frozen=True, slots=True)
class Document:
    """One source, read: ``text`` is what chunks, quotes and offsets point into (the file's own
    decoded text for plain-text formats, else the extracted text). ``members`` are the documents in
    a container, all levels in one row; ``skipped`` the sources that could not be read, and why.
    ``sensitivity`` is its own limit, under that of its collection."""

    source: str
    text: str
    media_type: str
    title: str = ""
    pages: tuple[Page, ...] = ()
    content_hash: str = ""
    collection: str = "default"
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    members: tuple[Document, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage of a document: ``document.text[start:end] == text``."""

    text: str
    start: int
    end: int
    source: str = ""
    id: int = 0
    page: int | None = None
    heading: str = ""
    collection: str = "default"
    sensitivity: Sensitivity = Sensitivity.PRIVATE


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk found by a search; ``rank`` counts from 1, a higher ``score`` is better. ``also_in``
    are the sources of its copies, here and in a quote."""

    chunk: Chunk
    score: float
    rank: int
    also_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a document that supports an answer: ``document.text[start:end] == text``.
    ``number`` is the n of the ``[n]`` that cites it; it counts from 1."""

    number: int
    text: str
    source: str
    start: int
    end: int
    score: float
    page: int | None = None
    sensitivity: Sensitivity = Sensitivity.PRIVATE
    also_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What retrieval found for a question. ``hits`` are the passages that the quotes come from.

    ``quotes`` are ranked sentences, best first, within the token budget; empty when nothing in the
    library is relevant. With ``is_listing`` they are all that match, document by document.
    ``on_topic`` are the numbers of those that speak of what an open request is about ("tell me
    about the boiler"), the first ones: each answers it. Empty for any other question.
    """

    hits: tuple[Hit, ...] = ()
    quotes: tuple[Quote, ...] = ()
    is_listing: bool = False
    on_topic: tuple[int, ...] = ()

    @property
    def sensitivity(self) -> Sensitivity:
        """The strictest label of everything quoted (information-flow join)."""
        return min((q.sensitivity for q in self.quotes), default=Sensitivity.PUBLIC)
