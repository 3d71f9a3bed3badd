"""Attempts to have a text travel further than its label: each one must fail."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from ondol import database
from ondol.ask import Manner, ask
from ondol.chat import Reply
from ondol.database import Connection
from ondol.engine.scripted import ScriptedEngine
from ondol.retrieval.current_labels import CurrentLabels
from ondol.routing.policy import RoutingPolicy
from ondol.routing.sensitivity import PromptLabeller
from ondol.routing.taint import Spoken
from ondol.trust import Trust
from ondol.types import (
    Answer,
    Evidence,
    GenerateOptions,
    Message,
    Quote,
    Route,
    Sensitivity,
    Token,
)
from tests.test_escalation import FixedHome, FixedJudge


@pytest.fixture
def connection() -> Iterator[Connection]:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        yield connection


@pytest.fixture
def labeller(connection: Connection) -> PromptLabeller:
    return PromptLabeller(Spoken(connection, threading.RLock()), lambda text: False)


def pinned(labeller: PromptLabeller, messages: list[Message]) -> tuple[Reply, FixedHome]:
    """A chat that wants to go home."""
    engine, home = ScriptedEngine(["here"]), FixedHome()
    trust = Trust(None, labeller, RoutingPolicy(lambda _: 0.8), home)
    reply = Reply(
        lambda given: engine.generate(messages, given),
        messages,
        GenerateOptions(),
        trust,
        "m",
        "home",
    )
    list(reply)
    return reply, home


@pytest.mark.parametrize("role", ["tool", "system", "assistant"])
def test_last_message_that_nobody_asked_is_no_question(labeller: PromptLabeller, role: str) -> None:
    """A tool's result ends a conversation as often as a question does."""
    said = Message(role, "The figure is 4711.")  # type: ignore[arg-type]
    reply, home = pinned(labeller, [Message("user", "What is it?"), said])
    assert home.asked == []
    assert reply.answer and reply.answer.route is Route.LOCAL
    # A conversation with tools does not leave, whatever is known of its texts.
    assert ("tools" if role == "tool" else "unknown_history") in reply.answer.reasons


def test_private_answer_to_be_continued_stays(labeller: PromptLabeller) -> None:
    labeller.remember("The figure is 4711.", Sensitivity.PRIVATE)
    turns = [Message("user", "What is it?"), Message("assistant", "The figure is 4711.")]
    reply, home = pinned(labeller, turns)
    assert home.asked == []
    assert reply.answer and "history" in reply.answer.reasons


ONCE = "The merger with Hanbit closes on the ninth of March, nobody knows."


def quoting(text: str, sensitivity: Sensitivity) -> Evidence:
    return Evidence(
        quotes=(Quote(1, text, "/memo.txt", 0, len(text), 1.0, sensitivity=sensitivity),)
    )


def test_text_that_was_free_once_is_known_again_when_it_is_private(
    connection: Connection,
) -> None:
    """First TRUSTED, then tightened, answered from, and forgotten with its document."""
    first = PromptLabeller(Spoken(connection, threading.RLock()), lambda text: False)
    first.label("When?", quoting(ONCE, Sensitivity.TRUSTED))
    label = first.label("When?", quoting(ONCE, Sensitivity.PRIVATE))
    first.remember(f"It says: {ONCE} [1]", label.sensitivity)
    # Another process, which has nothing in memory; the document is gone.
    later = PromptLabeller(Spoken(connection, threading.RLock()), lambda text: False)
    found = later.label(f"Is this so? {ONCE}", Evidence())
    assert (found.sensitivity, found.reasons) == (Sensitivity.PRIVATE, ("matches_private_text",))


@dataclass
class Tightening:
    """A device that, while its model thinks, is told that a document is private from now on."""

    labeller: PromptLabeller
    engine_: ScriptedEngine
    home: FixedHome
    num_quotes: int = 3

    @property
    def retriever(self) -> Any:
        found = quoting("Bob earns 91,000.", Sensitivity.TRUSTED)
        return SimpleNamespace(
            asks_for_all=lambda _: False,
            follows_up=lambda _: False,
            evidence=lambda *_, **__: found,
        )

    @property
    def trust(self) -> Trust:
        policy = RoutingPolicy(lambda _: 0.8)
        return Trust(FixedJudge(0.1), self.labeller, policy, self.home)

    def manner(self, model: str | None = None) -> Manner:
        return Manner(GenerateOptions())

    def engine(self, model: str | None = None) -> ScriptedEngine:
        return self.engine_


@pytest.mark.parametrize("is_tightened", [False, True])
def test_document_that_becomes_private_while_the_device_thinks_stays(
    connection: Connection, is_tightened: bool
) -> None:
    """Too short to be known again by its letters: only its label can keep it here."""
    lock = threading.RLock()
    connection.execute(
        "INSERT INTO documents (source, title, content_hash, media_type, collection, sensitivity,"
        " num_chunks, size_bytes, modified_ns, embedding_model, added_at)"
        " VALUES ('/memo.txt', '', 'h', 'text/plain', 'default', 2, 1, 1, 1, 'm', '')"
    )
    connection.execute("UPDATE collections SET sensitivity = 2")
    labels = CurrentLabels(connection, lock)
    labeller = PromptLabeller(
        Spoken(connection, lock), lambda text: False, label_now=labels.strictest
    )
    parts = Tightening(labeller, ScriptedEngine(["It is 90 [1]."]), FixedHome())
    events = ask("What does Bob earn?", parts)
    for event in events:
        if isinstance(event, Token) and is_tightened:
            connection.execute("UPDATE collections SET sensitivity = 0")
    assert bool(parts.home.asked) is not is_tightened
    assert isinstance(event, Answer)
    assert event.sensitivity is (Sensitivity.PRIVATE if is_tightened else Sensitivity.TRUSTED)
