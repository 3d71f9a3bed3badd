"""One run, with every event that an answer can have, and everything that can go wrong around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from ondol.conversations.records import Message
from ondol.conversations.store import Conversations
from ondol.errors import StorageError
from ondol.server.conversing.run import Run
from ondol.server.streaming import Source
from ondol.types import (
    Answer,
    Escalation,
    Evidence,
    Quote,
    Route,
    Seconds,
    Sensitivity,
    Token,
    Usage,
)

QUOTE = Quote(1, "The stove burns oak.", "/stove.txt", 0, 20, 1.0, None, Sensitivity.TRUSTED)
DRAFT = Answer("Maybe oak.", (QUOTE,), (), None, Route.LOCAL, (), Usage(), Seconds(0, 0, 0), "tiny")
HOME = Answer("Oak [1].", (QUOTE,), (1,), None, Route.HOME, (), Usage(), Seconds(0, 0, 0), "h/big")
ESCALATED: list[Any] = [
    Evidence(quotes=(QUOTE,)),
    Token("Maybe oak."),
    Token("", finish_reason="stop", usage=Usage()),
    Escalation(DRAFT, "home"),
    Token("Oak "),
    Token("[1]."),
]


@pytest.fixture
def kept() -> Iterator[Conversations]:
    with Conversations.open() as found:
        yield found


def made(kept: Conversations, events: Sequence[Any], *, present: bool = True) -> Run:
    _, message = kept.turns.ask(kept.create().id, "What does the stove burn?", None)

    def play() -> Iterator[Any]:
        for event in events:
            if isinstance(event, Exception):
                raise event
            if callable(event):
                event()
            else:
                yield event

    return Run(kept, message, Source(play), 2, lambda names: names if present else set())


def ended(run: Run) -> Message:
    run.start()
    run._thread.join(20)
    assert run.has_ended
    return run.message


def names(run: Run) -> list[str]:
    return [name for _, name, _ in run.after(0)]


def test_homes_words_take_the_place_of_the_drafts(kept: Conversations) -> None:
    run = made(kept, [*ESCALATED, HOME])
    message = ended(run)
    assert (message.status, message.content) == ("done", "Oak [1].")
    assert names(run) == ["evidence", "token", "escalation", "token", "token", "answer", "end"]
    assert kept.turns.get(run.conversation, message.id) == message


def test_a_stop_after_the_draft_keeps_it(kept: Conversations) -> None:
    def stop() -> None:
        run._source.stop()

    run = made(kept, [*ESCALATED[:5], stop, Token(""), Token("never heard")])
    message = ended(run)
    assert (message.status, message.content) == ("stopped", "Oak ")
    assert message.answer is not None and message.answer["draft"]["answer"] == "Maybe oak."
    assert message.answer["quotes"][0]["source"] == "/stove.txt"
    assert message.answer["finish_reason"] == "cancelled"


def test_reasoning_is_heard_and_not_kept_as_the_answer(kept: Conversations) -> None:
    run = made(kept, [Token("Hmm.", reasoning=True), Token("Oak.")])
    message = ended(run)
    assert message.content == "Oak."
    assert run.after(0)[0][2] == {"text": "Hmm.", "reasoning": True}


def test_what_is_unexpected_says_nothing_of_itself(kept: Conversations) -> None:
    run = made(kept, [Token("Oak"), ValueError("a secret")])
    message = ended(run)
    assert message.status == "failed" and message.content == "Oak"
    assert message.error is not None and message.error["code"] == "internal_error"
    assert "a secret" not in str(run.after(0))


def test_a_full_disk_ends_no_answer_and_is_told(
    kept: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **how: Any) -> None:
        raise StorageError("The disk is full.", "Make room.")

    run = made(kept, [Token("Oak"), HOME])
    monkeypatch.setattr(kept.turns, "save", full)
    ended(run)
    assert names(run) == ["token", "answer", "error", "end"]
    assert run.after(2)[0][2]["error"]["code"] == "storage_unavailable"
    assert run.after(3)[0][2] == {"message": None}


def test_a_run_whose_conversation_is_gone_stops(kept: Conversations) -> None:
    run = made(kept, [lambda: kept.delete([run.conversation]), Evidence(), Token("never heard")])
    ended(run)
    assert names(run) == ["evidence", "end"] and run.after(1)[0][2] == {"message": None}
    assert kept.ids() == []


def test_a_document_that_went_meanwhile_is_not_quoted(kept: Conversations) -> None:
    message = ended(made(kept, [Evidence(quotes=(QUOTE,)), HOME], present=False))
    assert message.answer is not None and message.answer["quotes"] == []
    assert message.answer["citations"] == []


def test_what_is_said_is_kept_while_it_grows(
    kept: Conversations, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ondol.server.conversing.run.SAVE_SECONDS", 0.0)
    seen: list[str] = []

    def look() -> None:
        seen.append(kept.turns.get(run.conversation, run.message.id).content)

    run = made(kept, [look, Token("Oak "), look, Token("logs."), look])
    ended(run)
    assert seen == ["", "Oak ", "Oak logs."]
