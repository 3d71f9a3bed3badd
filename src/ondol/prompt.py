"""Evidence and a question to the messages a model is given, and its ``[n]`` marks back to quotes.

The instructions come first and never change, so the engine's prompt cache keeps them; then earlier
turns, then the numbered sentences, and the question last.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile

from ondol.role_marks import harmless
from ondol.types import Message, Quote

MARKS = re.compile(r"\[(\d{1,3})\]")

NOT_IN_DOCUMENTS = {"en": "Not in these documents.", "ko": "이 문서들에는 없습니다."}
"""What an adapter is taught to say when the sentences do not hold the answer."""

ABSTENTION_OPENS = "Not"
"""The first token of the English one. Biasing the Korean one's, a common syllable, would harm
answers."""


@dataclass(frozen=True, slots=True)
class Template:
    """How sentences and question are laid out.

    ``question_first`` says the question before the sentences too: a model that reads from left to
    right then knows what to look for while it reads them.
    """

    instructions: str
    question_first: bool = False

    def digest(self, chat_template: str) -> str:
        """Names this layout inside a model's chat template, so that an adapter can say what it was
        trained with."""
        layout = json.dumps([asdict(self), NOT_IN_DOCUMENTS, chat_template], ensure_ascii=False)
        return f"sha256:{hashlib.sha256(layout.encode()).hexdigest()}"


PLAIN = Template(
    "Answer the question from the numbered sentences only. Answer briefly, in the language of the "
    "question, and cite the sentence you used like [1]."
)
GROUNDING = Template("Answer from the numbered sentences.", question_first=True)
"""For a model whose adapter has learned what to do: less to read at every question."""

GROUNDING_QUOTES = 3
"""How many of the best sentences such a model is given at most, in training as in answering. Of the
gold answers on XQuAD two hold 91 %, three 93 %, all that the evidence budget allows 94 %, and each
costs time before the first word."""

GROUNDING_MARGIN = 0.4
"""... and of these only those that score within this of the best: where one sentence stands out,
the others seldom hold the answer. Holds 92 % of the gold answers on XQuAD, with a quarter less to
read than three always."""

REWRITING = (
    "Rewrite the last question of the conversation so that it can be understood alone, in its own "
    "language. Write nothing but the question."
)


def best_quotes(
    quotes: Sequence[Quote], most: int | None = None, margin: float | None = None
) -> tuple[Quote, ...]:
    """The first of ``quotes`` (best first), at most ``most``, before one that scores more than
    ``margin`` less than the best. None: no such bound."""
    if margin is None or not quotes:
        return tuple(quotes[:most])
    near = takewhile(lambda quote: quote.score >= quotes[0].score - margin, quotes[:most])
    return tuple(near)


def build_prompt(
    question: str,
    quotes: Sequence[Quote],
    history: Sequence[Message] = (),
    template: Template = PLAIN,
) -> list[Message]:
    """The conversation to complete."""
    asked = _one_line(question)
    numbered = "\n".join(f"[{quote.number}] {_one_line(harmless(quote.text))}" for quote in quotes)
    first = f"{asked}\n\n" if template.question_first else ""
    return [
        Message("system", template.instructions),
        *history,
        Message("user", f"{first}{numbered}\n\nQuestion: {asked}"),
    ]


def build_rewriting_prompt(question: str, history: Sequence[Message]) -> list[Message]:
    """The conversation to complete with ``question`` in words that need no conversation."""
    said = "\n".join(f"{message.role}: {_one_line(message.content)}" for message in history[-4:])
    return [
        Message("system", REWRITING),
        Message("user", f"{said}\n\nLast question: {_one_line(question)}"),
    ]


def is_grounded(messages: Sequence[Message]) -> bool:
    """Whether ``messages`` were laid out here: a question with its sentences, or one to be made to
    stand alone."""
    ours = (PLAIN.instructions, GROUNDING.instructions, REWRITING)
    return bool(messages) and messages[0].role == "system" and messages[0].content in ours


def abstains(text: str) -> bool:
    """Whether a reply says that the sentences do not hold the answer, in whatever letters: a small
    model begins it with a small one now and then."""
    said = text.strip().casefold()
    told = (sentence.rstrip(".").casefold() for sentence in NOT_IN_DOCUMENTS.values())
    return any(map(said.startswith, told))


def citations(text: str, quotes: Sequence[Quote]) -> tuple[int, ...]:
    """The numbers of the quotes that ``text`` cites, in order of first mention."""
    known = {quote.number for quote in quotes}
    mentioned = (int(number) for number in MARKS.findall(text))
    return tuple(dict.fromkeys(number for number in mentioned if number in known))


def _one_line(text: str) -> str:
    return " ".join(text.split())
