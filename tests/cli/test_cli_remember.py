"""``ondol remember``, what contradicts a memory, what waits for a yes, personas; and what a chat in
the terminal makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ondol import config
from ondol.cli.chat import Conversation
from ondol.cli.output import Output
from ondol.cli.remembering import Notebook
from ondol.cli.repl import converse
from ondol.conversations.store import Conversations
from ondol.memory.memories import Memories
from ondol.memory.saying import noticed
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message, Token


def test_contradiction_is_told_seen_and_taken_back(ondol) -> None:
    ondol("remember", "My", "dog", "is", "called", "Rex")
    told = ondol("remember", "My dog is called Max", "--json").json
    assert (told["deed"], told["replaced"]["text"]) == ("replaced", "My dog is called Rex")
    id, number = told["id"][:8], told["replaced"]["number"]
    assert "Rex" in ondol("memory", "history", id).stdout
    restored = ondol("memory", "restore", id, number)
    assert restored.code == 0 and "Rex" in restored.stdout
    assert ondol("memory", "history", id, "--erase", "--json").json == {
        "versions": 1,
        "is_erased": True,
    }
    assert ondol("memory", "restore", id, number).code == 5
    assert ondol("memory", "history", id, "--number", 1).code == 2
    assert ondol("remember", "My dog is called Fido", "--beside", "--json").json["deed"] == "added"


def test_export_is_taken_in_again_and_anything_else_is_not(ondol, tmp_path: Path) -> None:
    ondol("remember", "Answer in short sentences")
    ondol("persona", "set", "work", "I am a nurse.")
    file = tmp_path / "memories.json"
    ondol("memory", "export", "--output", file)
    (memory,) = json.loads(file.read_text("utf-8"))["memories"]
    assert memory["kind"] == "preference"
    ondol("memory", "erase", "--all", "--yes")
    taken = ondol("memory", "import", file, "--json").json
    assert taken == {"memories": 1, "personas": 0, "known": 1}
    file.write_text("[]")
    assert ondol("memory", "import", file).code == 2


def test_suggestions_are_found_accepted_and_declined(ondol) -> None:
    with Conversations.open() as conversations, Memories.open() as memories:
        id = conversations.create().id
        for text in ("I live in Ulm.", "Call me Mo.", "What is the weather?"):
            conversations.turns.ask(id, text, None)
        assert ondol("memory", "suggest", "--json").json["suggestions"][0]["conversation"] == id
        found = {one.text: one.id for one in memories.suggestions.all()}
        assert set(found) == {"I live in Ulm.", "Call me Mo."}
        ulm = found["I live in Ulm."][:8]
        accepted = ondol("memory", "accept", ulm, "I live in Bonn", "--json")
        assert accepted.json["text"] == "I live in Bonn"
        assert ondol("memory", "decline", found["Call me Mo."]).code == 0
        assert ondol("memory", "decline", found["Call me Mo."]).code == 5
        assert ondol("memory", "suggest", "--json").json == {"suggestions": []}
        assert [one.text for one in memories.all()] == ["I live in Bonn"]
    assert "ondol memory" not in ondol("memory", "suggestions").stdout


@pytest.fixture
def parts() -> Iterator[Parts]:
    with Parts(config.load()) as opened:
        yield opened


class Talker:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[list[Message]] = []

    def __call__(
        self, messages: list[Message], options: GenerateOptions, wanted: str
    ) -> Iterator[Token]:
        self.asked.append(messages)
        yield Token("Fine.", finish_reason="stop")


def test_chat_in_the_terminal_remembers_and_is_told_only_here(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parts.kept.memories.personas.put("work", "I am a nurse.")
    parts.kept.memories.personas.choose("work")
    typed = iter(
        [
            "Remember that my dog is called Rex.",
            "Remember that my dog is called Max. Who barks?",
            "/home",
            "And at home?",
            "/bye",
        ]
    )
    monkeypatch.setattr("builtins.input", lambda prompt: next(typed))
    talker, output = Talker(), Output()
    notebook = Notebook(parts, output)
    talking = Conversation(
        "m", talker, GenerateOptions(), known=notebook.known, instructions="Be brief."
    )
    converse(talking, output, notebook.take)
    assert [one.text for one in parts.kept.memories.all()] == ["My dog is called Max."]
    here, home = talker.asked
    assert here[0].content.startswith("Be brief.\n\nI am a nurse.")
    assert "called Max" in here[0].content
    assert here[1].content == "Who barks?"
    assert [m.content for m in home] == ["Who barks?", "Fine.", "And at home?"]
    assert "Before: My dog is called Rex." in capsys.readouterr().err


def test_what_is_said_of_oneself_waits_and_is_not_used(parts: Parts) -> None:
    memories = parts.kept.memories
    memories.suggestions.note(noticed("I live in Ulm."))
    assert Notebook(parts, Output()).known("Where do I live?") == ""
