"""A sentence is read in its place, and words that belong together are looked for together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.mentions import NEAR_TERMS, Place, coverage, in_place, nearness, share
from ondol.retrieval.terms import query_terms, terms

words = st.sampled_from(["tower", "bridge", "stone", "river", "old"])
weights = st.dictionaries(words, st.floats(0.1, 9.0), min_size=1)


def place(text: str, above: str = "") -> tuple[Place, list[list[str]]]:
    spans, start = [], 0
    for sentence in text.split(". "):
        spans.append((start, start + len(sentence)))
        start += len(sentence) + 2
    return Place(text, tuple(spans), above), [terms(text[a:b]) for a, b in spans]


def test_what_the_title_says_need_not_be_said_again() -> None:
    asked = dict.fromkeys(query_terms("When did the Eiffel Tower open?"), 1.0)
    bare, under_a_title = (
        in_place(asked, *place("It opened in 1889", above)) for above in ("", "eiffel tower")
    )
    assert bare[0][1] == bare[0][0]
    assert under_a_title[0][1] > under_a_title[0][0] == bare[0][0]


def test_a_sentence_is_read_after_the_one_before_it() -> None:
    asked = dict.fromkeys(query_terms("open tower"), 1.0)
    alone, placed = in_place(asked, *place("The tower is old. It opened late"))[1]
    assert alone == pytest.approx(0.5)
    assert placed > alone


def test_a_sentence_that_says_nothing_of_it_gains_nothing_by_its_place() -> None:
    asked = dict.fromkeys(query_terms("open tower"), 1.0)
    assert in_place(asked, *place("Cats sleep", "open tower")) == [(0.0, 0.0)]


@given(weights, st.lists(st.lists(words, max_size=4), max_size=5), st.lists(words))
def test_shares_are_shares_and_context_never_harms(
    asked: dict[str, float], said: list[list[str]], above: list[str]
) -> None:
    found = in_place(asked, Place("", (), " ".join(above)), said)
    assert len(found) == len(said)
    assert all(0.0 <= alone <= placed <= 1.0 + 1e-9 for alone, placed in found)
    assert 0.0 <= nearness(asked, [w for s in said for w in s]) <= 1.0


def test_neighbours_of_the_question_count_when_they_are_near() -> None:
    asked = {"stone": 2.0, "bridg": 1.0}
    assert nearness(asked, ["stone", "arch", "bridg"]) == pytest.approx(1.0 / 3.0)
    assert nearness(asked, ["stone", *["x"] * NEAR_TERMS, "bridg"]) == 0.0
    assert nearness(asked, ["stone"]) == 0.0
    assert nearness({"stone": 1.0}, ["stone", "stone"]) == 0.0


def test_nothing_asked_is_never_mentioned() -> None:
    assert share({}, {"stone"}) == 0.0
    assert coverage({}, "stone") == 0.0
    assert nearness({}, ["stone"]) == 0.0
