"""``ondol add``, ``search``, ``forget`` and ``list --documents``."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.model


def test_add_reports_what_became_of_every_file(ondol, config, papers: Path) -> None:
    first = ondol("add", papers)
    assert first.code == 0 and first.stdout == "2 added\n" and "ondol ask" in first.stderr
    assert ondol("add", papers).stdout == "2 unchanged\n"
    (papers / "garden.txt").write_text("The garden has four pear trees.\n")
    assert ondol("add", papers).stdout == "1 updated, 1 unchanged\n"


def test_broken_file_is_reported_and_the_rest_goes_in(ondol, config, papers: Path) -> None:
    (papers / "broken.pdf").write_bytes(b"%PDF-1.7 and then nothing")
    result = ondol("add", papers)
    assert result.code == 0 and result.stdout == "2 added, 1 skipped\n"
    assert "skipped" in result.stderr and "broken.pdf: " in result.stderr
    assert "broken.pdf" in ondol("add", papers, "--quiet").stderr
    report = ondol("add", papers, "--json").json
    assert report["unchanged"] == 2 and len(report["failed"]) == 1


def test_nothing_readable_is_exit_code_5(ondol, config, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 and then nothing")
    result = ondol("add", broken)
    assert result.code == 5 and "error: " in result.stderr
    as_json = ondol("add", broken, "--json")
    assert as_json.code == 5 and len(as_json.json["failed"]) == 1


def test_missing_path_is_exit_code_5_and_adds_nothing(ondol, config, papers: Path) -> None:
    result = ondol("add", papers, papers / "nosuch")
    assert result.code == 5 and "nosuch" in result.stderr
    assert ondol("list", "--documents", "--json").json == {"documents": []}


def test_search_shows_the_passage_and_where_it_stands(
    ondol, config, papers: Path, monkeypatch
) -> None:
    ondol("add", papers)
    result = ondol("search", "apple trees")
    assert result.code == 0 and "three apple trees" in result.stdout
    hits = ondol("search", "apple trees", "--json").json["hits"]
    assert hits[0]["source"] == str(papers / "garden.txt")
    fields = "rank source start end page score text heading also_in collection sensitivity"
    assert set(hits[0]) == set(fields.split())
    assert len(ondol("search", "the", "--limit", 1, "--json").json["hits"]) == 1
    monkeypatch.chdir(papers)
    assert "\n1  garden.txt" in "\n" + ondol("search", "apple trees").stdout


def test_search_that_finds_nothing_is_no_error(ondol, config) -> None:
    result = ondol("search", "anything")
    assert result.code == 0 and result.stdout == "" and "ondol add" in result.stderr


def test_documents_are_listed(ondol, config, papers: Path) -> None:
    assert "ondol add" in ondol("list", "--documents").stderr
    ondol("add", papers, "--collection", "home")
    documents = ondol("list", "--documents", "--json").json["documents"]
    assert [d["collection"] for d in documents] == ["home", "home"]
    assert ondol("ls", "--documents", "--quiet").stdout.splitlines() == [
        str(papers / "garden.txt"),
        str(papers / "washer.md"),
    ]


def test_forget_takes_documents_out_and_leaves_the_files(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    assert ondol("forget", papers / "garden.txt").stdout.startswith("Forgotten: 1 ")
    assert (papers / "garden.txt").exists()
    hits = ondol("search", "apple", "--json").json["hits"]
    assert all(hit["source"] != str(papers / "garden.txt") for hit in hits)
    unknown = ondol("forget", papers / "garden.txt")
    assert unknown.code == 5 and "ondol list --documents" in unknown.stderr
    assert ondol("forget", papers, "--json").json["chunks"] == 1


def test_listing_and_forgetting_need_no_model(ondol, config, papers: Path, tmp_path: Path) -> None:
    ondol("add", papers)
    bare = {"ONDOL_MODELS": str(tmp_path / "none")}
    assert len(ondol("list", "--documents", "--json", **bare).json["documents"]) == 2
    assert ondol("forget", papers, "--json", **bare).json["chunks"] == 2


def test_without_an_embedding_model_the_next_command_is_named(ondol, papers: Path) -> None:
    result = ondol("add", papers)
    assert result.code == 3 and "ondol pull all-minilm:l6-v2" in result.stderr


def test_damaged_library_is_a_sentence(ondol, config, home: Path, papers: Path) -> None:
    ondol("add", papers)
    (home / "data" / "ondol.db").write_bytes(b"not a database at all" * 500)
    for suffix in ("-wal", "-shm"):
        (home / "data" / f"ondol.db{suffix}").unlink(missing_ok=True)
    result = ondol("search", "apple")
    assert result.code == 5 and "ondol.db" in result.stderr and "Traceback" not in result.stderr


def test_words_to_search_for_need_no_quotes(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    assert "three apple trees" in ondol("search", "apple", "trees").stdout
    missing = ondol("search")
    assert missing.code == 2 and "QUERY is missing" in missing.stderr


def test_what_came_in_an_archive_counts_with_the_archive_s_size(
    ondol, config, tmp_path: Path
) -> None:
    archive = tmp_path / "old.zip"
    with ZipFile(archive, "w") as file:
        file.writestr("a.txt", "The garden has three apple trees.")
        file.writestr("b.txt", "The pond has nine carps.")
    ondol("add", archive)
    (default,) = ondol("collection", "list", "--json").json["collections"]
    assert default["documents"] == 3 and default["size_bytes"] == archive.stat().st_size
    lines = ondol("list", "--documents").stdout.splitlines()
    assert all("–" in line for line in lines if "old.zip/" in line)


def test_limit_holds_for_all_that_match_too(ondol, config, papers: Path) -> None:
    for subject in ("pears", "plums"):
        (papers / f"{subject}.txt").write_text(
            f"The apple trees stand by the {subject}.\n", "utf-8"
        )
    ondol("add", papers)
    query = "apple trees"
    everything = ondol("search", query, "--all", "--json").json["hits"]
    assert len(everything) > 1
    assert ondol("search", query, "--all", "--limit", "1", "--json").json["hits"] == everything[:1]


def test_bare_names_of_hits_are_one_line_each(ondol, config, papers: Path) -> None:
    (papers / "a\nerror.txt").write_text("The lighthouse keeper counts the gulls.\n", "utf-8")
    ondol("add", papers)
    shown = ondol("search", "lighthouse gulls", "--limit", "1", "--quiet").stdout
    assert shown == f"{papers}/a\\nerror.txt\n"


def test_forgetting_what_nothing_is_like_says_so(ondol, config, papers: Path) -> None:
    ondol("add", papers)
    result = ondol("forget", "--matching", "zeppelin", "--yes")
    assert result.code == 0 and "nothing was forgotten" in result.stdout
    assert ondol("forget", "--matching", "zeppelin", "--yes", "--json").json["documents"] == 0


def test_adding_nothing_asks_for_no_question(ondol, config, tmp_path: Path) -> None:
    assert "ondol ask" not in ondol("add", tmp_path).stderr
