"""Evidence and a question to the messages a model is given, and its ``[n]`` marks back to quotes.

The instructions come first and never change, so the engine's prompt cache keeps them; then earlier
turns, then the numbered sentences, and the question last.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ondol.types import Message, Quote

INSTRUCTIONS = (
    "Answer the question from the numbered sentences only. Answer briefly, in the language of the "
    "question, and cite the sentence you used like [1]."
)

MARKS = re.compile(r"\[(\d{1,3})\]")


def build_prompt(
    question: str, quotes: Sequence[Quote], history: Sequence[Message] = ()
) -> list[Message]:
    """The conversation to complete."""
    numbered = "\n".join(f"[{quote.number}] {_one_line(quote.text)}" for quote in quotes)
    return [
        Message("system", INSTRUCTIONS),
        *history,
        Message("user", f"{numbered}\n\nQuestion: {_one_line(question)}"),
    ]


def citations(text: str, quotes: Sequence[Quote]) -> tuple[int, ...]:
    """The numbers of the quotes that ``text`` cites, in order of first mention."""
    known = {quote.number for quote in quotes}
    mentioned = (int(number) for number in MARKS.findall(text))
    return tuple(dict.fromkeys(number for number in mentioned if number in known))


def _one_line(text: str) -> str:
    return " ".join(text.split())
