"""``ondol hub install`` and ``ondol update``, as typed."""

from __future__ import annotations

import json

import pytest
from hub_scene import Scene, random_adapter

from ondol.cli.main import run
from ondol.parts import Parts

pytestmark = pytest.mark.usefixtures("quick")


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    """What a command line says on stdout."""
    assert run(arguments) == code
    return capsys.readouterr().out


def test_from_install_to_rollback(
    hub: Scene, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.model("1.0", 1, "typed", name="typed:1m")
    assert "typed:1m 1 is installed." in said(capsys, "hub", "install", "clinic/typed")
    hub.model("1.1", 2, "typed", name="typed:1m")
    table = said(capsys, "update", "--check")
    assert "typed:1m" in table and "1.1" in table
    assert said(capsys, "update", "--check", "--quiet") == "typed:1m\n"
    assert "typed:1m is at 1.1 (before: 1)." in said(capsys, "update", "typed:1m")
    assert said(capsys, "update") == ""
    ahead = said(capsys, "update", "pin", "typed:1m", "9")
    assert "is at 1.1. Updates bring 9" in ahead, "what is named is not there yet, or not at all"
    assert "stays at 1.1" in said(capsys, "update", "pin", "typed:1m")
    told = json.loads(said(capsys, "update", "--check", "--json"))
    assert told["offers"][0]["is_pinned"] and told["troubles"] == []
    assert "follows" in said(capsys, "update", "unpin", "typed:1m")
    assert "back at 1 (before: 1.1)" in said(capsys, "update", "rollback", "typed:1m")
    events = json.loads(said(capsys, "update", "history", "typed:1m", "--json"))["events"]
    assert [one["deed"] for one in events] == [
        *("rolled_back", "unpinned", "pinned", "pinned", "updated", "installed")
    ]
    assert "rolled back" in said(capsys, "update", "history")
    assert run(["update"]) == 0
    told = capsys.readouterr().err
    assert "Nothing was updated" in told and "at its newest" not in told, "1.1 was left"


def test_who_installed_nothing_reads_where_to_look(
    parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["update", "history"]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "ondol hub search" in told.err


def test_json_tells_what_was_done_and_what_failed(
    hub: Scene, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.model("1.0", 1, "jay", name="jay:1m")
    outcome = json.loads(said(capsys, "hub", "install", "clinic/jay", "--json"))
    assert (outcome["what"], outcome["version"]) == ("installed", "1")
    base = parts.store.path(parts.store.get("jay:1m"))
    parts.adapters.add(
        random_adapter(base, hub.work / "jay-lora.gguf"), name="style", model="jay:1m"
    )
    hub.model("1.1", 2, "jay", name="jay:1m")
    found = json.loads(said(capsys, "update", "--json", code=2))
    assert found["done"] == [] and found["troubles"] == []
    assert "jay:1m:style" in found["failed"][0]["message"]
    done = json.loads(said(capsys, "update", "--json", "--allow-stale"))
    assert done["done"][0]["stale"] == ["jay:1m:style"]


def test_what_cannot_be_done_has_a_sentence_and_a_code(
    parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["update", "rollback", "nothing"]) == 12
    assert "Nothing from a hub is called nothing here." in capsys.readouterr().err
    assert run(["hub", "install", "clinic"]) == 2
    assert "PUBLISHER/ITEM" in capsys.readouterr().err
    assert run(["update", "--check"]) == 0
    assert "Nothing here came from a hub" in capsys.readouterr().err


def test_nobody_who_answers_is_no_everything_is_newest(
    hub: Scene, parts: Parts, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.model("1.0", 1, "wren", name="wren:1m")
    said(capsys, "hub", "install", "clinic/wren")
    (hub.folder / "metadata").rename(hub.folder / "gone")
    for arguments in (("update",), ("update", "--check"), ("update", "--json")):
        told = said(capsys, *arguments, code=12)
        assert "newest" not in told
    (hub.folder / "gone").rename(hub.folder / "metadata")
    said(capsys, "update")


def test_help_says_that_names_may_follow(capsys: pytest.CaptureFixture[str]) -> None:
    assert "[NAME …]" in said(capsys, "update", "--help")
    assert "--check" in said(capsys, "update", "now", "--help")
