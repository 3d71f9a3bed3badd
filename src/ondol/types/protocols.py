"""What the parts of the house can do, whoever does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ondol.types.answers import Answer, Confidence, Decision, Label, Support
from ondol.types.generation import Completion, GenerateOptions, Token
from ondol.types.texts import Evidence, Hit, InputType, Message, Quote, Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


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


Task = Literal["grounded", "chat"]
Wanted = Literal["auto", "here", "home"]


class Judge(Protocol):
    """How sure a model may be of what it said."""

    def judge(
        self,
        question: str,
        evidence: Evidence,
        given: Sequence[Quote],
        completion: Completion,
        *,
        model: str,
        task: Task = "grounded",
    ) -> Confidence:
        """``given`` are the quotes the model saw; ``model`` is who spoke, its adapter included."""
        ...

    def support(self, text: str, given: Sequence[Quote]) -> tuple[Support, ...]:
        """Each sentence of an answer with the quote that supports it."""
        ...


class Labeller(Protocol):
    """How far what goes into a prompt may travel."""

    def label(self, question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        """The strictest of everything that goes in."""
        ...

    def remember(self, text: str, sensitivity: Sensitivity) -> None:
        """An answer that was given: later turns that hold it travel no further."""
        ...

    def hear(self, text: str, sensitivity: Sensitivity) -> Heard | None:
        """The same, known in this process at once, and to be written down with the answer."""
        ...

    def stamp(self) -> object:
        """As long as it stays what it is, so does every label."""
        ...


Along = Callable[[Any, str], object]
"""What is written in the transaction of an entry of the ledger: its connection, the entry's id."""


class Heard(Protocol):
    """What was said and is not written down yet."""

    def write(self, connection: Any, id: str) -> None:
        """Write it down, in the transaction of ``connection``."""
        ...

    def done(self) -> None:
        """It is written down."""
        ...

    def fail(self) -> None:
        """It cannot be written down: what is not private is unknown again."""
        ...


class Policy(Protocol):
    """Who answers."""

    def choose(
        self,
        confidence: Confidence | None,
        label: Label,
        home: Callable[[], HomeState | None],
        *,
        wanted: Wanted = "auto",
        task: Task = "grounded",
        answered: bool = True,
        prompt_tokens: int = 0,
    ) -> Decision:
        """``answered``: whether the device's model gave an answer at all; ``prompt_tokens``: about
        how much home would have to read. ``home`` asks
        for the state of the home that would be asked (``None``: none is enrolled), and is called
        only where it matters. Never raises: what cannot be decided stays here."""
        ...


@dataclass(frozen=True, slots=True)
class HomeState:
    """What is known of a home before it is asked. ``wait_seconds`` is its queue,
    ``answer_seconds`` how long its answers take."""

    name: str
    model: str
    available: bool
    reason: str = ""
    wait_seconds: float = 0.0
    answer_seconds: float | None = None
    num_ctx: int | None = None
    joules_per_token: float | None = None


class Home(Protocol):
    """The bigger models of the owner's own servers."""

    def state(self) -> HomeState | None:
        """The home that would be asked now; ``None`` where none is enrolled."""
        ...

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        """Raises ``EgressError`` for what may not travel, ``HomeError`` where home fails."""
        ...


class Recording(Protocol):
    """One answer while it is being given: what it takes is measured from the start."""

    def finish(
        self, answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        """``answer`` with its ``ledger_id`` and cost, once it stands in the ledger, and ``along``
        is written with it."""
        ...


class Recorder(Protocol):
    """Writes down what happened."""

    def start(self, task: Task) -> Recording: ...
