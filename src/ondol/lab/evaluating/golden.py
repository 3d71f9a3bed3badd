"""The owner's golden questions: those whose answer they judged, from thumbs and edits, asked again.

An answer that they liked or put right says what a reply should be near to; one that they disliked
what it must not repeat. How near two texts are is SQuAD's F1 (in Korean KorQuAD's), so anybody can
check a score. Quoted sentences stand before their question as they did then: what is measured is
the model, not what was forgotten or added since.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

from ondol.conversations.quoting import TAKEN_OUT
from ondol.conversations.records import Message as Answer
from ondol.lab.evaluating.items import Item, Said
from ondol.parts import Parts
from ondol.prompt import GROUNDING_QUOTES, MARKS
from ondol.training.conduct import hangul_share
from ondol.training.evaluation import f1, holds
from ondol.types import Message, Quote, Sensitivity

AGREES = 0.5
"""F1 from which a reply says what the owner wanted."""
REPEATS = 0.8
"""F1 from which it says again what the owner disliked."""
MOST = 200
"""Questions that are asked, the latest opinions first."""
MOST_HISTORY = 6
"""Turns before the question that are told again."""
SHORT_WORDS = 4
"""A wanted answer of so few words need only stand in the reply."""


def items(parts: Parts, unseen_by: Collection[str] = ()) -> tuple[list[Item], int]:
    """The golden questions, the latest opinion first, and how many were left out: those that an
    adapter with one of the digests ``unseen_by`` has learned from."""
    conversations = parts.kept.conversations
    learned = _learned(parts, unseen_by)
    found, left_out = [], 0
    for one in conversations.opinions.all():
        wanted, unwanted = _opinion(one)
        if not (wanted or unwanted) or one.parent is None:
            continue
        path = conversations.turns.path(one.conversation, one.parent)
        made = _item(path, one, wanted, unwanted)
        if made is None:
            continue
        if one.id in learned:
            left_out += 1
            continue
        found.append(made)
        if len(found) == MOST:
            break
    return found, left_out


def agrees(wanted: str, unwanted: str, language: str, said: Said) -> bool:
    """Whether a reply is as the owner ``wanted``, and not what was ``unwanted``; either may be
    empty."""
    reply = _bare(said.text)
    if not reply:
        return False
    far = f1(reply, [unwanted], language) if unwanted else 0.0
    if not wanted:
        return far < REPEATS
    near = f1(reply, [wanted], language)
    is_short = len(wanted.split()) <= SHORT_WORDS and holds(reply, [wanted.rstrip(".!?。")])
    return (near >= AGREES or is_short) and (is_short or near > far)


def _opinion(one: Answer) -> tuple[str, str]:
    """What the owner wanted in the place of ``one``, and what not."""
    if one.feedback is None:
        return "", ""
    said, edited = _bare(one.content), _bare(one.feedback.edited or "")
    if edited:
        return edited, said if said.split() != edited.split() else ""
    if one.feedback.right is None:
        return "", ""
    return (said, "") if one.feedback.right else ("", said)


def _item(path: Sequence[Answer], one: Answer, wanted: str, unwanted: str) -> Item | None:
    if not path or path[-1].role != "user":
        return None
    history = [Message(turn.role, _kept(turn)) for turn in path[:-1]][-MOST_HISTORY:]
    messages = (*history, Message("user", path[-1].content))
    texts = [*(message.content for message in messages), wanted, unwanted]
    quotes = _quotes(one.answer or {})
    was_cited = bool(MARKS.search(one.content))
    if any(TAKEN_OUT in text for text in texts) or (was_cited and not quotes):
        return None  # of what it was about, something was forgotten
    language = "ko" if hangul_share(wanted or unwanted) > 0 else "en"
    rule = partial(agrees, wanted, unwanted, language)
    return Item(one.id, messages, rule, language, one.conversation, quotes=quotes)


def _kept(turn: Answer) -> str:
    edited = turn.feedback.edited if turn.feedback else None
    return (edited or "").strip() or turn.content


def _quotes(answer: Mapping[str, Any]) -> tuple[Quote, ...]:
    given = answer.get("quotes")
    if not isinstance(given, list):
        return ()
    return tuple(
        Quote(
            int(one["number"]), str(one["text"]), str(one["source"]), 0, 0, 0.0,
            sensitivity=Sensitivity.PRIVATE,
        )
        for one in given[:GROUNDING_QUOTES]
    )  # fmt: skip


def _learned(parts: Parts, adapters: Collection[str]) -> set[str]:
    """The answers that these adapters have learned from."""
    samples = parts.kept.samples
    taught = {id for digest in adapters for id in samples.learned_by(digest)}
    if not taught:
        return set()
    return {one.message for one in samples.all() if one.id in taught and one.message}


def _bare(text: str) -> str:
    return MARKS.sub("", text).strip()
