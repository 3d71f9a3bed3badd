"""Fusion: a worthless half has no vote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.database import IN_MEMORY, connect
from ondol.retrieval.library import Library
from ondol.retrieval.search import fuse, match_terms
from ondol.retrieval.terms import terms
from tests.retrieval.fake_embedder import FakeEmbedder

scores = st.dictionaries(st.integers(1, 40), st.floats(0.01, 30.0), max_size=30)
cosines = st.dictionaries(st.integers(1, 40), st.floats(-1.0, 1.0), max_size=30)


def order(mapping: dict[int, float]) -> list[int]:
    return sorted(mapping, key=lambda i: (-mapping[i], i))


@given(scores, cosines)
def test_worthless_vectors_leave_the_lexical_order(
    lexical: dict[int, float], dense: dict[int, float]
) -> None:
    if lexical:
        ids = sorted({*lexical, *dense})
        ranked = [c.chunk_id for c in fuse(ids, lexical, dense, dense_weight=0.0)]
        shares = {i: lexical[i] / max(lexical.values()) for i in lexical}
        assert ranked[: len(lexical)] == order(shares)


@given(cosines)
def test_no_lexical_match_leaves_the_dense_order(dense: dict[int, float]) -> None:
    ranked = [c.chunk_id for c in fuse(list(dense), {}, dense, dense_weight=0.3)]
    assert ranked == order({i: max(c, 0.0) for i, c in dense.items()})


@given(scores, cosines, st.floats(0.0, 1.0))
def test_best_in_both_halves_is_first(
    lexical: dict[int, float], dense: dict[int, float], weight: float
) -> None:
    ids = sorted({0, *lexical, *dense})
    best = fuse(ids, {**lexical, 0: 31.0}, {**dense, 0: 1.0}, weight)[0]
    assert best.chunk_id == 0
    assert best.score == pytest.approx(1.0)


def test_terms_with_quotes_and_operators_are_only_words() -> None:
    connection = connect(IN_MEMORY)
    connection.execute("INSERT INTO chunk_terms (rowid, terms) VALUES (1, 'near and or not')")
    assert match_terms(connection, ['"', "NEAR", "a*", "OR", ")"]) != {}
    assert match_terms(connection, []) == {}


def test_rare_term_outweighs_a_common_one() -> None:
    connection = connect(IN_MEMORY)
    for number in range(20):
        text = "the contract is signed" + (" in Vienna" if number == 7 else "")
        connection.execute(
            "INSERT INTO chunk_terms (rowid, terms) VALUES (?, ?)", (number, " ".join(terms(text)))
        )
    found = match_terms(connection, terms("contract Vienna"))
    assert max(found, key=lambda i: found[i]) == 7


def every_one_about_the_mill() -> Library:
    library = Library(IN_MEMORY, FakeEmbedder())
    for number in range(60):
        said = "The barley was late." if number == 40 else f"Sacks came on day {number}."
        library.add_text(f"/{number}.txt", f"The mill keeps a ledger. {said}")
    return library


def test_word_of_every_passage_moves_none_of_them() -> None:
    library = every_one_about_the_mill()
    found = library.search("When did the barley come to the mill?")
    assert found[0].chunk.source == "/40.txt"
    library.close()


def test_words_that_all_passages_have_still_find_them() -> None:
    library = every_one_about_the_mill()
    assert library.search("mill ledger")
    assert library.evidence("mill ledger").hits
    library.close()
