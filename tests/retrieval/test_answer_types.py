"""A question shows what kind of answer it wants, and a sentence whether it has one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.answer_types import answer_type, holds_answer


@pytest.mark.parametrize(
    ("question", "sentence", "expected"),
    [
        ("When did it open?", "It opened in March.", True),
        ("When did it open?", "It opened late.", False),
        ("What year did it open?", "It opened in 1889.", True),
        ("How many people came?", "Eleven people came.", True),
        ("How many people came?", "Many people came.", False),
        ("How many came to the 7 halls?", "The 7 halls were full.", False),
        ("Who built it?", "It was built by Eiffel.", True),
        ("Who built it?", "Builders did.", False),
        ("Who built it?", "Gustave Eiffel did.", True),
        ("Who was Eiffel?", "The works of Eiffel were famous.", False),
        ("Where is it?", "It stands in Paris.", True),
        ("At what time does it start?", "It starts at 8.40.", True),
        ("At what time does it start?", "It starts late.", False),
        ("What is the yearly fee?", "Adults pay 54 pounds.", True),
        ("What is the yearly fee?", "Adults pay more.", False),
        ("What does the room cost?", "The room is 30 euros.", True),
        ("What does the room cost?", "The room is dear.", False),
        ("How deep is it?", "It is 40 metres deep.", True),
        ("Why is it shut?", "It is shut because of the storm.", True),
        ("Why is it shut?", "It was shut on 4 May.", False),
        ("For what reason is it shut?", "It is shut owing to the storm.", True),
        ("What led to the closure?", "The closure was prompted by a storm.", True),
        ("공사는 언제 시작해?", "공사는 7월 14일에 시작합니다.", True),
        ("공사는 언제 시작해?", "공사로 불편을 드려 죄송합니다.", False),
        ("검사는 무슨 요일에 해요?", "검사는 화요일에 합니다.", True),
        ("요금은 얼마인가요?", "요금은 3만 원입니다.", True),
        ("요금은 얼마인가요?", "요금은 따로 받습니다.", False),
        ("보증 기간은?", "보증은 18개월입니다.", True),
        ("보증 기간은?", "보증하지 않습니다.", False),
        ("손님이 가장 많이 온 해는?", "2012년에 가장 많았다.", True),
        ("왜 문을 닫나요?", "태풍이 오기 때문에 닫습니다.", True),
        ("문을 닫는 이유는?", "태풍이 오므로 닫습니다.", True),
        ("문을 닫는 이유는?", "문은 여섯 시에 닫습니다.", False),
    ],
)
def test_a_sentence_holds_the_kind_of_answer(question: str, sentence: str, expected: bool) -> None:
    assert holds_answer(answer_type(question), question, sentence) is expected


def test_a_question_that_does_not_show_its_kind_moves_nothing() -> None:
    assert answer_type("What colour is the sky?") == ""
    assert not holds_answer("", "What colour is the sky?", "In 1871 Rayleigh explained it.")


@pytest.mark.parametrize(
    "question",
    ["Did the price rise?", "Which room has the highest ceiling?", "회비를 누가 모으나요?"],
)
def test_an_amount_that_is_only_mentioned_is_not_asked_for(question: str) -> None:
    assert answer_type(question) == ""


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_may_be_asked(question: str, sentence: str) -> None:
    assert holds_answer(answer_type(question), question, sentence) in (True, False)
