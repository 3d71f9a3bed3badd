"""``ondol collection``, ``ondol sensitivity``, and filters as flags and in the words of a query."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.model


@pytest.fixture
def sorted_papers(ondol, config, papers: Path) -> Path:
    """The washer's papers at home, the garden's at work."""
    ondol("add", papers / "washer.md", "--collection", "home")
    assert ondol("add", papers / "garden.txt", "--collection", "work").code == 0
    return papers


def names(result) -> set[str]:
    assert result.code == 0, result.stderr
    found = result.json
    return {Path(one["source"]).name for one in found.get("hits", found.get("documents"))}


@pytest.mark.parametrize(
    "flags",
    [
        ["--in", "home"],
        pytest.param(["--in", "home", "--in", "default"], marks=pytest.mark.slow),
        pytest.param(["--path", "washer.md"], marks=pytest.mark.slow),
        pytest.param(["--type", "markdown", "--after", "2020"], marks=pytest.mark.slow),
        ["--path", "*sher*", "--lang", "en"],
    ],
)
def test_search_and_list_look_only_inside_the_flags(ondol, sorted_papers: Path, flags) -> None:
    everything = "the warranty of the apple trees"
    assert names(ondol("search", everything, "--json")) == {"washer.md", "garden.txt"}
    assert names(ondol("search", everything, *flags, "--json")) == {"washer.md"}
    assert names(ondol("list", "--documents", *flags, "--json")) == {"washer.md"}


def test_path_is_meant_from_where_one_stands(ondol, sorted_papers: Path, monkeypatch) -> None:
    monkeypatch.chdir(sorted_papers.parent)
    assert names(ondol("list", "--path", "papers/garden.txt", "--json")) == {"garden.txt"}
    monkeypatch.chdir(sorted_papers)
    assert names(ondol("list", "--path", ".", "--json")) == {"garden.txt", "washer.md"}
    assert names(ondol("search", "trees path:./garden.txt", "--json")) == {"garden.txt"}


def test_words_of_the_query_filter_too(ondol, sorted_papers: Path) -> None:
    assert names(ondol("search", "the end of the trees in:home -type:pdf", "--json")) == {
        "washer.md"
    }
    answer = ondol("ask", "When does the warranty end? in:home", "--json").json
    assert {Path(q["source"]).name for q in answer["quotes"]} == {"washer.md"}
    assert {q["sensitivity"] for q in answer["quotes"]} == {"private"}
    elsewhere = ondol("ask", "When does the warranty end?", "--in", "work", "--json").json
    assert all(Path(q["source"]).name != "washer.md" for q in elsewhere["quotes"])


def test_slip_in_a_filter_is_a_sentence_with_the_next_step(ondol, sorted_papers: Path) -> None:
    for arguments, code, said in (
        (["search", "x", "--in", "hme"], 5, "ondol collection list"),
        (["search", "x in:hme"], 5, "ondol collection list"),
        (["ask", "x?", "--type", "pfd"], 2, "type:pdf"),
        (["search", "x after:soon"], 2, "after:2025-01"),
        (["list", "--lang", "klingonish"], 2, "lang:ko"),
        (["ask", "in:home"], 2, "ondol ask"),
    ):
        result = ondol(*arguments)
        assert result.code == code and said in result.stderr, arguments
        assert "Traceback" not in result.stderr
    assert "따옴표" in ondol("search", "x type:pfd", ONDOL_LANGUAGE="ko").stderr
    assert "passes" in ondol("list", "--type", "pdf").stderr


def test_collections_are_listed_made_relabelled_renamed_and_removed(
    ondol, sorted_papers: Path
) -> None:
    found = ondol("collection", "list", "--json").json["collections"]
    assert [(c["name"], c["sensitivity"], c["documents"]) for c in found] == [
        ("default", "private", 0),
        ("home", "private", 1),
        ("work", "private", 1),
    ]
    assert ondol("collection", "create", "books", "--sensitivity", "trusted").code == 0
    assert ondol("collection", "create", "books").code == 2
    loosened = ondol("collection", "set", "home", "trusted")
    assert loosened.code == 0 and "1 document(s)" in loosened.stdout
    assert ondol("search", "warranty", "--json").json["hits"][0]["sensitivity"] == "trusted"
    tightened = ondol("collection", "set", "home", "private", "--json").json
    assert (tightened["loosened"], tightened["tightened"]) == (0, 1)
    assert ondol("collection", "set", "home", "secret").code == 2
    assert ondol("collection", "set", "nowhere", "public").code == 5

    assert ondol("collection", "rename", "home", "house").code == 0
    assert ondol("collection", "rename", "house", "work").code == 2
    assert ondol("collection", "rm", "house").code == 2
    unknown = ondol("collection", "rm", "books", "nope")
    assert unknown.code == 5 and unknown.stdout == "" and "quotes" not in unknown.stderr
    assert "ondol collection list" in unknown.stderr
    assert "books" in ondol("collection", "list", "--quiet").stdout, "all of them, or none"
    for words in (["purple"], []):
        refused = ondol("collection", "set", "books", *words)
        assert refused.code == 2 and "{" not in refused.stderr
    assert ondol("collection", "rm", "books", "books", "--json").code == 0
    assert ondol("collection", "rm", "books", "books", "--json").code == 5
    assert ondol("collection", "create", "books").code == 0
    assert ondol("collection", "rm", "books", "--json").json == {"removed": ["books"]}
    assert ondol("collection", "list", "--quiet").stdout.split() == ["default", "house", "work"]


@pytest.mark.slow
def test_limit_of_a_file_is_stricter_than_its_collection_and_stays(
    ondol, sorted_papers: Path
) -> None:
    washer = sorted_papers / "washer.md"
    assert "ondol sensitivity" in ondol("sensitivity").stderr
    assert ondol("sensitivity", washer, "private").code == 0
    assert ondol("collection", "set", "home", "public", "--json").json["loosened"] == 0
    (document,) = ondol("sensitivity", washer, "--json").json["documents"]
    assert (document["sensitivity"], document["limit"]) == ("private", "private")
    assert ondol("sensitivity", "--json").json["limits"] == [
        {"path": str(washer), "sensitivity": "private"}
    ]
    taken = ondol("sensitivity", washer, "public")
    assert "1 document(s)" in taken.stdout
    assert ondol("sensitivity", sorted_papers / "nowhere", "private").code == 5
    nowhere = ondol("sensitivity", sorted_papers / "nowhere")
    assert nowhere.code == 5 and nowhere.stdout == "" and "not in the library" in nowhere.stderr
    assert ondol("sensitivity", sorted_papers.parent).code == 0


@pytest.mark.slow
def test_running_server_filters_the_same(ondol, sorted_papers: Path, server, monkeypatch) -> None:
    monkeypatch.chdir(sorted_papers)
    everything = "the warranty of the apple trees"
    assert names(ondol("search", everything, "--in", "home", "--json")) == {"washer.md"}
    assert names(ondol("search", f"{everything} path:./garden.txt", "--json")) == {"garden.txt"}
    assert names(ondol("search", everything, "--after", "2020", "--type", "md", "--json")) == {
        "washer.md"
    }
    assert ondol("search", "x", "--in", "hme").code == 5
    answer = ondol("ask", "When does the warranty end? in:home", "--json").json
    assert {q["sensitivity"] for q in answer["quotes"]} == {"private"}
