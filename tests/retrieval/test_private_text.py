"""Text that was copied from a private document is known again, however it is written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing

import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from ondol.database import IN_MEMORY
from ondol.folding import letters
from ondol.retrieval.library import Library
from ondol.retrieval.private_text import PASSAGE_LETTERS
from ondol.types import Sensitivity

DIARY = (
    "On Thursday the surgeon told us that the second operation would have to wait until March. "
    "We have not told the children yet, and Ilse sold the blue boat to pay for the clinic.\n\n"
    "수요일에 은행 담당자가 대출 연장을 거절했고, 우리는 가게를 봄까지만 열기로 했다."
)
MANUAL = "Turn the valve on the left side clockwise until the needle of the gauge points at two."


@pytest.fixture
def library() -> Iterator[Library]:
    with closing(Library(IN_MEMORY, FakeEmbedder())) as opened:
        opened.add_text("diary.txt", DIARY)
        yield opened


@pytest.mark.parametrize(
    "pasted",
    [
        "the second operation would have to wait until March",
        "Rewrite nicely: ILSE SOLD THE BLUE BOAT, TO PAY FOR THE CLINIC!",
        "i l s e s o l d t h e b l u e b o a t t o p a y f o r t h e c l i n i c",
        "Ilse\u200b sоld thе bluе bоat to pay for thе clinic",
        "은행 담당자가 대출 연장을 거절했고 우리는",
        "거절했고우리는가게를봄까지만열기로했다",
        # Over the end of a sentence and of a paragraph.
        "boat to pay for the clinic. 수요일에 은행",
    ],
)
def test_a_passage_of_a_private_document_is_found(library: Library, pasted: str) -> None:
    assert library.find_private(pasted)
    assert library.find_private(f"What does this mean? {pasted} Thank you.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "the blue boat",
        "When is the second operation, and who sold the boat?",
        "가게는 언제까지 열기로 했나요?",
        "An entirely different text about valves, gauges and the left side of the machine.",
    ],
)
def test_a_question_in_the_owners_own_words_is_free(library: Library, text: str) -> None:
    assert not library.find_private(text)


def test_the_label_counts_that_a_document_has_now(library: Library) -> None:
    library.collections.set_sensitivity("default", Sensitivity.TRUSTED)
    assert not library.find_private(DIARY)
    library.collections.set_sensitivity("default", Sensitivity.PRIVATE)
    assert library.find_private(DIARY)


def test_what_is_added_later_is_found_and_what_is_forgotten_is_not(library: Library) -> None:
    assert not library.find_private(MANUAL)
    library.add_text("manual.txt", MANUAL)
    assert library.find_private(MANUAL)
    chosen = library.chosen(matching="surgeon")
    assert chosen
    library.forget(matching="surgeon")
    assert not library.find_private(DIARY)
    assert library.find_private(MANUAL)


def test_a_passage_over_two_chunks_is_found() -> None:
    words = [f"{a}{b}" for a in "aeiou" for b in ("mber", "rgent", "nkle", "ther", "sper")]
    rng = random.Random(5)
    text = " ".join(" ".join(rng.choices(words, k=12)).capitalize() + "." for _ in range(60))
    with closing(Library(IN_MEMORY, FakeEmbedder())) as library:
        library.add_text("long.txt", text)
        assert library.documents()[0].num_chunks > 2
        for start in range(0, len(text) - 200, 7):
            assert library.find_private(text[start : start + 60]), start


@given(data=st.data())
def test_every_passage_of_the_length_is_found_and_no_shorter_one(
    data: st.DataObject, known: Library
) -> None:
    start = data.draw(st.integers(0, len(DIARY) - 80))
    end = start
    while len(letters(DIARY[start:end])) < PASSAGE_LETTERS:
        end += 1
    assert known.find_private(f"xq {DIARY[start:end]} qx")
    short = DIARY[start:end]
    while len(letters(short)) >= PASSAGE_LETTERS:
        short = short[:-1]
    assert not known.find_private(f"xq {short} \u03c7\u03c7 qx")


@pytest.fixture(scope="module")
def known() -> Iterator[Library]:
    with closing(Library(IN_MEMORY, FakeEmbedder())) as opened:
        opened.add_text("diary.txt", DIARY)
        yield opened
