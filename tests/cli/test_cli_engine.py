"""``ondol engine``: what is said, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ondol.engine.native import compiling, records, toolchain
from ondol.engine.native.health import CHECK
from ondol.engine.native.records import Failure, NativeEngine


def test_at_first_there_is_the_bundled_engine(ondol) -> None:
    head, row = ondol("engine", "list").stdout.splitlines()
    assert head.split() == ["ENGINE", "VERSION", "ON", "STATE", "READS,", "WRITES"]
    assert row.startswith("bundled ") and "serves" in row
    told = ondol("engine", "list", "--json").json
    assert told == {"serving": "bundled", "runtime": "auto", "engines": [], "build": None}


def test_without_a_compiler_one_sentence_and_the_wheel_serves(ondol, tmp_path: Path) -> None:
    result = ondol("engine", "build", PATH=str(tmp_path), CC="", CXX="")
    assert result.code == 4
    sentence, hint = result.stderr.splitlines()
    assert "compiler" in sentence and "bundled" in sentence and "ondol engine build" in hint
    assert ondol("engine", "list", "--json").json["build"] is None


def test_what_is_not_there_is_a_sentence(ondol, tmp_path: Path) -> None:
    nowhere = ondol("engine", "adopt", "/nowhere/llama-server")
    assert (nowhere.code, "/nowhere" in nowhere.stderr) == (2, True)
    assert ondol("engine", "adopt", PATH=str(tmp_path)).code == 2
    assert ondol("engine", "use", "native-9", "--json").json["error"]["code"] == "engine_not_found"
    assert ondol("engine", "remove", "native-9", "--yes").code == 4
    ended = ondol("engine", "build", "--cancel", "--json")
    assert ended.json == {"cancelled": False}


@pytest.fixture
def kept(tmp_path: Path) -> NativeEngine:
    binary = tmp_path / "llama-server"
    binary.write_text("a program")
    stamp = records.stamp_of(binary) or (0, 0)
    health = {"ok": True, "prefill": [100, 260], "decode": [40, 60]}
    return records.write(
        NativeEngine("native-1", "built", str(binary), "0.5.0", stamp=stamp, health=health)
    )


def test_what_did_not_pass_its_check_is_said_and_not_compiled_again(ondol, kept) -> None:
    findings = [{"name": "starts", "ok": True}, {"name": "slots", "ok": False, "told": {}}]
    health = {"ok": False, "findings": findings, "check": CHECK}
    name = compiling.name_of(toolchain.find_compiler())
    records.write(replace(kept, name=name, health=health))
    result = ondol("engine", "build")
    sentence, hint = result.stderr.splitlines()
    assert result.code and name in sentence and "save and restore" in sentence
    assert "ondol engine build --again" in hint and f"ondol engine use {name}" in hint
    assert ondol("engine", "list", "--json").json["build"] is None


def test_an_engine_that_was_left_is_told_of_once(ondol, kept: NativeEngine) -> None:
    assert ondol("engine", "use", "native-1", "--quiet").stdout.strip() == "native-1"
    row = ondol("engine", "list").stdout.splitlines()[2]
    assert "serves" in row and "2.6×" in row and "1.5×" in row
    records.blame("native-1", "ended by SIGILL")
    first, second = (ondol("config", "list") for _ in range(2))
    assert "ended by SIGILL" not in second.stderr + first.stderr  # it opens no house
    first, second = (ondol("list") for _ in range(2))
    assert "native-1" in first.stderr and "ondol engine use native-1" in first.stderr
    assert "native-1" not in second.stderr
    listed = ondol("engine", "list", ONDOL_LANGUAGE="ko")
    assert "SIGILL" in listed.stderr and "문제가 생겨" in listed.stdout
    checks = ondol("doctor", "--json", ONDOL_PORT="0").json["checks"]
    (check,) = [one for one in checks if one["name"] == "engine_native"]
    assert check["ok"] is None and "ondol engine use native-1" in check["hint"]


@pytest.mark.model
def test_what_may_not_be_fetched_is_said(ondol, config, monkeypatch) -> None:
    monkeypatch.setenv("ONDOL_OFFLINE", "true")
    monkeypatch.setenv("PIP_INDEX_URL", "https://x.example")
    refused = ondol("engine", "build", "--wait")
    assert (refused.code, "offline" in refused.stderr) == (6, True)
    assert ondol("engine", "list", "--json").json["build"]["code"] == "egress_refused"


def test_an_engine_is_left_and_removed(ondol, kept: NativeEngine) -> None:
    records.use("native-1")
    assert ondol("engine", "use", "bundled", "--json").json == {"serving": "bundled"}
    assert ondol("engine", "remove", "native-1", "--yes", "--json").json == {"removed": "native-1"}
    assert records.listed() == []


def test_how_a_building_ended_is_shown(ondol, kept: NativeEngine) -> None:
    from ondol.engine.native import job
    from ondol.errors import EngineBuildError

    with pytest.raises(EngineBuildError), job.alone() as writer:
        writer.say("compiling", 1, 4)
        raise EngineBuildError("The compiler said no.", "See its log.")
    assert "The compiler said no." in ondol("engine", "list").stderr
    assert ondol("engine", "list", "--json").json["build"]["code"] == "engine_build_failed"
    assert records.get("native-1").failure is None
    assert Failure("a", "b").told is False
