"""When a library speaks of a question at all: paraphrases are found, in small libraries too, and
what nothing is said of is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.evidence import Sentence, is_relevant
from ondol.retrieval.filters import Filter, count_chunks
from ondol.retrieval.library import Library
from ondol.retrieval.search import Query
from ondol.types import Chunk, Hit

EXAMPLE = Path(__file__).parents[2] / "docs" / "example"
FILLER = [
    f"Ledger {n} of the mill lists {n + 3} sacks of barley and {n + 7} of rye." for n in range(60)
]


@pytest.mark.model
@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("How long is the notice period?", "three months'"),
        ("Which pet is allowed?", "one cat"),
        ("Who pays for repairs?", "Repairs below 80 euros"),
        ("다음 회의는 언제인가?", "3월 26일"),
    ],
)
def test_paraphrase_is_found_beside_three_files(
    question: str, answer: str, library: Library
) -> None:
    library.add([EXAMPLE])
    assert any(answer in quote.text for quote in library.evidence(question).quotes[:2])


@pytest.mark.model
@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "What is my blood pressure?",
        "How tall is the tower?",
        "Who won the world cup?",
        "화성 탐사선은 누가 만들었나?",
    ],
)
def test_nothing_is_found_of_what_three_files_do_not_say(question: str, library: Library) -> None:
    library.add([EXAMPLE])
    assert library.evidence(question).quotes == ()


@pytest.mark.model
def test_a_filter_makes_a_large_library_a_small_one(library: Library) -> None:
    library.add([EXAMPLE])
    for number, text in enumerate(FILLER):
        library.add_text(f"/mill/{number}.txt", text)
    question = "Which pet is allowed?"
    assert library.evidence(question).quotes == ()
    assert "one cat" in library.evidence(f"{question} path:lease.txt").quotes[0].text


def sentence(cosine: float, coverage: float) -> Sentence:
    return Sentence(Hit(Chunk("text", 0, 1), 1.0, 1), 0, 1, coverage=coverage, cosine=cosine)


@given(st.floats(-1.0, 1.0), st.floats(0.0, 1.0), st.integers(0, 200), st.integers(0, 200))
def test_the_more_passages_the_more_a_sentence_must_say(
    cosine: float, coverage: float, fewer: int, more: int
) -> None:
    query = Query("?", ("word",), np.ones(1, dtype=np.float32), "model")
    fewer, more = sorted((fewer, more))
    said = [sentence(cosine, coverage)]
    if is_relevant(query, said, among=more):
        assert is_relevant(query, said, among=fewer)


def test_words_alone_count_alike_in_every_library() -> None:
    said = [sentence(0.0, 0.11)]
    assert not any(is_relevant(Query("?", ("word",), None), said, among=n) for n in (1, 10, 100))


@pytest.mark.model
def test_chunks_are_counted_up_to_what_matters(library: Library) -> None:
    for number, text in enumerate(FILLER[:5]):
        library.add_text(f"/mill/{number}.txt", text)
    connection = library._connection
    assert count_chunks(connection, Filter(), at_most=40) == 5
    assert count_chunks(connection, Filter(), at_most=3) == 3
    assert count_chunks(connection, Filter(paths=("/mill/1.txt",)), at_most=40) == 1
