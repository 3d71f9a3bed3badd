"""``ondol mcp``: what programs may see, and the servers whose tools models get."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from terminal import Terminal

SCRIPT = str(Path(__file__).parents[1] / "connections" / "tool_server.py")
PROGRAM = ["--", sys.executable, SCRIPT]


def test_program_is_allowed_shown_and_denied(ondol) -> None:
    ondol("collection", "create", "notes")
    assert "ondol mcp allow" in ondol("mcp", "clients").stderr
    made = ondol("mcp", "allow", "cursor", "--collection", "notes", "--remember", "--json").json
    assert made["collections"] == ["notes"]
    assert (made["is_local"], made["remembers"]) == (False, True)
    # What is not said stays as it was.
    assert "default" in ondol("mcp", "allow", "cursor", "--collection", "default").stdout
    assert ondol("mcp", "allow", "cursor", "--local", "--json").json["remembers"] is True
    (one,) = ondol("mcp", "clients", "--json").json["clients"]
    assert one["collections"] == ["default", "notes"]
    left = ondol("mcp", "deny", "cursor", "--collection", "notes", "--json").json
    assert left["collections"] == ["default"]
    ondol("mcp", "deny", "cursor")
    assert ondol("mcp", "clients", "--json").json["clients"] == []


def test_private_passages_are_told_of_when_a_collection_is_allowed(
    ondol, tmp_path: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONDOL_MODELS", str(models_dir))
    note = tmp_path / "bees.md"
    note.write_text("# Bees\n\nThe hive has four frames.\n")
    assert ondol("add", str(note)).code == 0
    said = ondol("mcp", "allow", "cursor", "--collection", "default")
    assert "1 passages of these collections are private" in said.stderr
    assert "private" not in ondol("mcp", "allow", "cursor", "--local").stderr


def test_collection_that_is_made_anew_is_not_allowed_by_its_name(ondol) -> None:
    ondol("collection", "create", "notes")
    ondol("mcp", "allow", "cursor", "--collection", "notes")
    ondol("collection", "rename", "notes", "papers")
    assert ondol("mcp", "clients", "--json").json["clients"][0]["collections"] == ["papers"]
    ondol("collection", "rm", "papers")
    ondol("collection", "create", "papers")
    assert ondol("mcp", "clients", "--json").json["clients"][0]["collections"] == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["allow", "a b"], 2),
        (["allow", "한국"], 2),
        (["allow", "x" * 65], 2),
        (["allow", "cursor", "--collection", "nothing"], 5),
        (["deny", "nobody"], 10),
        (["test", "nobody"], 10),
        (["remove", "nobody"], 10),
        (["enable", "nobody"], 10),
        (["add", "weather"], 2),
        (["add", "we__ather", *PROGRAM], 2),
        (["add", "weather", "--url", "ftp://example.com"], 2),
        (["add", "weather", "--url", "https://me:secret@example.com/mcp"], 2),
        (["add", "weather", "--url", "http://127.0.0.1:9/mcp", *PROGRAM], 2),
        (["add", "weather", "--env", "NOT_SET_ANYWHERE", *PROGRAM], 2),
        (["add", "weather", "--header", "none", "--url", "http://127.0.0.1:9/mcp"], 2),
        (["add", "weather", "--yes", "--url", "http://127.0.0.1:9/mcp"], 10),
        (["add", "weather", "--yes", "--", "/no/such/program"], 10),
        (["add", "weather", *PROGRAM], 2),
    ],
)
def test_what_cannot_be_is_a_sentence_and_leaves_nothing(
    ondol, arguments: list[str], code: int
) -> None:
    refused = ondol("mcp", *arguments)
    assert refused.code == code, refused.stderr
    assert refused.stderr and "Traceback" not in refused.stderr
    assert ondol("mcp", "list", "--json").json["servers"] == []
    assert ondol("mcp", "clients", "--json").json["clients"] == []


def test_server_is_added_tested_switched_and_removed(ondol) -> None:
    added = ondol("mcp", "add", "weather", "--yes", "--env", "TOKEN=sesame", *PROGRAM)
    assert added.code == 0 and "weather" in added.stdout
    assert "without the network" in added.stderr and "Add two numbers." in added.stderr
    (one,) = ondol("mcp", "list", "--json").json["servers"]
    assert (one["variables"], one["network"], one["stays_here"]) == (["TOKEN"], False, True)
    for shown in (ondol("mcp", "list"), ondol("mcp", "list", "--json"), added):
        assert "sesame" not in shown.stdout + shown.stderr
    tested = ondol("mcp", "test", "weather", "--json").json
    assert all(tool["approved"] for tool in tested["tools"]) and tested["left_out"] == []
    assert ondol("mcp", "add", "weather", "--yes", *PROGRAM).code == 2
    assert ondol("mcp", "disable", "weather", "--json").json["enabled"] is False
    assert ondol("mcp", "enable", "weather", "--json").json["enabled"] is True
    assert len(ondol("mcp", "approve", "weather", "--yes", "--json").json["tools"]) > 4
    ondol("mcp", "remove", "weather")
    assert ondol("mcp", "list", "--json").json["servers"] == []


def test_tools_are_shown_before_they_are_approved(ondol) -> None:
    with Terminal("mcp", "add", "weather", *PROGRAM) as person:
        assert "The weather of a city." in person.wait_for(r"\[y/N\]")
        person.type("n\n")
        assert person.wait() != 0
    assert ondol("mcp", "list", "--json").json["servers"] == []
    with Terminal("mcp", "add", "weather", *PROGRAM) as person:
        person.wait_for(r"\[y/N\]")
        person.type("y\n")
        assert person.wait() == 0
    assert len(ondol("mcp", "list", "--json").json["servers"]) == 1
