"""Evidence to messages, and the marks in an answer back to quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.prompt import build_prompt, citations
from ondol.types import Message, Quote


def quote(number: int, text: str = "A sentence.") -> Quote:
    return Quote(number, text, "/notes.md", 0, len(text), 1.0)


def test_prompt_numbers_the_evidence_and_ends_with_the_question() -> None:
    messages = build_prompt("What?", [quote(1, "One\nline."), quote(2, "Two.")])
    assert [message.role for message in messages] == ["system", "user"]
    assert messages[-1].content == "[1] One line.\n[2] Two.\n\nQuestion: What?"


def test_prompt_keeps_earlier_turns_between_instructions_and_evidence() -> None:
    history = [Message("user", "Hello"), Message("assistant", "Hi")]
    messages = build_prompt("What?", [quote(1)], history)
    assert messages[1:3] == history
    assert messages[0] == build_prompt("Other?", [quote(1, "x")])[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is so [2].", (2,)),
        ("First [2], then [1], again [2].", (2, 1)),
        ("Invented [7] and [0].", ()),
        ("[1][2]", (1, 2)),
        ("None.", ()),
        ("[99999999999]", ()),
    ],
)
def test_citations_are_known_numbers_in_order(text: str, expected: tuple[int, ...]) -> None:
    assert citations(text, [quote(1), quote(2)]) == expected


@given(st.text())
def test_citations_never_point_outside_the_quotes(text: str) -> None:
    assert set(citations(text, [quote(1), quote(2)])) <= {1, 2}
