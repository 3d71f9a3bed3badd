"""Samples are what the owner said of answers: no more, no less, and nothing before a yes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondol import paths
from ondol.config import load
from ondol.conversations.records import Message as Answer
from ondol.parts import Parts
from ondol.personal.collecting import (
    agree,
    collect,
    conversations_gone,
    documents_gone,
    source_of,
)
from ondol.samples.records import Sample
from ondol.types import Message

QUESTION = "Who waters the ferns?"
STIFF = "It is not known to me who waters the ferns."
WARM = "Mina does, on Mondays and on Thursdays. Cheers!"


@pytest.fixture
def parts(home: Path) -> Iterator[Parts]:
    with Parts(load()) as made:
        yield made


def answered(parts: Parts, reply: str, *, question: str = QUESTION, **how: Any) -> Answer:
    """A new conversation of one answer."""
    turns = parts.kept.conversations.turns
    _, answer = turns.ask(parts.kept.conversations.create().id, question, None)
    turns.save(answer.id, reply, status="done", **how)
    return parts.kept.conversations.opinions.message(answer.id)


def again(parts: Parts, answer: Answer, reply: str) -> Answer:
    """Another version of an answer."""
    turns = parts.kept.conversations.turns
    _, other = turns.regenerate(answer.conversation, answer.id)
    turns.save(other.id, reply, status="done")
    return parts.kept.conversations.opinions.message(other.id)


def said(parts: Parts, answer: Answer, right: bool | None, edited: str | None = None) -> None:
    parts.kept.conversations.opinions.give(answer.id, right, (), edited)


def samples(parts: Parts) -> list[tuple[str, str, str | None]]:
    found = [(one.kind, one.reply, one.rejected) for one in parts.kept.samples.all()]
    return sorted(found, key=str)


def test_nothing_is_collected_before_the_owner_agrees(parts: Parts) -> None:
    said(parts, answered(parts, WARM), True)
    assert collect(parts).added.added == () and source_of(parts) is None
    agree(parts)
    assert len(collect(parts).added.added) == 1


def test_a_thumb_up_is_a_reply_and_a_thumb_down_alone_a_thumb(parts: Parts) -> None:
    agree(parts)
    said(parts, answered(parts, WARM), True)
    said(parts, answered(parts, STIFF, question="And the moss?"), False)
    said(parts, answered(parts, "Nobody said anything of it."), None)
    collect(parts)
    assert samples(parts) == [("sft", WARM, None), ("thumb", STIFF, None)]
    (down,) = parts.kept.samples.all(kind="thumb")
    assert down.is_desirable is False and down.messages == (Message("user", "And the moss?"),)


def test_an_edit_is_a_reply_and_preferred_over_what_it_replaced(parts: Parts) -> None:
    agree(parts)
    said(parts, answered(parts, STIFF), False, WARM)
    collect(parts)
    assert samples(parts) == [("preference", WARM, STIFF), ("sft", WARM, None)]
    assert len({one.message for one in parts.kept.samples.all()}) == 1


def test_of_two_versions_the_liked_one_is_preferred(parts: Parts) -> None:
    agree(parts)
    first = answered(parts, STIFF)
    said(parts, first, False)
    said(parts, again(parts, first, WARM), True)
    collect(parts)
    assert samples(parts) == [("preference", WARM, STIFF), ("sft", WARM, None)]


def test_the_prompt_is_the_conversation_as_its_owner_put_it_right(parts: Parts) -> None:
    agree(parts)
    first = answered(parts, STIFF)
    said(parts, first, None, WARM)
    turns = parts.kept.conversations.turns
    _, second = turns.ask(first.conversation, "And the moss?", first.id)
    turns.save(second.id, "Rain does that. Cheers!", status="done")
    said(parts, second, True)
    collect(parts)
    (one,) = [s for s in parts.kept.samples.all() if s.message == second.id]
    assert [m.content for m in one.messages] == [QUESTION, WARM, "And the moss?"]


def test_what_an_answer_quoted_stands_before_its_question(parts: Parts) -> None:
    agree(parts)
    quote = {"number": 1, "text": "Mina waters the ferns.", "source": "/house.txt"}
    said(parts, answered(parts, "Mina. [1]", answer={"quotes": [quote]}), True)
    collect(parts)
    (one,) = parts.kept.samples.all()
    assert "[1] Mina waters the ferns." in one.messages[-1].content
    # Forgotten, it is no sample any more, and does not become another one.
    assert documents_gone(parts, ["/other.txt"]).samples == 0
    assert documents_gone(parts, ["/house.txt"]).samples == 1
    assert parts.kept.conversations.quoting.forget(["/house.txt"]) == 1
    collect(parts)
    assert samples(parts) == []


def test_feedback_taken_back_takes_its_samples_with_it(parts: Parts, home: Path) -> None:
    agree(parts)
    answer = answered(parts, STIFF)
    said(parts, answer, False, WARM)
    collect(parts)
    before = [one.id for one in parts.kept.samples.all()]
    collect(parts, answer.conversation)
    assert [one.id for one in parts.kept.samples.all()] == before
    parts.kept.conversations.opinions.take_back(answer.id)
    assert collect(parts, answer.conversation).gone.samples == 2
    assert samples(parts) == []
    files = list(paths.data_dir().glob("*.db*"))
    assert files and not any(b"Thursdays" in file.read_bytes() for file in files)


def test_a_deleted_conversation_takes_its_samples_with_it(parts: Parts) -> None:
    agree(parts)
    gone, stays = answered(parts, STIFF), answered(parts, WARM, question="And the moss?")
    said(parts, gone, False)
    said(parts, stays, True)
    collect(parts)
    assert conversations_gone(parts, [gone.conversation]).samples == 1
    parts.kept.conversations.delete([gone.conversation])
    collect(parts)
    assert samples(parts) == [("sft", WARM, None)]
    assert not any(b"not known" in f.read_bytes() for f in paths.data_dir().glob("*.db*"))


def test_collected_bit_by_bit_is_what_is_collected_at_once(parts: Parts) -> None:
    agree(parts)
    first, other = answered(parts, STIFF), answered(parts, WARM, question="And the moss?")
    version = again(parts, first, "Ask Mina.")
    moss = "Rain does that, and nobody else. Cheers!"
    for answer, right, edited in (
        (first, False, None),
        (version, True, None),
        (other, True, moss),
        (version, False, None),
        (first, None, WARM),
        (other, False, None),
    ):
        said(parts, answer, right, edited)
        collect(parts, answer.conversation)
    bit_by_bit = [key(one) for one in parts.kept.samples.all()]
    source = source_of(parts)
    assert source is not None
    parts.kept.samples.erase(source=source.id)
    agree(parts)
    collect(parts)
    assert {key(one) for one in parts.kept.samples.all()} == set(bit_by_bit)
    assert len(bit_by_bit) == 4


def key(one: Sample) -> Any:
    return one.kind, one.messages, one.reply, one.rejected, one.message
