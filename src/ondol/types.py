"""The vocabulary: frozen dataclasses and protocols that every package shares.

Knows only the standard library. Names are the field's standard terms (chunk, hit, logprob,
finish_reason). Everything above imports from here; nothing here imports from above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "cancelled"]
InputType = Literal["query", "document"]


class Sensitivity(IntEnum):
    """How far a text may travel. A prompt carries the minimum of everything that went into it."""

    PRIVATE = 0
    """Never leaves the device."""
    TRUSTED = 1
    """May go to a server the owner runs."""
    PUBLIC = 2


class Route(Enum):
    """Who answered."""

    LOCAL = "local"
    HOME = "home"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation, as OpenAI and Ollama chat clients send it."""

    role: Role
    content: str


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
    """

    hits: tuple[Hit, ...] = ()
    quotes: tuple[Quote, ...] = ()
    is_listing: bool = False

    @property
    def sensitivity(self) -> Sensitivity:
        """The strictest label of everything quoted (information-flow join)."""
        return min((q.sensitivity for q in self.quotes), default=Sensitivity.PUBLIC)


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token the model could have chosen, with its natural-log probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a completion cost. Times are seconds of wall clock."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    completion_seconds: float = 0.0
    total_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Token:
    """One step of a generation. The last one of every generation has ``finish_reason`` and
    ``usage`` set and may have an empty text; no other token has them. ``reasoning`` marks thinking
    that is not part of the answer."""

    text: str
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()
    reasoning: bool = False
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole generation, gathered from its tokens."""

    text: str
    tokens: tuple[Token, ...]
    finish_reason: FinishReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How to generate. ``None`` means the engine's (the model's) own default.

    ``logprobs`` is the number of alternatives per token (0: only the chosen token's own logprob);
    ``json_schema`` constrains the answer; ``logit_bias`` is added to the logits of a text's
    tokens; ``adapters`` maps an adapter's name to its scale: 1.0 is on, unnamed ones are off."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    logprobs: int | None = None
    logit_bias: Mapping[str, float] = field(default_factory=dict)
    adapters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Confidence:
    """The probability that an answer is right, with the signals it was computed from."""

    probability: float
    signals: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall-clock seconds of one answer, from the question's arrival."""

    retrieve: float
    first_token: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the owner gets: the quotes first, then what the model makes of them. ``citations`` are
    the numbers of the quotes that ``text`` cites, in order of first mention; ``model`` is empty
    when no model spoke."""

    text: str
    quotes: tuple[Quote, ...]
    citations: tuple[int, ...]
    confidence: Confidence | None
    route: Route
    reasons: tuple[str, ...]
    usage: Usage
    seconds: Seconds
    model: str = ""
    ledger_id: str | None = None


class Engine(Protocol):
    """Messages to tokens. Iteration may be stopped at any time by closing the iterator, which
    really stops the generation. Raises ``EngineError`` when the model process fails."""

    @property
    def model(self) -> str: ...

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        """Answer a conversation, formatted with the model's own chat template."""
        ...

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        """Continue a raw prompt; no template is applied."""
        ...

    def count_tokens(self, text: str) -> int:
        """The tokens of a plain text."""
        ...


class Embedder(Protocol):
    """Texts to unit vectors of ``dimensions`` float32 values, shape (len(texts), dimensions)."""

    @property
    def model(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]: ...


class Retriever(Protocol):
    """Question to passages, and question to evidence; ``where`` is a filter it knows itself."""

    def search(self, query: str, *, limit: int = 10, where: Any = None) -> list[Hit]: ...
    def evidence(
        self, question: str, *, where: Any = None, history: Sequence[Message] = ()
    ) -> Evidence:
        """The sentences that answer; ``history`` is what the question may point back at."""
        ...

    def listing(self, question: str, *, where: Any = None) -> Evidence:
        """Everything that the question asks for, each item quoted once."""
        ...

    def asks_for_all(self, question: str) -> bool: ...
    def follows_up(self, question: str) -> bool: ...


class Reranker(Protocol):
    """Reads a query with each text: one score a text, a higher one is better."""

    @property
    def model(self) -> str: ...

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]: ...
