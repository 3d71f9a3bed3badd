"""A conversation, from wherever, to the drafts that its replies make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ondol.samples.records import Draft
from ondol.types import Message

HISTORY_LETTERS = 6000
"""What was said before the question, at most: a training cuts more than that anyway."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn. ``is_right`` is what was said of a reply, ``others`` are replies that stood beside
    it with what was said of them."""

    role: Literal["system", "user", "assistant"]
    text: str
    is_right: bool | None = None
    others: tuple[tuple[str, bool | None], ...] = ()


def drafts_of(conversation: str, turns: Iterable[Turn]) -> Iterator[Draft]:
    """A reply is what should be said, unless somebody said that it is wrong: then it is a thumb
    down. Beside one that was said to be right a wrong one makes a preference."""
    said: list[Message] = []
    for turn in joined(turns):
        if turn.role == "assistant" and said and said[-1].role == "user":
            prompt = recent(said)
            versions = [(turn.text, turn.is_right), *turn.others]
            yield from _of_versions(conversation, prompt, versions)
        said.append(Message(turn.role, turn.text))


def joined(turns: Iterable[Turn]) -> list[Turn]:
    """Turns of one role in a row, as some programs keep a reply with calls of tools in it, as one;
    those that say nothing are left out."""
    found: list[Turn] = []
    for turn in turns:
        if not turn.text.strip():
            continue
        if found and found[-1].role == turn.role:
            last = found.pop()
            is_right = last.is_right if turn.is_right is None else turn.is_right
            text = f"{last.text}\n\n{turn.text}"
            found.append(replace(turn, text=text, is_right=is_right))
        else:
            found.append(turn)
    return found


def recent(said: Sequence[Message]) -> tuple[Message, ...]:
    """The last of ``said`` whole, and of what came before it as much as may be, from a question on;
    what the system said stays."""
    system = [one for one in said if one.role == "system"][:1]
    rest = [one for one in said if one.role != "system"]
    kept, letters = rest[-1:], 0
    for one in reversed(rest[:-1]):
        letters += len(one.content)
        if letters > HISTORY_LETTERS:
            break
        kept.insert(0, one)
    while len(kept) > 1 and kept[0].role != "user":
        del kept[0]
    return (*system, *kept)


def _of_versions(
    conversation: str, prompt: tuple[Message, ...], versions: Sequence[tuple[str, bool | None]]
) -> Iterator[Draft]:
    right = [text for text, is_right in versions if is_right]
    wrong = [text for text, is_right in versions if is_right is False]
    if right and wrong:
        for chosen in right:
            for rejected in wrong:
                yield Draft("preference", conversation, prompt, chosen, rejected)
    elif wrong:
        for text in wrong:
            yield Draft("thumb", conversation, prompt, text, is_desirable=False)
    for text in right or [text for text, is_right in versions[:1] if is_right is None]:
        yield Draft("sft", conversation, prompt, text)
