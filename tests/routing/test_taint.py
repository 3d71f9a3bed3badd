"""What was said is known again by hash; no text of it is kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ondol import database
from ondol.folding import letters
from ondol.routing.taint import LEAST_LETTERS, SURE_LETTERS, Spoken
from ondol.types import Sensitivity

SECRET = "The second operation would have to wait until March, said the surgeon on Thursday."


def test_labels_survive_the_process(tmp_path: Path) -> None:
    with closing(database.connect(tmp_path / "a.db")) as connection:
        Spoken(connection).remember(SECRET, Sensitivity.PRIVATE)
        Spoken(connection).remember("Yes.", Sensitivity.TRUSTED)
    with closing(database.connect(tmp_path / "a.db")) as connection:
        spoken = Spoken(connection)
        assert spoken.sensitivity(SECRET) is Sensitivity.PRIVATE
        assert spoken.sensitivity("yes") is Sensitivity.TRUSTED
        assert spoken.sensitivity("no") is None
        assert spoken.quotes("he said it would have to wait until March said the surgeon")


def test_nothing_of_a_text_is_in_the_database(tmp_path: Path) -> None:
    with closing(database.connect(tmp_path / "a.db")) as connection:
        Spoken(connection).remember(SECRET, Sensitivity.PRIVATE)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    held = b"".join(file.read_bytes() for file in tmp_path.iterdir()).lower()
    for word in (b"operation", b"surgeon", b"thursday", b"until march"):
        assert word not in held


def test_two_devices_do_not_hash_alike() -> None:
    rows = []
    for _ in range(2):
        with closing(database.connect(database.IN_MEMORY)) as connection:
            Spoken(connection).remember(SECRET, Sensitivity.PRIVATE)
            rows.append(connection.execute("SELECT text_hash FROM spoken").fetchall())
            rows.append(connection.execute("SELECT passage_hash FROM spoken_passages").fetchall())
    assert rows[0] != rows[2]
    assert not set(rows[1]) & set(rows[3])


def test_what_is_forgotten_is_unknown() -> None:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        spoken = Spoken(connection)
        spoken.remember(SECRET, Sensitivity.PRIVATE)
        spoken.notice([SECRET])
        spoken.forget()
        assert spoken.sensitivity(SECRET) is None
        assert not spoken.quotes(SECRET)


def test_signs_alone_are_told_apart() -> None:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        spoken = Spoken(connection)
        spoken.remember("👍", Sensitivity.PRIVATE)
        assert spoken.sensitivity("👎") is None
        assert spoken.sensitivity(" 👍\n") is Sensitivity.PRIVATE


WORDS = "가게를 봄까지만 열기로 했다 boat clinic Thursday surgeon 은행 담당자 March blue".split()


@settings(max_examples=60)
@given(data=st.data(), lists=st.lists(st.sampled_from(WORDS), min_size=25, max_size=60))
def test_every_passage_of_what_was_private_is_known_and_nothing_short(
    data: st.DataObject, lists: list[str]
) -> None:
    text = " ".join(f"{word}{n}" for n, word in enumerate(lists))
    start = data.draw(st.integers(0, len(text) // 2))
    end = start
    while len(letters(text[start:end])) < SURE_LETTERS and end < len(text):
        end += 1
    with closing(database.connect(database.IN_MEMORY)) as connection:
        spoken = Spoken(connection)
        spoken.remember(text, Sensitivity.PRIVATE)
        if len(letters(text[start:end])) >= SURE_LETTERS:
            assert spoken.quotes(f"??? {text[start:end]} !!!")
        short = text[start:end]
        while len(letters(short)) >= LEAST_LETTERS:
            short = short[:-1]
        assert not spoken.quotes(f"\u03c8\u03c8\u03c8 {short} \u03c8\u03c8\u03c8")


def test_text_that_its_owner_made_freer_since_is_no_secret_of_an_old_answer() -> None:
    with closing(database.connect(database.IN_MEMORY)) as connection:
        spoken = Spoken(connection)
        spoken.notice([SECRET])
        spoken.remember(
            f"{SECRET} Her name is Mina Park, and she keeps bees in Jeonju.", Sensitivity.PRIVATE
        )
        spoken.notice_free([SECRET])
        assert not spoken.quotes(f"[1] {SECRET}")
        assert spoken.quotes("Look: her name is Mina Park, and she keeps bees in Jeonju!")
        spoken.notice([SECRET])
        assert spoken.quotes(SECRET)


def test_what_is_not_written_down_yet_is_known_already(tmp_path: Path) -> None:
    with (
        closing(database.connect(tmp_path / "a.db")) as connection,
        closing(database.connect(tmp_path / "a.db")) as other,
    ):
        spoken = Spoken(connection)
        before = spoken.stamp()
        heard = spoken.hear(SECRET, Sensitivity.PRIVATE)
        assert spoken.stamp() != before
        assert spoken.sensitivity(SECRET) is Sensitivity.PRIVATE
        assert spoken.quotes("he said it would have to wait until March said the surgeon")
        assert Spoken(other).sensitivity(SECRET) is None
        with database.transaction(other):
            heard.write(other)
        heard.done()
        assert Spoken(other).sensitivity(SECRET) is Sensitivity.PRIVATE
        assert spoken.sensitivity(SECRET) is Sensitivity.PRIVATE
        spoken.forget()
        assert spoken.sensitivity(SECRET) is None


def test_of_what_could_not_be_written_down_only_the_private_stays_known(tmp_path: Path) -> None:
    with closing(database.connect(tmp_path / "a.db")) as connection:
        spoken = Spoken(connection)
        for text, label in ((SECRET, Sensitivity.PRIVATE), ("Yes.", Sensitivity.TRUSTED)):
            spoken.hear(text, label).fail()
        assert spoken.sensitivity(SECRET) is Sensitivity.PRIVATE
        assert spoken.sensitivity("Yes.") is None


def test_another_process_changes_the_stamp(tmp_path: Path) -> None:
    with (
        closing(database.connect(tmp_path / "a.db")) as connection,
        closing(database.connect(tmp_path / "a.db")) as other,
    ):
        spoken, elsewhere = Spoken(connection), Spoken(other)
        before = spoken.stamp()
        assert spoken.stamp() == before
        elsewhere.remember(SECRET, Sensitivity.PRIVATE)
        assert spoken.stamp() != before
