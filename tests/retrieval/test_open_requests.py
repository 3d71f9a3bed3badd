"""Requests for whatever is said of something, told from questions, and the sentences that speak
of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ondol.retrieval.library import Library
from ondol.retrieval.open_requests import topic
from ondol.types import Message

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"


@pytest.mark.parametrize(
    ("request_", "about"),
    [
        ("Tell me about the boiler", "the boiler"),
        ("tell me about  the boiler , please!", "the boiler"),
        ("Can you tell me something about Nikola Tesla?", "Nikola Tesla"),
        ("What should I know about the lease?", "the lease"),
        ("What can you tell me about the lease?", "the lease"),
        ("What about the lease?", "the lease"),
        ("What do my documents say about the deposit?", "the deposit"),
        ("What's in my notes about Warsaw?", "Warsaw"),
        ("Is there anything about dogs in my documents?", "dogs"),
        ("Give me a short summary of the lease in three sentences", "the lease"),
        ("Information on parking", "parking"),
        ("Summarise the lease, briefly.", "the lease"),
        ("Describe the heating system", "the heating system"),
        ("I would like to know more about the Normans.", "the Normans"),
        ("보일러에 대해 알려 주세요", "보일러"),
        ("보일러에 대해 무엇을 알아야 하나요?", "보일러"),
        ("보일러에 대해 뭐라고 나와 있나요?", "보일러"),
        ("내 문서는 보증금에 대해 뭐라고 하나요?", "보증금"),
        ("보일러 점검에 관한 내용이 있나요?", "보일러 점검"),
        ("김치에 관해 아는 대로 말해 줘", "김치"),
        ("임대차 계약서를 세 문장으로 요약해 줘", "임대차 계약서"),
    ],
)
def test_an_open_request_is_recognised_with_its_topic(request_: str, about: str) -> None:
    assert topic(request_) == about


@pytest.mark.parametrize(
    "question",
    [
        # One answer is asked for.
        "When was the boiler serviced?", "What is the boiler?", "Explain how the boiler works",
        "Tell me about when it was built", "Explain why the boiler failed", "boiler",
        "Tell me what the boiler cost", "What did Tesla say about Edison?",
        "What details of the contract were changed?", "What about when it rains?",
        "Tell me about the boiler. When was it built?",
        "What do you think about the fact that the boiler was sold?",
        "보일러를 언제 점검했나요?", "보험에 대해 언제 신청해야 하나요?",
        "회의에 대해 누가 말했나요?", "언제 갱신하는지에 대해 알려줘",
        "이 약에 대한 부작용은 무엇인가요?",
        "계약 해지에 대한 위약금은 얼마인가요?", "지구 온난화에 대해 정부는 무엇을 했나요?",
        "법원은 이 사건에 대해 어떤 판단을 했나요?", "안 되는 까닭을 설명해 줘",
        # Nothing is named.
        "Tell me about it", "What about the second one?", "Summarise my documents",
        "Tell me about", "Describe", "그것에 대해 알려줘", "문서를 요약해줘", "에 대해 알려줘",
        "", "?", "tell me about " + "a" * 10_000,
    ],
)  # fmt: skip
def test_any_other_question_is_none(question: str) -> None:
    assert topic(question) == ""


PIECES = (
    "tell me about what do you know please in my files of on 나와 하 에 대해 뭐 무엇을 좀 문서에 "
    "알려 줘 요약 을 해 내용 . , ? !"
).split()


@given(st.lists(st.sampled_from([*PIECES, " "]), max_size=160).map("".join))
@example("보일러에 대해 " + "하" * 120 + "!x")
@example("보일러에 대해 " + "나와 " * 40 + "!x")
@example("tell me more about " + "in my files, " * 10 + "x:")
@example("뭐" * 150 + "!x")
def test_a_topic_is_a_part_of_the_request_and_soon_found(text: str) -> None:
    assert topic(text) in " ".join(text.split())


@pytest.mark.model
@pytest.mark.parametrize("words", ["Tell me about {}", "What do my documents say about {}?"])
def test_what_speaks_of_the_topic_is_told_from_what_does_not(words: str, library: Library) -> None:
    library.add([EXAMPLE])
    library.add_text("/train.md", "The train to Leeds leaves at nine. The boiler is a kettle.")
    found = library.evidence(words.format("the deposit"))
    told = [quote.text for quote in found.quotes if quote.number in found.on_topic]
    assert told and all("deposit" in text.casefold() for text in told)
    assert library.evidence(words.format("the moons of Jupiter")).on_topic == ()
    assert library.evidence("How high is the deposit?").on_topic == ()


@pytest.mark.model
def test_what_stands_under_a_heading_speaks_of_it(library: Library) -> None:
    text = "# Boiler\n\nServiced on 3 March 2026 by Mr Lee.\n\n# Car\n\nServiced on 5 May 2026.\n"
    library.add_text("/house.md", text)
    found = library.evidence("Tell me about the boiler")
    told = [quote.text for quote in found.quotes if quote.number in found.on_topic]
    assert told == ["Serviced on 3 March 2026 by Mr Lee."]


@pytest.mark.model
def test_of_a_topic_of_several_words_nearly_all_must_be_there(library: Library) -> None:
    library.add_text(
        "/a.md", "Norman Angell wrote on war. The French and Indian War began in 1754."
    )
    found = library.evidence("Tell me about the French and Indian War")
    told = [quote.text for quote in found.quotes if quote.number in found.on_topic]
    assert told == ["The French and Indian War began in 1754."]


@pytest.mark.model
def test_an_open_request_keeps_its_filters(library: Library) -> None:
    library.add_text("/a.md", "The boiler is in the cellar.")
    library.add_text("/b.txt", "The boiler was sold.")
    found = library.evidence("Tell me about the boiler type:md")
    assert [quote.source for quote in found.quotes] == ["/a.md"]
    assert found.on_topic == (1,)


@pytest.mark.model
def test_in_a_conversation_what_points_back_is_no_open_request(library: Library) -> None:
    library.add_text("/a.md", "The boiler is in the cellar. The deposit is 900 euros.")
    before = [Message("user", "Where is the boiler?"), Message("assistant", "In the cellar.")]
    assert library.evidence("What about the deposit?", history=before).on_topic == ()
    assert library.evidence("What about the deposit?").on_topic == (1,)
