"""A made model's glossary: before the last question, within its budget, and not among documents."""

from __future__ import annotations

from ondol.engine.scripted import ScriptedEngine
from ondol.models.glossary import Glossary, Term
from ondol.models.made import Made
from ondol.preset import PresetEngine
from ondol.prompt import GROUNDING, build_prompt, build_rewriting_prompt
from ondol.types import GenerateOptions, Message

TERMS = Glossary((Term("kerning", "Between pairs."), Term("pica", "12 points.")))
ASKED = [Message("user", "What is a pica?")]


def heard(messages: list[Message], *, system: str = "", tokens: int = 200) -> list[tuple[str, str]]:
    engine = ScriptedEngine(["yes"])
    preset = PresetEngine(engine, "pack:latest", Made(system=system), TERMS, tokens)
    list(preset.generate(messages, GenerateOptions()))
    return [(one.role, one.content) for one in engine.requests[-1].messages]


def test_the_terms_of_the_last_question_stand_before_it() -> None:
    before = [Message("user", "What is kerning?"), Message("assistant", "It is this.")]
    assert heard([*before, *ASKED], system="Be brief.") == [
        ("system", "Be brief."),
        ("user", "What is kerning?"),
        ("assistant", "It is this."),
        ("user", "pica: 12 points.\n\nWhat is a pica?"),
    ]


def test_they_stay_with_the_question_while_tools_answer() -> None:
    calls = [Message("assistant", ""), Message("tool", "kerning")]
    said = heard([*ASKED, *calls])
    assert said[0] == ("user", "pica: 12 points.\n\nWhat is a pica?")
    assert said[2] == ("tool", "kerning")


def test_a_system_message_of_the_chat_does_not_take_them_away() -> None:
    said = heard([Message("system", "Rhyme."), *ASKED], system="Be brief.")
    assert said == [("system", "Rhyme."), ("user", "pica: 12 points.\n\nWhat is a pica?")]


def test_documents_are_asked_without_them() -> None:
    for messages in (
        build_prompt("What is a pica?", ()),
        build_prompt("What is a pica?", (), template=GROUNDING),
        build_rewriting_prompt("What is a pica?", ASKED),
    ):
        assert heard(messages) == [(one.role, one.content) for one in messages]


def test_nothing_is_added_where_nothing_fits() -> None:
    assert heard(ASKED, tokens=2) == heard(ASKED, tokens=0) == [("user", "What is a pica?")]
    assert heard([Message("user", "Hello")]) == [("user", "Hello")]


def test_the_caller_keeps_its_messages_as_they_were() -> None:
    messages = list(ASKED)
    heard(messages)
    assert messages == ASKED
