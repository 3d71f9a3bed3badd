"""A conversation of Ondol's own that is longer than the model's context goes on, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conversing import begin, own_house, read, run
from house import CHAT, House

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import ContextLengthError
from ondol.long_chat import ABOUT_THIS, EARLIER
from ondol.types import GenerateOptions, Message, Sensitivity


class SmallEngine(ScriptedEngine):
    """A scripted engine that reads two hundred words and no more."""

    def generate(self, messages: Any, options: Any) -> Any:
        need = len(self.prompt_tokens(messages, options))
        if need > 200:
            error = ContextLengthError("too long")
            error.excess_tokens = need - 200
            raise error
        yield from super().generate(messages, options)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    with own_house(tmp_path) as house:
        yield house


def test_what_was_said_first_is_still_known_and_the_answer_says_how(own: House) -> None:
    engine = SmallEngine(["Nothing new was said in the valley, and the day was mild."], model=CHAT)
    own.pool.engines[CHAT] = engine
    chat = begin(own)
    answers = []
    said = ["The spare key hangs behind the blue kiln.", *["How was the day in the valley?"] * 14]
    for content in [*said, "Where is the spare key?"]:
        events = read(own, run(own, chat, content)["run"])
        answers.append(next(data for _, name, data in events if name == "answer"))
    assert "history_folded" not in answers[0]["reasons"]
    assert "history_folded" in answers[-1]["reasons"]
    told = "\n".join(message.content for message in engine.requests[-1].messages)
    assert EARLIER in told or ABOUT_THIS in told
    assert "blue kiln" in told


KEY = "The spare key hangs behind the blue kiln."
DAYS = ["How was the day in the valley?", "Nothing new was said in the valley, and it was mild."]


def long(first: str = KEY) -> list[dict[str, str]]:
    """A chat of five hundred words."""
    said = [first, "Well.", *DAYS * 14, "Where is the spare key?"]
    return [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(said)]


@pytest.mark.parametrize("stream", [False, True])
def test_a_program_may_have_its_chat_folded_and_is_refused_else(own: House, stream: bool) -> None:
    engine = own.pool.engines[CHAT] = SmallEngine(["Behind the kiln."], model=CHAT)
    body = {"model": CHAT, "messages": long(), "ondol": True, "stream": stream}
    with own.client() as client:
        refused = client.post("/v1/chat/completions", json=body)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        answer = client.post("/v1/chat/completions", json=body | {"fold": True})
        short = body | {"fold": True, "messages": body["messages"][:1]}
        assert "history_folded" not in client.post("/v1/chat/completions", json=short).text
    assert answer.status_code == 200 and answer.text.count("history_folded") == 1
    told = engine.requests[0].messages
    assert len(told) < len(long()) and "blue kiln" in "\n".join(m.content for m in told)


def test_a_chat_in_the_terminal_goes_on_beside_a_server_and_says_so_once(
    own: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ondol.cli.chat import Conversation, show_reply
    from ondol.cli.output import Output
    from ondol.cli.remote import Server

    (tmp_path / "diary.txt").write_text("My diary. The safe opens with the number 4711 since May.")
    own.parts.library.collections.create("diary")
    own.parts.library.add([tmp_path / "diary.txt"], collection="diary")
    own.pool.engines[CHAT] = SmallEngine(["Behind the kiln."], model=CHAT)
    server = Server(own.url)

    def talk(messages: Any, options: Any, wanted: Any) -> Any:
        return (yield from server.chat(CHAT, messages, options, wanted))

    private = "The safe opens with the number 4711 since May."
    before = [Message(m["role"], m["content"]) for m in long(private)[:-1]]
    talking = Conversation(CHAT, talk, GenerateOptions(), before)
    for question in ("Where is the spare key?", "And how was the day?"):
        show_reply(talking, question, Output())
        assert talking.answer is not None
        assert "history_folded" in talking.answer.reasons
        # What was folded out of sight keeps all of the chat where it is.
        assert talking.answer.sensitivity is Sensitivity.PRIVATE
    told = capsys.readouterr()
    assert told.err.count("it was given excerpts") == 1
    assert len(talking.messages) == len(before) + 4
    talking.clear()
    show_reply(talking, "Hi", Output())
    assert talking.answer.sensitivity is not Sensitivity.PRIVATE
    assert "excerpts" not in capsys.readouterr().err
