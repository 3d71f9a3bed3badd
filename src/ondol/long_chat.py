"""A chat that is longer than its model's context: what of the exchanges left out stays, in brief.

The oldest exchanges are folded, many at once, so that what is left begins alike for many turns and
the engine's prompt cache keeps it. Of what is folded a few sentences go along, word for word: what
was stated, and what the question at hand is about. Whoever labels a chat labels all of it, folded
or not: an excerpt is never freer than the strictest of what it was taken from. Nothing is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ondol.answering import about_tokens
from ondol.errors import ContextLengthError
from ondol.excerpts import Said, about, gist, sentences_of
from ondol.role_marks import harmless
from ondol.types import Engine, GenerateOptions, Message, Token

EARLIER = "Earlier in this conversation, in part:"
ABOUT_THIS = "Context, from earlier in this conversation:"
# Small models answer what looks like sentences and their question (benchmarks/long_chat).
ASKED = "Question: "
# What the user stated stands as it is; of others it is said who said it.
SPEAKERS = {"assistant": "You said: ", "tool": "A tool said: "}

# Shares of the context: excerpts of what was folded, sentences about the question, room to answer.
GIST_SHARE, ABOUT_SHARE, ANSWER_SHARE = 1 / 12, 1 / 24, 1 / 4
MOST_ANSWER_TOKENS = 512
# Marks around each message, on the high side, and steps in which the context is counted: so that
# the same exchanges stay folded from turn to turn.
MARKS_TOKENS, STEP_TOKENS, QUESTION_TOKENS = 8, 128, 128
# Once the exchanges do not fit, so much of the room is left to them.
KEPT_SHARE = 0.5

Exchange = list[Message]
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Folded:
    """A chat that was made to fit: its messages, and how many of the others are in excerpts."""

    messages: list[Message]
    num_folded: int


def folded(
    messages: Sequence[Message], limit_tokens: int, answer_tokens: int, count: Count
) -> Folded:
    """``messages`` within ``limit_tokens``, with room for the answer; as they are where there is no
    earlier exchange to fold."""
    system = [m for m in messages if m.role == "system"]
    exchanges = _exchanges([m for m in messages if m.role != "system"])
    *earlier, now = exchanges or [[]]
    share = {name: int(limit_tokens * part) for name, part in _SHARES.items()}
    room = limit_tokens - sum(share.values()) - answer_tokens - _size(system, count)
    # What is asked now is no part of this, so that the boundary does not move with it.
    usual = room - min(QUESTION_TOKENS, room // 4)
    boundary = _boundary([_size(one, count) for one in earlier], usual)
    while boundary < len(earlier) and room < _size(now, count) + sum(
        _size(one, count) for one in earlier[boundary:]
    ):
        boundary += 1
    if boundary == 0:
        return Folded(list(messages), 0)
    gone = [message for one in earlier[:boundary] for message in one]
    said = sentences_of(gone)
    # By an estimate on the high side: an engine is not asked about hundreds of sentences.
    brief = gist(said, share["gist"], about_tokens)
    question = next((m.content for m in now if m.role == "user"), "")
    # Also what the gist holds: a small model finds it beside the question, not far above it.
    found = about(said, question, share["about"], about_tokens)
    kept = [message for one in earlier[boundary:] for message in one]
    if not kept:
        found, brief = [], _in_order(said, [*brief, *found])
        return Folded([*system, *_with(now, ABOUT_THIS, brief)], len(gone))
    turns = [*_with(kept, EARLIER, brief), *_with(now, ABOUT_THIS, found)]
    return Folded([*system, *turns], len(gone))


_SHARES = {"gist": GIST_SHARE, "about": ABOUT_SHARE}


class LongChat:
    """The tokens of a reply to ``messages``, of which ``num_folded`` were folded so that they fit.
    Raises ``ContextLengthError`` where even the last exchange does not fit."""

    def __init__(
        self, engine: Engine, messages: Sequence[Message], options: GenerateOptions
    ) -> None:
        self.num_folded = 0
        self._engine, self._options, self._whole = engine, options, list(messages)
        self._limit: int | None = None
        self._begun = self._is_closed = False
        self._tokens = engine.generate(self._whole, options)

    def __iter__(self) -> Iterator[Token]:
        return self

    def __next__(self) -> Token:
        while True:
            try:
                token = next(self._tokens)
            except ContextLengthError as error:
                if self._begun or not self._fold(error.excess_tokens):
                    raise
            else:
                self._begun = True
                return token

    def meanwhile(self, work: Callable[[], None]) -> None:
        """Do ``work`` while the model is at work on its first word; perhaps never."""
        if (meanwhile := getattr(self._tokens, "meanwhile", None)) is not None:
            meanwhile(work)

    def close(self) -> None:
        """Stop the generation; any thread may."""
        self._is_closed = True
        tokens: Any = self._tokens
        tokens.close()

    def _fold(self, excess_tokens: int) -> bool:
        """Begin again with less; False where there is nothing left to fold."""
        count = _remembering(self._engine.count_tokens)
        excess_tokens = max(excess_tokens, 1)
        if self._limit is None:
            limit = _size(self._whole, count) - excess_tokens
            self._limit = limit // STEP_TOKENS * STEP_TOKENS if limit > STEP_TOKENS else limit
        else:
            # Tools, pictures or a template took more than was counted.
            self._limit -= max(excess_tokens, STEP_TOKENS)
        most = min(self._options.max_tokens or MOST_ANSWER_TOKENS, MOST_ANSWER_TOKENS)
        if self._limit <= 0:
            return False
        made = folded(self._whole, self._limit, min(most, int(self._limit * ANSWER_SHARE)), count)
        if not made.num_folded:
            return False
        self.num_folded = made.num_folded
        self._tokens = self._engine.generate(made.messages, self._options)
        if self._is_closed:
            self.close()  # whoever closed it while this was made closed the one before
        return True


def _boundary(sizes: Sequence[int], room: int) -> int:
    """How many of the exchanges of these sizes are folded: none until they do not fit, and then as
    many as leave half of the room; the same ones until it is full again."""
    first, held = 0, 0
    for index, size in enumerate(sizes):
        held += size
        if held > room:
            while first <= index and held > room * KEPT_SHARE:
                held -= sizes[first]
                first += 1
    return first


def _exchanges(messages: Sequence[Message]) -> list[Exchange]:
    """Each begins with what the user said, but for the first perhaps."""
    found: list[Exchange] = []
    for message in messages:
        if message.role == "user" or not found:
            found.append([])
        found[-1].append(message)
    return found


def _with(turns: Sequence[Message], title: str, said: Sequence[Said]) -> list[Message]:
    """``turns`` whose first message of the user's begins with what was ``said``. It stands among
    the user's words: whoever said it gets no more weight than a quote, least of all the system's.
    """
    place = next((n for n, m in enumerate(turns) if m.role == "user"), None)
    if not said or place is None:
        return list(turns)
    lines = [f"- {SPEAKERS.get(one.role, '')}{harmless(one.text)}" for one in said]
    block = "\n".join([title, *lines])
    asked = ASKED if title == ABOUT_THIS else ""
    first = replace(turns[place], content=f"{block}\n\n{asked}{turns[place].content}")
    return [*turns[:place], first, *turns[place + 1 :]]


def _in_order(said: Sequence[Said], some: Sequence[Said]) -> list[Said]:
    wanted = set(some)
    return [one for one in said if one in wanted]


def _size(messages: Sequence[Message], count: Count) -> int:
    return sum(count(message.content) + MARKS_TOKENS for message in messages)


def _remembering(count: Count) -> Count:
    known: dict[str, int] = {}

    def counted(text: str) -> int:
        if text not in known:
            known[text] = count(text)
        return known[text]

    return counted
