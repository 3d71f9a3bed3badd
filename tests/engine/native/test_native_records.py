"""Engines that are kept: which serves, and what keeps one from it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ondol.engine import runtime
from ondol.engine.native import processor, records
from ondol.engine.native.records import NativeEngine
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.errors import EngineNotFoundError

MODEL = ModelSpec("m", Path("/models/m.gguf"), "sha256:1", 1)


@pytest.fixture
def kept(tmp_path: Path) -> NativeEngine:
    """A healthy engine whose program is there."""
    binary = tmp_path / "llama-server"
    binary.write_text("a program")
    stamp = records.stamp_of(binary)
    assert stamp is not None
    return records.write(
        NativeEngine(
            name="native-1",
            kind="built",
            binary=str(binary),
            stamp=stamp,
            processor=processor.fingerprint(),
            takes_socket=True,
            added_at=records.now(),
            health={"ok": True},
        )
    )


def test_the_bundled_engine_serves_until_another_is_used(kept: NativeEngine) -> None:
    assert records.serving() is None
    assert runtime.launch(MODEL, 512, EngineSettings(runtime="auto")).binary == ""
    records.use(kept.name)
    assert records.serving() == kept
    launch = runtime.launch(MODEL, 512, EngineSettings(runtime="auto"))
    assert (launch.binary, launch.engine, launch.takes_socket) == (kept.binary, kept.name, True)
    assert runtime.resolve("auto") == kept.path
    records.use(records.BUNDLED)
    assert runtime.resolve("auto") is None


def test_what_the_settings_name_goes_before_it(kept: NativeEngine) -> None:
    records.use(kept.name)
    assert runtime.launch(MODEL, 512, EngineSettings(runtime="bundled")).binary == ""


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"processor": "another1"}, "other_processor"),
        ({"health": {}}, "unchecked"),
        ({"health": {"ok": False}}, "unhealthy"),
        ({"stamp": (1, 1)}, "changed"),
        ({"binary": "/nowhere/llama-server"}, "gone"),
    ],
)
def test_an_engine_that_is_not_what_was_checked_does_not_serve(
    kept: NativeEngine, change: dict[str, object], state: str
) -> None:
    records.use(kept.name)
    changed = records.write(replace(kept, **change))
    assert changed.state(kept.name) == state
    assert records.serving() is None


def test_a_program_that_was_replaced_by_an_update_does_not_serve(kept: NativeEngine) -> None:
    records.use(kept.name)
    os.utime(kept.binary, (1, 1))
    assert records.serving() is None


def test_an_engine_that_failed_rests_until_it_is_used_again(kept: NativeEngine) -> None:
    records.use(kept.name)
    records.blame(kept.name, "ended by SIGILL")
    records.blame(kept.name, "a second reason")
    assert records.serving() is None
    assert [one.failure and one.failure.reason for one in records.untold()] == ["ended by SIGILL"]
    assert records.untold() == []
    records.use(kept.name)
    assert records.serving() == kept


def test_removing_an_engine_leaves_what_was_adopted_where_it_is(kept: NativeEngine) -> None:
    records.use(kept.name)
    records.remove(kept.name)
    assert records.listed() == []
    assert records.active() is None
    assert kept.path.exists()


@pytest.mark.parametrize("name", ["native-2", "..", "a/b", ""])
def test_an_engine_that_is_not_here_is_a_sentence(name: str) -> None:
    with pytest.raises(EngineNotFoundError):
        records.get(name)


def test_a_record_that_cannot_be_read_is_no_engine(kept: NativeEngine) -> None:
    (records.folder() / kept.name / records.FILE).write_text('{"name": 1')
    assert records.listed() == []
    records.use(records.BUNDLED)
