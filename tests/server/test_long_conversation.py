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
