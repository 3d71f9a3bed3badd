"""A follow-up finds what it points back at; a question that stands alone is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.database import IN_MEMORY
from ondol.retrieval.embedding import OnnxEmbedder
from ondol.retrieval.library import Library
from ondol.retrieval.rewriting import MOST_CARRIED, follows_up, rewrite
from ondol.types import Message


def conversation(*said: str) -> list[Message]:
    return [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(said)]


@pytest.mark.parametrize(
    "question",
    [
        "And the second one?", "What about pets?", "Who wrote it?", "How much is that?", "Why?",
        "When does she arrive?", "Is the other one cheaper?", "How many pages do they have?",
        "그럼 두 번째는?", "누가 썼어?", "그건 얼마야?", "그 사람 전화번호는?", "보증금은?", "왜?",
        "거기서 고양이를 길러도 돼?", "그리고 3월에는?",
    ],
)  # fmt: skip
def test_question_that_points_back_is_recognised(question: str) -> None:
    assert follows_up(question)


@pytest.mark.parametrize(
    "question",
    [
        "When was the boiler in Mill Lane serviced?",
        "Is there a dentist appointment in May?",
        "What colour is the front door of the house?",
        "Which novel that won a prize is set in Kent?",
        "한강로 집 보일러는 언제 점검했나요?",
        "올해 자동차 보험료는 얼마를 냈나요?",
    ],
)
def test_question_that_stands_alone_is_left_alone(question: str) -> None:
    history = conversation("Who leads project Falcon?", "Ines Roth [1].")
    assert not follows_up(question)
    assert rewrite(question, history).carried == ()
    assert rewrite(question, history).text == question


def test_new_words_are_its_own_and_the_last_turn_is_carried() -> None:
    found = rewrite(
        "Who wrote it?", conversation("Which novel is set in Busan?", "Lighthouse [1].")
    )
    assert found.terms == ("wrote",)
    assert {"novel", "busan", "lighthous"} <= set(found.carried)
    assert "[1]" not in found.text
    assert found.text.endswith("Who wrote it?")


@pytest.mark.parametrize(
    ("asked", "question", "left_behind"),
    [
        ("How much electricity in February?", "And in March?", "februari"),
        ("How much is the rent of the first flat?", "And the second one?", "first"),
        ("Where were we in 2019?", "And in 2021?", "2019"),
        ("2월에 전기를 얼마나 썼어?", "그럼 3월에는?", "2"),
        ("월요일에는 누가 오지?", "그럼 화요일은?", "월요"),
    ],
)
def test_what_the_new_words_replace_is_left_behind(
    asked: str, question: str, left_behind: str
) -> None:
    assert left_behind not in rewrite(question, conversation(asked, "Fine.")).carried


def test_ordinal_means_the_item_of_a_listed_answer() -> None:
    history = conversation("Which trees are there?", "1. Oak by the gate\n2. Pear by the shed")
    found = rewrite("When was the second one planted?", history)
    assert "pear" in found.carried
    assert "oak" not in found.carried


def test_follow_up_of_a_follow_up_reaches_the_first_question() -> None:
    history = conversation("Who leads project Falcon?", "Ines Roth.", "And its budget?", "40,000.")
    found = rewrite("When does it end?", history)
    assert {"falcon", "budget"} <= set(found.carried)


@given(st.text(max_size=80), st.lists(st.text(max_size=200), max_size=5))
def test_any_conversation_can_be_rewritten(question: str, said: list[str]) -> None:
    found = rewrite(question, conversation(*said))
    assert len(found.carried) <= MOST_CARRIED
    assert not set(found.carried) & set(found.terms)
    assert rewrite(question, ()).carried == ()


@pytest.mark.model
@pytest.mark.parametrize(
    ("history", "question", "answer"),
    [
        (("Which novel is set in Busan?", "The Lighthouse [1]."), "Who wrote it?", "Han Miran"),
        (("Who leads project Heron?", "Samuel Okoye [1]."), "And its budget?", "65,000"),
        (("한강로 집의 월세는 얼마인가요?", "95만 원입니다 [1]."), "그럼 보증금은?", "2천만"),
        (("은행나무길 집의 월세는?", "70만 원입니다 [1]."), "보증금은?", "1천만"),
    ],
)
def test_library_answers_a_follow_up_from_the_right_document(
    embedder: OnnxEmbedder, history: tuple[str, str], question: str, answer: str
) -> None:
    library = Library(IN_MEMORY, embedder)
    for source, text in {
        "/lighthouse.md": "The Lighthouse is a novel set in Busan. It was written by Han Miran.",
        "/orchard.md": "The Orchard is a novel set in Kent. It was written by Paul Frayne.",
        "/falcon.md": "Project Falcon is led by Ines Roth. Its budget is 40,000 euros.",
        "/heron.md": "Project Heron is led by Samuel Okoye. Its budget is 65,000 euros.",
        "/한강로.md": "한강로 집의 월세는 95만 원이다. 보증금은 2천만 원이다.",
        "/은행나무길.md": "은행나무길 집의 월세는 70만 원이다. 보증금은 1천만 원이다.",
    }.items():
        library.add_text(source, text)
    evidence = library.evidence(question, history=conversation(*history))
    assert answer in " ".join(quote.text for quote in evidence.quotes[:2])
    library.close()
