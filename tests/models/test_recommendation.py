"""Which models suit which machine, and the reasons given."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import UsageError
from ondol.i18n import LANGUAGES, use_language
from ondol.models.catalog import Entry, load
from ondol.models.hardware import Gpu, Machine
from ondol.models.recommendation import parse_size, recommend, room, show_size

GIB = 2**30


def entry(name: str, billions: float, kind: str = "chat", **fields: object) -> Entry:
    given = {
        "sources": ("file:x",),
        "size_bytes": int(billions * 0.6e9),
        "licence": "Apache-2.0",
        "context_length": 32_768,
        "parameters": int(billions * 1e9),
        "family": "x",
        "quantization": "Q4_K_M",
        **fields,
    }
    return Entry(name=name, kind=kind, **given)  # type: ignore[arg-type]


CATALOG = [
    entry("tiny", 0.1),
    entry("small", 1, good_for=("korean", "code", "xyz"), languages=("ko", "en")),
    entry("medium", 8),
    entry("large", 30),
    entry("huge", 120),
    entry("embedder", 0.5, "embedding"),
]


def computer(ram_gib: float, *gpu_gib: float) -> Machine:
    cards = tuple(Gpu("Card", int(g * GIB), int(g * GIB)) for g in gpu_gib)
    return Machine(8, 4, int(ram_gib * GIB), int(ram_gib * GIB), "cpu", (), cards)


def names(found: list) -> list[str]:
    return [recommendation.entry.name for recommendation in found]


def test_the_largest_that_fits_comes_first() -> None:
    assert names(recommend(CATALOG, 4 * GIB)) == ["small", "tiny"]
    assert names(recommend(CATALOG, 10 * GIB)) == ["medium", "small", "tiny"]


def test_what_would_crawl_on_a_cpu_comes_after_what_does_not() -> None:
    found = recommend(CATALOG, 256 * GIB)
    assert names(found) == ["medium", "small", "tiny", "large", "huge"]
    assert "slow" in found[3].why and "slow" not in found[0].why


def test_what_few_cores_would_read_for_minutes_comes_after_what_they_would_not() -> None:
    few = Machine(2, 2, 32 * GIB, 32 * GIB, "cpu", ())
    found = recommend(CATALOG, few)
    assert names(found)[:3] == ["small", "tiny", "medium"]
    assert "2 cores" in found[2].why and "100 seconds" in found[2].why
    many = Machine(16, 16, 32 * GIB, 32 * GIB, "cpu", ())
    assert names(recommend(CATALOG, many))[0] == "medium"
    with_card = Machine(2, 2, 32 * GIB, 32 * GIB, "cpu", (), (Gpu("Card", 24 * GIB, 24 * GIB),))
    assert names(recommend(CATALOG, with_card))[0] == "large"


def test_a_model_made_for_one_thing_is_not_the_first_choice_for_everything() -> None:
    catalog = [entry("coder", 2, good_for=("code",)), entry("talker", 1.7, good_for=("chat",))]
    assert names(recommend(catalog, 8 * GIB)) == ["talker", "coder"]
    assert names(recommend(catalog, 8 * GIB, good_for="code")) == ["coder"]


def test_on_a_gpu_the_largest_that_fits_it_comes_first() -> None:
    found = recommend(CATALOG, computer(64, 24))
    assert names(found) == ["large", "medium", "small", "tiny"]
    assert found[0].fits == "gpu" and "Card" in found[0].why
    spilled = recommend(CATALOG, computer(256, 24))
    assert (spilled[-1].entry.name, spilled[-1].fits) == ("huge", "ram")


def test_cards_are_used_together() -> None:
    assert recommend(CATALOG, computer(16, 48, 48))[0].entry.name == "huge"


def test_nothing_that_does_not_fit_is_recommended_unless_asked_for() -> None:
    assert recommend(CATALOG, 256 * 2**20) == []
    shown = recommend(CATALOG, 4 * GIB, limit=1, include_unfit=True)
    assert [r.fits for r in shown] == ["ram", "no", "no", "no"]
    assert names(shown) == ["small", "medium", "large", "huge"]
    assert "Does not fit" in shown[1].why


def test_only_the_kind_asked_for_is_recommended() -> None:
    assert names(recommend(CATALOG, 8 * GIB, kind="embedding")) == ["embedder"]
    assert recommend(CATALOG, 8 * GIB, kind="reranker") == []


@pytest.mark.parametrize("wanted", ["korean", "Korean", "ko"])
def test_a_topic_or_language_narrows_the_list(wanted: str) -> None:
    assert names(recommend(CATALOG, 8 * GIB, good_for=wanted)) == ["small"]


def test_a_longer_context_needs_more_room() -> None:
    short = recommend(CATALOG, 64 * GIB, num_ctx=2048)[0]
    long = recommend(CATALOG, 64 * GIB, num_ctx=32_768)[0]
    assert long.need_bytes > short.need_bytes
    capped = recommend([entry("x", 1, context_length=512)], 8 * GIB, num_ctx=32_768)[0]
    assert capped.need_bytes < recommend([entry("x", 1)], 8 * GIB, num_ctx=32_768)[0].need_bytes


def test_the_reason_is_one_sentence_in_the_readers_language() -> None:
    for language in LANGUAGES:
        with use_language(language):
            found = recommend(CATALOG, computer(8, 2), include_unfit=True)
            assert {r.fits for r in found} == {"gpu", "ram", "no"}
            for recommendation in found:
                assert recommendation.why.count(". ") == 0 and recommendation.why.endswith(".")
    with use_language("ko"):
        why = recommend(CATALOG, 4 * GIB)[0].why
    assert "한국어" in why and "xyz" in why


@given(st.integers(0, 2**42), st.lists(st.integers(0, 2**38), max_size=4))
def test_every_recommendation_fits_with_room_for_the_system(ram: int, cards: list[int]) -> None:
    gpus = tuple(Gpu("Card", size, size) for size in cards)
    place = Machine(4, 4, ram, ram, "cpu", (), gpus)
    for found in recommend(CATALOG, place, limit=10):
        assert found.fits in ("ram", "gpu")
        most = ram if found.fits == "ram" else sum(cards)
        assert found.need_bytes < most
    assert 0 <= room(ram).ram_bytes <= ram


def test_the_shipped_catalogue_has_something_for_every_machine() -> None:
    for gib in (1, 2, 4, 8, 16, 32, 64):
        found = recommend(load(), gib * GIB)
        assert found, gib
        assert all(r.need_bytes < gib * GIB for r in found)
    assert recommend(load(), 8 * GIB, kind="embedding")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8 * GIB),
        ("8", 8 * GIB),
        (" 7.5 gib ", int(7.5 * GIB)),
        ("512m", 512 * 2**20),
        ("64KB", 65_536),
        ("1T", 2**40),
    ],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "0", "8 apples", "1e9", "9" * 50, "８GB"])
def test_what_is_not_a_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert caught.value.param == "ram" and caught.value.hint


@given(st.text(max_size=50))
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    try:
        assert parse_size(text) >= 1
    except UsageError as error:
        assert error.message


def test_sizes_are_shown_in_the_unit_that_reads_best() -> None:
    assert show_size(8 * GIB) == "8.0 GB"
    assert show_size(320 * 2**20) == "320 MB"
