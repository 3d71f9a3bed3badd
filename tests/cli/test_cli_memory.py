"""``ondol memory``: what the owner wants to be remembered, at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from terminal import Terminal


def test_memory_is_added_listed_changed_and_erased(ondol) -> None:
    added = ondol("memory", "add", "I", "keep", "bees.")
    assert added.code == 0 and "private" in added.stdout
    made = ondol("memory", "add", "--kind", "preference", "Short answers.", "--json").json
    assert (made["kind"], made["sensitivity"], made["source"]) == (
        "preference",
        "private",
        "owner",
    )
    table = ondol("memory", "list").stdout
    assert "bees" in table and made["id"][:8] in table
    found = ondol("memory", "list", "BEES", "--json").json["memories"]
    assert [one["text"] for one in found] == ["I keep bees."]
    (listed,) = ondol("memory", "list", "--kind", "preference", "--json").json["memories"]
    assert {**listed, "deed": "added", "replaced": None} == made

    short = made["id"][:6]
    changed = ondol("memory", "edit", short, "Long", "answers.", "--sensitivity", "trusted")
    assert changed.code == 0
    (edited,) = ondol("memory", "list", "long", "--json").json["memories"]
    assert (edited["text"], edited["sensitivity"]) == ("Long answers.", "trusted")
    assert ondol("memory", "erase", short, "--json").json == {"memories": 1, "is_erased": True}
    assert "1" in ondol("memory", "erase", found[0]["id"]).stdout
    empty = ondol("memory", "list")
    assert "ondol memory add" in empty.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["erase"],
        ["erase", "abcd1234", "--all"],
        ["erase", "--all"],
        ["edit", "abcd1234"],
        ["add", " "],
        ["add", "x", "--kind", "rumour"],
    ],
)
def test_what_cannot_be_is_a_sentence_and_nothing_goes(ondol, arguments: list[str]) -> None:
    ondol("memory", "add", "I keep bees.")
    refused = ondol("memory", *arguments)
    assert refused.code == 2 and refused.stderr
    assert len(ondol("memory", "list", "--json").json["memories"]) == 1


def test_unknown_memory_has_an_exit_code_of_its_own(ondol) -> None:
    refused = ondol("memory", "erase", "abcd1234")
    assert refused.code == 5 and "ondol memory list" in refused.stderr


def test_everything_goes_when_the_owner_is_sure(ondol) -> None:
    ondol("memory", "add", "I keep bees.")
    with Terminal("memory", "erase", "--all") as terminal:
        terminal.wait_for(r"\(1\)\?")
        terminal.type("n\n")
        assert terminal.wait() != 0
    assert ondol("memory", "erase", "--all", "--yes", "--json").json["memories"] == 1


def test_export_is_all_of_it_and_replaces_no_file(ondol, tmp_path: Path) -> None:
    ondol("memory", "add", "나는 벌을 키운다.")
    shown = ondol("memory", "export")
    assert [one["text"] for one in shown.json["memories"]] == ["나는 벌을 키운다."]
    file = tmp_path / "memories.json"
    assert ondol("memory", "export", "--output", file).code == 0
    assert json.loads(file.read_text("utf-8")) == shown.json
    assert ondol("memory", "export", "--output", file).code == 2
    assert ondol("memory", "export", "--output", tmp_path / "no" / "x").code == 2


def test_memory_speaks_korean(ondol) -> None:
    assert "기억" in ondol("memory", "--help", ONDOL_LANGUAGE="ko").stdout
    assert "기억" in ondol("memory", "add", "x y", ONDOL_LANGUAGE="ko").stdout
