"""Korean morphemes beside bigrams: what they find, and when a library has them."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from ondol.database import IN_MEMORY
from ondol.errors import DocumentError
from ondol.retrieval import analysers, korean, reindexing
from ondol.retrieval.evidence import Sentence, is_relevant
from ondol.retrieval.library import Library
from ondol.retrieval.search import Query
from ondol.retrieval.terms import query_terms, terms, terms_for
from ondol.types import Chunk, Hit
from tests.retrieval.fake_embedder import FakeEmbedder

needs_kiwi = pytest.mark.skipif(find_spec("kiwipiepy") is None, reason="ondol[korean] is missing")
INSTALLED = korean.analyser
WORDS = ("보증금은 삼억 원이다", "고양이를 기른다", "계약은 이년이다", "an English line")


def split(text: str) -> list[str]:
    """A fake analyser: words without their particles."""
    words = re.findall(r"[가-힣]+", text)
    return [korean.MARK + re.sub(r"(?<=..)[은는이가을를]$", "", word) for word in words]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make an analyser of that name the installed one; "" for none."""

    def install(name: str) -> None:
        monkeypatch.setattr(korean, "analyser", lambda: name)

        def analysed(text: str) -> list[str]:
            assert korean.analyser(), "an analyser that is not there was asked"
            return split(text)

        monkeypatch.setattr(korean, "morphemes", analysed)

    return install


@pytest.fixture
def library() -> Iterator[Library]:
    with closing(Library(IN_MEMORY, FakeEmbedder())) as opened:
        yield opened


def fill(library: Library, *, rounds: int = 1) -> None:
    for number in range(rounds):
        for word in WORDS:
            library.add_text(f"{word[:2]} {number}.txt", f"{word}. {number}번째 글.")


def with_term(library: Library, term: str) -> int:
    (found,) = library._connection.execute(
        "SELECT count(*) FROM chunk_terms WHERE chunk_terms MATCH ?", (f'"{term}"',)
    ).fetchone()
    return int(found)


def asked(library: Library, question: str) -> tuple[str, ...]:
    return library._searcher._prepare(question, None)[0].terms


@pytest.mark.parametrize("text", ["plain English 12", "k k9 kㄱ", "漢字 かな", ""])
def test_text_without_hangul_has_the_terms_it_always_had(install, text: str) -> None:
    install("fake 1")
    assert terms(text, morphemes=True) == terms(text)
    assert query_terms(text, morphemes=True) == query_terms(text)


def test_morphemes_stand_beside_bigrams_and_collide_with_no_other_term(install) -> None:
    install("fake 1")
    assert terms("보험금을", morphemes=True) == ["보험", "험금", "금을", "k보험금"]
    assert terms("k보험금") == ["보험", "험금", "k"]


def test_sentence_mentions_a_morpheme_inside_a_longer_word() -> None:
    assert terms_for(["k보험", "보험", "k약"], "보험금을 받았다")[-1] == "k보험"
    assert terms_for(["k9", "kit"], "k9 kit") == terms("k9 kit")
    decomposed = "\u1107\u1169\u1112\u1165\u11b7\u1100\u1173\u11b7"
    assert terms_for(["k보험"], decomposed)[-1] == "k보험"


def test_new_library_has_morphemes_where_the_analyser_is_installed(install, library) -> None:
    install("fake 1")
    fill(library)
    assert analysers.recorded(library._connection) == "fake 1"
    assert with_term(library, "k보증금") == 1
    assert "k보증금" in asked(library, "보증금은 얼마인가요?")
    assert library.search("보증금", limit=1)[0].chunk.text.startswith("보증금")


def test_library_keeps_to_bigrams_until_it_is_reindexed(install, library) -> None:
    install("")
    fill(library)
    install("fake 1")
    library.add_text("later.txt", "보증금이 올랐다.")
    assert with_term(library, "k보증금") == 0 and "k보증금" not in asked(library, "보증금은?")
    progress: list[tuple[int, int]] = []
    report = library.reindex(lambda *numbers: progress.append(numbers))
    assert report == reindexing.Reindexed("fake 1", "", 5) and progress == [(5, 5)]
    assert with_term(library, "k보증금") == 2 and "k보증금" in asked(library, "보증금은?")
    assert library.reindex() == reindexing.Reindexed("fake 1", "fake 1", 0)


def test_questions_fall_back_to_bigrams_while_the_analyser_is_gone(install, library) -> None:
    install("fake 1")
    fill(library)
    install("")
    assert asked(library, "보증금은 얼마?") == ("보증", "증금")
    assert library.search("보증금", limit=1)[0].chunk.text.startswith("보증금")
    library.add_text("english.txt", "Nothing Korean in it.")
    install("fake 1")
    assert "k보증금" in asked(library, "보증금은?"), "English text needs no analyser"


def test_korean_that_comes_without_the_analyser_ends_the_record(install, library) -> None:
    install("fake 1")
    fill(library)
    install("")
    library.add_text("later.txt", "보증금이 올랐다.")
    install("fake 1")
    assert analysers.recorded(library._connection) == ""
    assert "k보증금" not in asked(library, "보증금은?"), "some documents would lose by it"
    assert library.reindex().chunks == 5
    assert with_term(library, "k보증금") == 2


def test_reindexing_without_an_analyser_goes_back_to_bigrams(install, library) -> None:
    install("fake 1")
    fill(library)
    install("")
    assert library.reindex() == reindexing.Reindexed("", "fake 1", 4)
    assert with_term(library, "k보증금") == 0 and with_term(library, "보증") == 1


def test_emptied_library_takes_the_analyser_that_is_there(install, library, tmp_path) -> None:
    install("")
    file = tmp_path / "글.txt"
    file.write_text("보증금은 삼억 원이다.", "utf-8")
    library.add([file])
    library.forget([file])
    install("fake 1")
    library.add([file])
    assert analysers.recorded(library._connection) == "fake 1"
    assert with_term(library, "k보증금") == 1


def test_moved_file_keeps_its_morphemes(install, library, tmp_path) -> None:
    install("fake 1")
    file = tmp_path / "계약.txt"
    file.write_text("보증금은 삼억 원이다.", "utf-8")
    library.add([tmp_path])
    file.rename(tmp_path / "임대차.txt")
    library.sync()
    assert with_term(library, "k임대차") == 1 and with_term(library, "k계약") == 0
    assert with_term(library, "k보증금") == 1


def test_text_that_was_read_before_a_reindexing_is_stored_with_morphemes(
    install, library, monkeypatch
) -> None:
    install("")
    fill(library)
    install("fake 1")
    real = FakeEmbedder.embed_passages

    def embed(self: FakeEmbedder, *given: object) -> object:
        # Between the reading and the storing, as another process would.
        assert library.reindex().chunks == 4
        return real(self, *given)

    monkeypatch.setattr(FakeEmbedder, "embed_passages", embed)
    library.add_text("later.txt", "보증금이 올랐다.")
    assert with_term(library, "k보증금") == 2


def test_document_that_is_forgotten_while_its_terms_are_made_stays_away(
    install, library, tmp_path, monkeypatch
) -> None:
    install("")
    for name in ("하나", "둘"):
        (tmp_path / f"{name}.txt").write_text(f"{name}에는 보증금이 있다.", "utf-8")
    library.add([tmp_path])
    install("fake 1")
    real = korean.morphemes

    def morphemes(text: str) -> list[str]:
        monkeypatch.setattr(korean, "morphemes", real)
        library.forget([tmp_path / "하나.txt"])
        return real(text)

    monkeypatch.setattr(korean, "morphemes", morphemes)
    library.reindex()
    assert with_term(library, "k하나에는") == 0 and with_term(library, "k보증금") == 1


def test_killed_at_any_statement_a_reindexing_goes_on_where_it_was(
    install, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(reindexing, "REINDEXED_AT_ONCE", 3)
    install("")
    template, file = tmp_path / "template.db", tmp_path / "library.db"
    with closing(Library(template, FakeEmbedder())) as library:
        fill(library, rounds=3)
        library._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    install("fake 1")
    steps, outcomes = 1, set()
    while True:
        for old in tmp_path.glob("library.db*"):
            old.unlink()
        shutil.copy(template, file)
        died = _reindex_and_die(file, steps)
        with closing(Library(file, FakeEmbedder())) as library:
            connection = library._connection
            connection.execute("INSERT INTO chunk_terms(chunk_terms) VALUES ('integrity-check')")
            has_all = with_term(library, "k보증금") == 3 and with_term(library, "k고양이") == 3
            is_recorded = analysers.recorded(connection) == "fake 1"
            assert with_term(library, "보증") == 3, "a document lost its terms"
            assert not is_recorded or has_all, "questions would use what is not there"
            assert ("k보증금" in asked(library, "보증금은?")) is is_recorded
            outcomes.add(is_recorded)
            assert library.reindex().analyser == "fake 1"
            assert with_term(library, "k보증금") == 3 and with_term(library, "보증") == 3
        if not died:
            break
        steps += 4
    assert outcomes == {False, True} and steps > 40


def _reindex_and_die(file: Path, step: int) -> bool:
    child = os.fork()
    if not child:
        library = Library(file, FakeEmbedder())
        count = [0]

        def watch(_: str) -> None:
            count[0] += 1
            if count[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)

        library._connection.set_trace_callback(watch)
        library.reindex()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_interrupted_reindexing_is_not_begun_again_from_the_start(
    install, library, monkeypatch
) -> None:
    monkeypatch.setattr(reindexing, "REINDEXED_AT_ONCE", 3)
    install("")
    fill(library, rounds=3)
    install("fake 1")

    class KilledError(Exception):
        pass

    def stop(completed: int, total: int) -> None:
        if completed == 9:
            raise KilledError

    with pytest.raises(KilledError):
        library.reindex(stop)
    library.add_text("meanwhile.txt", "보증금이 올랐다.")
    assert with_term(library, "k보증금") == 4, "what is new has its morphemes at once"
    assert library.reindex().chunks == 4


def test_question_with_morphemes_asks_for_more_before_something_counts_as_found() -> None:
    hit = Hit(Chunk("글", 0, 1), 1.0, 1)
    sentences = [Sentence(hit, 0, 1, coverage=0.13, cosine=0.0)]
    assert is_relevant(Query("?", ("보증", "k"), None), sentences, among=1)
    assert not is_relevant(Query("?", ("보증", "k보증금"), None), sentences, among=1)


def test_analyser_that_cannot_be_loaded_is_said(monkeypatch) -> None:
    korean._kiwi.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "kiwipiepy", None)
    with pytest.raises(DocumentError, match="analyser cannot be used"):
        korean.morphemes("한국어")
    korean._kiwi.cache_clear()


def test_no_analyser_is_no_name(monkeypatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert INSTALLED.__wrapped__() == ""


@needs_kiwi
def test_kiwi_finds_content_morphemes() -> None:
    found = korean.morphemes("임차인은 고양이를 두 마리까지 기를 수 있다. The boiler cost 120 won.")
    assert {"k임차인", "k고양이", "k기르"} <= set(found)
    assert not {"k은", "k를", "k까지", "kboiler", "k120"} & set(found)
    assert korean.query_morphemes("왜 그 이유를 알려 주세요") == []
    assert INSTALLED().startswith("kiwi 0.")


@needs_kiwi
def test_kiwi_brings_an_inflected_verb_to_its_stem(library, monkeypatch) -> None:
    monkeypatch.setattr(korean, "analyser", INSTALLED)
    library.add_text("a.txt", "김 과장이 어제 짐을 날랐다.")
    library.add_text("b.txt", "박 과장이 어제 짐을 받았다.")
    assert with_term(library, "k나르") == 1 and with_term(library, "나르") == 0
    assert "k나르" in asked(library, "누가 짐을 나르나요?")
