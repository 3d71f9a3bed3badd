"""Copies are shown once, forms filled in twice are not copies, and the best hit stays first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.retrieval.diversity import Fingerprint, collapse, diversify, overlap, spread
from ondol.types import Chunk, Hit

LEASE = (
    "The tenant pays the rent of 900 euros on the first day of every month. The tenant may keep "
    "one cat, and shall tell the landlord before a second one moves in. Repairs of the heating "
    "are the landlord's matter, unless the tenant has broken it on purpose. The tenant Alice "
    "Brown hands the flat back as she found it, swept clean and with every key."
)
BYLAWS = (
    "입주민 김영수 님은 매월 25일까지 관리비를 낸다. 주차는 세대마다 한 대까지 무료이며 "
    "두 번째 차는 월 3만 원을 낸다. 층간 소음은 밤 열 시부터 아침 여섯 시까지 삼가야 하며 "
    "애완동물은 목줄을 맨다."
)


def hits(*texts: str) -> list[Hit]:
    return [
        Hit(Chunk(text, 0, len(text), source=f"/{n}.txt"), 1.0 - n / 100, n + 1)
        for n, text in enumerate(texts)
    ]


@pytest.mark.parametrize(
    "copy",
    [
        LEASE,
        LEASE.upper(),
        LEASE.replace(" ", "\n  ").replace(",", ""),
        "> " + LEASE.replace(". ", ".\n> "),
        LEASE.replace("shall tell", "must tell").replace("on purpose", "wilfully"),
        LEASE[:200],
    ],
    ids=["same", "capitals", "wrapped", "quoted in a mail", "an earlier draft", "a part of it"],
)
def test_copy_is_shown_once_and_its_source_is_named(copy: str) -> None:
    shown = collapse(hits(LEASE, "Something else.", copy), 10)
    assert [hit.chunk.source for hit in shown] == ["/0.txt", "/1.txt"]
    assert [hit.rank for hit in shown] == [1, 2]
    assert shown[0].also_in == ("/2.txt",)


@pytest.mark.parametrize(
    ("text", "other"),
    [
        (LEASE, LEASE.replace("900", "950")),
        (LEASE, LEASE.replace("Alice Brown", "Bob Green")),
        (LEASE[:200], LEASE),
        (BYLAWS, BYLAWS.replace("김영수", "박서연")),
        (BYLAWS, BYLAWS.replace("3만", "5만")),
        ("Coffee 3.50", "Coffee 4.50"),
    ],
    ids=["sum", "name", "the longer one says more", "Korean name", "Korean sum", "short"],
)
def test_text_that_tells_something_else_is_no_copy(text: str, other: str) -> None:
    assert len(collapse(hits(text, other), 10)) == 2


def test_copies_do_not_take_the_places_of_others() -> None:
    shown = collapse(hits(LEASE, LEASE, LEASE, "One.", "Two."), 2)
    assert [hit.chunk.source for hit in shown] == ["/0.txt", "/3.txt"]
    assert shown[0].also_in == ("/1.txt", "/2.txt")


def test_copy_in_the_same_file_is_not_named_as_another() -> None:
    first, second = hits(LEASE, LEASE)
    same = Hit(Chunk(LEASE, 900, 900 + len(LEASE), source=first.chunk.source), 0.9, 2)
    assert collapse([first, same, second], 10)[0].also_in == ("/1.txt",)


@given(st.text(max_size=60))
def test_every_text_repeats_itself_unless_it_has_no_word(text: str) -> None:
    mine = Fingerprint(text)
    assert mine.repeats(Fingerprint(text)) == bool(mine.words)


relevances = st.lists(st.floats(0.0, 1.0), max_size=12).map(lambda x: sorted(x, reverse=True))


@given(relevances, st.integers(0, 2**16), st.integers(1, 12), st.floats(0.0, 1.0))
def test_diversify_keeps_the_best_first_and_repeats_nobody(
    relevance: list[float], seed: int, limit: int, trade_off: float
) -> None:
    def similarity(one: int, other: int) -> float:
        return ((one + 1) * (other + 1) * (seed + 1)) % 97 / 96

    order = diversify(relevance, similarity, limit, trade_off)
    assert len(order) == len(set(order)) == min(limit, len(relevance))
    assert order[:1] == [0][: len(order)]


@given(relevances, st.integers(1, 12))
def test_relevance_alone_leaves_the_order(relevance: list[float], limit: int) -> None:
    order = diversify(relevance, lambda one, other: 1.0, limit, trade_off=1.0)
    assert [relevance[i] for i in order] == relevance[:limit]


def test_something_new_comes_before_more_of_the_same() -> None:
    told = [{"rent", "due"}, {"rent", "due"}, {"cat"}]
    order = diversify(
        [1.0, 0.9, 0.85], lambda a, b: overlap(frozenset(told[a]), frozenset(told[b])), 3, 0.8
    )
    assert order == [0, 2, 1]


def test_spread_search_shows_copies_once_too() -> None:
    shown = spread(hits(LEASE, LEASE, "The cat sleeps.", "Roses bloom in June."), 10)
    assert [hit.rank for hit in shown] == [1, 2, 3]
    assert shown[0].chunk.source == "/0.txt"
    assert shown[0].also_in == ("/1.txt",)
