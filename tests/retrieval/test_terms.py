"""Terms: the same word finds itself whatever its form."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.terms import query_terms, terms


def test_english_forms_share_a_stem() -> None:
    assert set(terms("surrendered")) == set(terms("surrender")) == set(terms("Surrendering"))


def test_korean_noun_is_found_inside_inflected_words() -> None:
    assert set(query_terms("보험금은")) <= set(terms("보험금을 청구하였다"))


def test_decomposed_korean_equals_composed() -> None:
    assert terms(unicodedata.normalize("NFD", "회의록")) == terms("회의록")


@pytest.mark.parametrize(
    ("plain", "accented"), [("Muller", "Müller"), ("cafe", "CAFÉ"), ("Nguyen", "Nguyễn")]
)
def test_accents_make_no_difference(plain: str, accented: str) -> None:
    assert terms(plain) == terms(accented) == terms(unicodedata.normalize("NFD", accented))


def test_mixed_words_are_split_by_script() -> None:
    assert set(terms("AI센터")) == {"ai", "센터"}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the capital of France?", {"capit", "franc"}),
        ("회의는 언제 하나요?", {"회의"}),
        ("예산이 얼마인가요?", {"예산"}),
        ("계약 기간을 알려줘", {"계약", "기간"}),
        ("ERR_4012는 무엇인가요?", {"err", "4012"}),
        ("KTX로 얼마나 걸리나요?", {"ktx", "걸리"}),
    ],
)
def test_query_drops_what_only_asks(question: str, expected: set[str]) -> None:
    assert set(query_terms(question)) == expected


@pytest.mark.parametrize("question", ["What is it?", "언제?", "who", "the who"])
def test_query_of_stop_words_still_searches_for_something(question: str) -> None:
    assert query_terms(question)


def test_query_without_any_word_has_no_terms() -> None:
    assert query_terms("?!… —") == []


@given(st.text(max_size=200))
def test_query_terms_are_distinct_and_safe_for_any_text(text: str) -> None:
    found = query_terms(text)
    assert len(found) == len(set(found))
    assert all(term and not term.isspace() for term in found)
