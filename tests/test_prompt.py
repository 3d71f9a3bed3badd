"""Evidence to messages, and the marks in an answer back to quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.prompt import (
    GROUNDING,
    NOT_IN_DOCUMENTS,
    PLAIN,
    Template,
    abstains,
    best_quotes,
    build_prompt,
    citations,
)
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


def test_question_first_says_the_question_before_the_sentences_too() -> None:
    system, user = build_prompt("What\n is it?", [quote(1, "One.")], template=GROUNDING)
    assert system.content == GROUNDING.instructions
    assert user.content == "What is it?\n\n[1] One.\n\nQuestion: What is it?"


@given(st.text(), st.lists(st.text(), max_size=5))
def test_every_sentence_is_one_line_whatever_stands_in_it(question: str, texts: list[str]) -> None:
    quotes = [quote(n, text) for n, text in enumerate(texts, start=1)]
    for template in (PLAIN, GROUNDING):
        lines = build_prompt(question, quotes, template=template)[-1].content.splitlines()
        first = lines[2:] if template.question_first else lines
        assert [line.split(" ")[0] for line in first[: len(texts)]] == [
            f"[{n}]" for n in range(1, len(texts) + 1)
        ]
        assert lines[-1].startswith("Question: ")
        assert len(first) == max(1, len(texts)) + 2


def test_layouts_are_told_apart_by_their_digest() -> None:
    digests = {
        template.digest(chat)
        for template in (PLAIN, GROUNDING, Template(GROUNDING.instructions))
        for chat in ("", "chatml", "챗")
    }
    assert len(digests) == 9
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests)
    assert PLAIN.digest("chatml") == Template(PLAIN.instructions).digest("chatml")


@pytest.mark.parametrize(
    "text",
    [
        *NOT_IN_DOCUMENTS.values(),
        "Not in these documents",
        "not in these documents.",
        " \nNot in these documents. [1]",
        "이 문서들에는 없습니다",
    ],
)
def test_reply_that_says_it_is_not_there_abstains(text: str) -> None:
    assert abstains(text)


@pytest.mark.parametrize(
    "text", ["", "940 crowns [1]", "It is not in these documents that I doubt.", "문서", "Not in"]
)
def test_any_other_reply_does_not(text: str) -> None:
    assert not abstains(text)


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


QUOTED = st.lists(st.floats(0, 3), max_size=6).map(
    lambda scores: tuple(
        Quote(n, f"Sentence {n}.", "a.md", 0, 1, score)
        for n, score in enumerate(sorted(scores, reverse=True), start=1)
    )
)


@given(QUOTED, st.none() | st.integers(1, 5), st.none() | st.floats(0, 2))
def test_given_are_the_best_near_the_best(
    quotes: tuple[Quote, ...], most: int | None, margin: float | None
) -> None:
    chosen = best_quotes(quotes, most, margin)
    assert chosen == quotes[: len(chosen)]
    assert bool(chosen) == bool(quotes), "the best is always given"
    for number, quote in enumerate(quotes):
        is_near = margin is None or quote.score >= quotes[0].score - margin
        is_among = most is None or number < most
        assert (quote in chosen) == (is_near and is_among)


@given(st.text())
def test_citations_never_point_outside_the_quotes(text: str) -> None:
    assert set(citations(text, [quote(1), quote(2)])) <= {1, 2}
