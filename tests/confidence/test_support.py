"""Support: which sentence of an answer which quote says, and what a small change does to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ondol.confidence.grounding import sentences, supported
from ondol.types import Quote

BRIDGE = "The Varn Bridge was opened by Ilse Brandauer in 1871, after nine years of work."
MILL = "The mill beside the bridge was not insured and burned down in 1902."
KOREAN = "계약 기간은 2025년 3월 1일부터 2년이며 보증금은 500만 원이다."


def quotes(*texts: str) -> tuple[Quote, ...]:
    return tuple(Quote(n, text, "/a.txt", 0, len(text), 1.0) for n, text in enumerate(texts, 1))


GIVEN = quotes(BRIDGE, MILL, KOREAN)


def only(text: str) -> int | None:
    (support,) = supported(text, GIVEN)
    return support.quote


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Ilse Brandauer [1]", 1),
        ("1902 [2]", 2),
        ("The bridge was opened in 1871 by Ilse Brandauer.", 1),
        ("It took 9 years of work to open the Varn Bridge.", 1),
        ("The mill burned down in 1902 [2]", 2),
        ("The mill was not insured.", 2),
        ("보증금은 500만 원이다.", 3),
    ],
)
def test_what_a_quote_says_is_supported_by_it(text: str, quote: int) -> None:
    assert only(text) == quote


@pytest.mark.parametrize(
    "text",
    [
        "The Varn Bridge was opened by Ilse Brandauer in 1872.",
        "The Varn Bridge was opened by Ilse Brandt in 1871.",
        "The Varn Bridge was not opened by Ilse Brandauer in 1871.",
        "The mill beside the bridge was insured and burned down in 1902.",
        "The bridge was opened after seven years of work.",
        "burned down in 1903 [2]",
        "Nobody knows who built the castle.",
        "보증금은 600만 원이다.",
    ],
    ids=["year", "name", "not added", "not dropped", "number word", "cited", "foreign", "Korean"],
)
def test_a_changed_number_name_or_denial_is_fatal(text: str) -> None:
    assert only(text) is None


def test_a_denial_elsewhere_in_a_long_sentence_changes_nothing() -> None:
    assert only("The mill burned down in 1902.") == 2


def test_each_sentence_is_marked_by_itself() -> None:
    text = "Ilse Brandauer opened it in 1871 [1]. The moon is made of cheese. It burned down. [2]"
    found = supported(text, GIVEN)
    assert [text[s.start : s.end] for s in found] == [
        "Ilse Brandauer opened it in 1871 [1].",
        "The moon is made of cheese.",
        "It burned down. [2]",
    ]
    assert [s.quote for s in found] == [1, None, 2]
    assert all(0 <= s.score <= 1 for s in found) and found[1].score == 0


def test_a_quote_that_is_cited_wins_over_one_that_is_not() -> None:
    given = quotes("It rained in May.", "It rained in May.")
    assert [s.quote for s in supported("It rained in May [2]", given)] == [2]
    assert [s.quote for s in supported("It rained in May.", given)] == [1]


def test_a_wrong_mark_does_not_support_but_the_right_quote_does() -> None:
    assert only("Ilse Brandauer [2]") == 1


def test_an_abstention_claims_nothing() -> None:
    assert supported("Not in these documents.", GIVEN) == ()
    assert supported("[1]", GIVEN) == () and supported("", GIVEN) == ()


def test_an_embedding_helps_where_words_end_but_never_past_a_number() -> None:
    calls: list[Sequence[str]] = []

    def embed(texts: Sequence[str]) -> object:
        calls.append(texts)
        return np.ones((len(texts), 1))

    claim = "The crossing was opened by Ilse Brandauer after long work"
    (plain,) = supported(claim, GIVEN)
    (helped,) = supported(claim, GIVEN, embed)
    assert (plain.quote, helped.quote) == (None, 1) and calls
    (wrong,) = supported(f"{claim} in 1999", GIVEN, embed)
    assert wrong.quote is None


def test_abbreviations_do_not_end_a_sentence() -> None:
    text = "Dr. Brandauer met J. Smith. He left."
    assert [text[s:e] for s, e in sentences(text)] == ["Dr. Brandauer met J. Smith.", "He left."]


@pytest.mark.parametrize("between", [" ", "\n"])
def test_a_mark_after_the_full_stop_ends_its_sentence(between: str) -> None:
    text = (
        f"It opened in 1871. [1]{between}It burned down. [2] [3]{between}보증금은 500만 원이다. [3]"
    )
    assert [text[s:e] for s, e in sentences(text)] == [
        "It opened in 1871. [1]", "It burned down. [2] [3]", "보증금은 500만 원이다. [3]"
    ]  # fmt: skip
    assert [one.quote for one in supported(f"{MILL} [2]{between}{KOREAN} [3]", GIVEN)] == [2, 3]
