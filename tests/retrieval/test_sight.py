"""What is out of sight is found by who names it, and changes nothing for anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_embedder import FakeEmbedder

from ondol import database
from ondol.errors import CollectionNotFoundError, UsageError
from ondol.retrieval.filters import Filter
from ondol.retrieval.library import Library
from ondol.retrieval.sight import collection_of
from ondol.types import Sensitivity

SECRET = "The boiler is a zebrafish aquarium."
NAMES = ["one", "two", "three"]


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    """Three documents in sight, and twenty files in each of two conversations."""
    library = Library(database.IN_MEMORY, FakeEmbedder())
    for name in NAMES:
        (tmp_path / f"{name}.txt").write_text(f"The boiler number {name} stands in the cellar.")
    library.add([tmp_path / f"{name}.txt" for name in NAMES])
    for conversation in ("a", "b"):
        for number in range(20):
            file = tmp_path / conversation / f"{number}.txt"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"{SECRET} Number {number} in {conversation}.")
            assert library.attach(file, conversation) == ""
    yield library
    library.close()


def sources(hits) -> set[str]:
    return {Path(hit.chunk.source).parent.name for hit in hits}


def test_those_in_sight_are_found_as_if_nothing_were_hidden(
    library: Library, tmp_path: Path
) -> None:
    alone = Library(database.IN_MEMORY, FakeEmbedder())
    alone.add([tmp_path / f"{name}.txt" for name in NAMES])
    for query in ("boiler", "zebrafish aquarium", "boiler cellar two", "여섯"):
        found, expected = (one.search(query, limit=3) for one in (library, alone))
        assert [h.chunk.source for h in found] == [h.chunk.source for h in expected], query
    assert len(library.search_all("boiler")) == len(NAMES)
    assert library.listing("List every boiler").quotes
    assert [d.source for d in library.documents()] == [d.source for d in alone.documents()]
    alone.close()


def test_who_names_a_conversation_sees_its_files_and_no_other_ones(library: Library) -> None:
    one = Filter(collections=(collection_of("a"),))
    assert sources(library.search("zebrafish boiler", limit=50, where=one)) == {"a"}
    beside = Filter(paths=("nowhere",), beside=(collection_of("b"),))
    assert sources(library.search("zebrafish boiler", limit=50, where=beside)) == {"b"}
    everything = Filter(beside=(collection_of("b"),))
    found = sources(library.search("boiler", limit=50, where=everything))
    assert "b" in found and "a" not in found and len(found) == 2
    for name in ("a", "b"):
        without = Filter(excluded=Filter(collections=(collection_of(name),)))
        assert sources(library.search("boiler", limit=50, where=without)) & {"a", "b"} == set()


def test_a_filter_that_joins_two_shows_what_both_let_through(library: Library) -> None:
    a, b = (Filter(collections=(collection_of(name),)) for name in "ab")
    assert library.search("boiler", where=a & b) == []
    typed = Filter(paths=("*/1.txt",)) & Filter(beside=(collection_of("a"),))
    assert sources(library.search("boiler", limit=50, where=typed)) == {"a"}


def test_forgetting_by_words_leaves_what_is_out_of_sight(library: Library) -> None:
    assert library.chosen(matching="zebrafish").documents == {}
    receipt = library.forget(where=Filter(collections=(collection_of("a"),)))
    assert receipt.documents == 20
    with pytest.raises(CollectionNotFoundError):
        library.search("boiler", where=Filter(collections=(collection_of("a"),)))


def test_a_path_and_a_collection_are_forgotten_whole_beside_what_is_hidden(
    library: Library, tmp_path: Path
) -> None:
    library.collections.create("work")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "four.txt").write_text("The boiler number four is new.")
    library.add([tmp_path / "work"], collection="work")
    assert library.forget([tmp_path / "one.txt"]).places == 1
    receipt = library.forget(where=Filter(collections=("work",)))
    assert (receipt.collections, receipt.places) == (("work",), 1)
    assert len(library.search_all("zebrafish", where=Filter(beside=(collection_of("a"),)))) == 20


def test_a_collection_out_of_sight_is_nobodys_to_change(library: Library) -> None:
    known, name = library.collections, collection_of("a")
    assert [one.name for one in known.all()] == ["default"]
    for deed in (
        lambda: known.set_sensitivity(name, Sensitivity.PUBLIC),
        lambda: known.rename(name, "mine"),
        lambda: known.remove(name),
        lambda: known.get(name),
    ):
        with pytest.raises(CollectionNotFoundError):
            deed()
    for deed in (
        lambda: known.create(collection_of("c")),
        lambda: known.rename("default", collection_of("c")),
    ):
        with pytest.raises(UsageError):
            deed()


def test_a_sync_neither_removes_nor_takes_over_what_is_out_of_sight(
    library: Library, tmp_path: Path
) -> None:
    library.add([tmp_path])
    (tmp_path / "a" / "3.txt").unlink()
    library.sync()
    assert sources(library.search("zebrafish", limit=50)) & {"a", "b"} == set()
    one = Filter(collections=(collection_of("a"),))
    assert len(library.search_all("zebrafish", where=one)) == 20
