"""Text that was copied from a private document is known again, however it is written."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from ondol import database
from ondol.database import IN_MEMORY
from ondol.folding import letters
from ondol.retrieval.library import Library
from ondol.retrieval.marks import PASSAGE_LETTERS
from ondol.types import Sensitivity

DIARY = (
    "On Thursday the surgeon told us that the second operation would have to wait until March. "
    "We have not told the children yet, and Ilse sold the blue boat to pay for the clinic.\n\n"
    "수요일에 은행 담당자가 대출 연장을 거절했고, 우리는 가게를 봄까지만 열기로 했다."
)
MANUAL = "Turn the valve on the left side clockwise until the needle of the gauge points at two."

FREE = "An entirely different text about valves, gauges and the left side of the machine."


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
        FREE,
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


def test_a_long_document_has_no_seams() -> None:
    rng = random.Random(9)
    words = ["".join(rng.choices("abcdefghijklmnop", k=k % 7 + 2)) for k in range(900)]
    text = " ".join(" ".join(rng.choices(words, k=14)).capitalize() + "." for _ in range(1500))
    # Fingerprints are made of so much at once.
    seams = [place for place in range(30_000, len(text), 31) if place % 38_000 < 6_000]
    with closing(Library(IN_MEMORY, FakeEmbedder())) as library:
        library.add_text("long.txt", text)
        for start in seams:
            assert library.find_private(text[start : start + 44]), start


def test_a_passage_over_many_small_chunks_is_found() -> None:
    heads = ["Harbour", "Dredging", "Assembly", "Session", "Protocol", "Decision", "Payments"]
    with closing(Library(IN_MEMORY, FakeEmbedder())) as library:
        text = "\n\n".join(f"# {head}" for head in heads)
        library.add_text("heads.md", text, media_type="text/markdown")
        assert library.documents()[0].num_chunks == len(heads)
        for start in range(len(heads) - 4):
            assert library.find_private(" ".join(heads[start : start + 5]))


def test_fingerprints_are_stored_with_the_chunks_and_copied_with_them(tmp_path: Path) -> None:
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text(DIARY, "utf-8")
    with closing(Library(tmp_path / "ondol.db", FakeEmbedder())) as library:
        library.add([tmp_path / "one.txt", tmp_path / "two.txt"])
        assert stored(library)
        # The second stands alone from here on.
        library.add([tmp_path / "two.txt"], sensitivity=Sensitivity.PRIVATE)
        assert [one.duplicate_of for one in library.documents()] == [None, None]
        assert stored(library)
        library.forget([tmp_path / "one.txt"])
        assert stored(library) and library.find_private(DIARY)
        library.forget([tmp_path / "two.txt"])
        assert not library.find_private(DIARY)
        assert library._connection.execute("SELECT count(*) FROM chunk_marks").fetchone() == (0,)


def stored(library: Library) -> bool:
    """Whether every chunk has fingerprints."""
    chunks, rows = library._connection.execute(
        "SELECT (SELECT count(*) FROM chunks), "
        "(SELECT count(*) FROM chunk_marks WHERE length(marks) > 0)"
    ).fetchone()
    return bool(chunks == rows > 0)


def test_a_library_without_fingerprints_gets_them(tmp_path: Path) -> None:
    file = tmp_path / "ondol.db"
    with closing(Library(file, FakeEmbedder())) as library:
        library.add_text("diary.txt", DIARY)
        library.add_text("manual.txt", MANUAL)
        library._connection.execute("DELETE FROM chunk_marks WHERE chunk_id = 1")
        assert library.find_private(DIARY) and library.find_private(MANUAL)
        assert stored(library)


def test_no_question_waits_for_a_writer(tmp_path: Path) -> None:
    file = tmp_path / "ondol.db"
    with closing(Library(file, FakeEmbedder())) as library:
        library.add_text("diary.txt", DIARY)
        library._connection.execute("DELETE FROM chunk_marks")
        with closing(database.connect(file)) as writer, database.transaction(writer):
            assert library.find_private(DIARY)
        assert not stored(library) and library.find_private(DIARY)
    with closing(Library(file, FakeEmbedder())) as library:
        assert library.find_private(DIARY) and stored(library)


def test_what_another_process_adds_and_forgets_is_known(tmp_path: Path) -> None:
    file = tmp_path / "ondol.db"
    with (
        closing(Library(file, FakeEmbedder())) as library,
        closing(Library(file, FakeEmbedder())) as other,
    ):
        for number in range(6):
            text = f"{MANUAL.replace('valve', f'valve{number}')} {MANUAL[20:]}"
            library.add_text(f"{number}.txt", text)
            assert other.find_private(f"Turn the valve{number} on the left side clockwise")
        library.forget(matching="valve3")
        assert not other.find_private("Turn the valve3 on the left side clockwise")
        assert other.find_private("Turn the valve4 on the left side clockwise")
        library.add_text("diary.txt", DIARY)
        assert other.find_private(DIARY)


def test_who_asks_often_gets_the_same_answers(library: Library) -> None:
    library.add_text("manual.txt", MANUAL)
    answers = {
        (
            library.find_private(DIARY[10:90]),
            library.find_private(MANUAL),
            library.find_private(FREE),
        )
        for _ in range(30)
    }
    assert answers == {(True, True, False)}
    library.forget(matching="surgeon")
    assert not library.find_private(DIARY) and library.find_private(MANUAL)


def test_what_many_passages_begin_with_is_no_passage() -> None:
    with closing(Library(IN_MEMORY, FakeEmbedder())) as library:
        for number in range(20):
            library.add_text(
                f"{number}.txt", f"Terms and conditions of every sale no. {number + 10}."
            )
        assert not library.find_private("Where do I find the terms and conditions of rent?")
        assert not library.find_private("0" * 4000)
        assert library.find_private("I read: terms and conditions of every sale no. 17.")


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
