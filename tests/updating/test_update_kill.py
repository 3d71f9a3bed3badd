"""A few points of what benchmarks/kill/updating.py does at many."""

from __future__ import annotations

from pathlib import Path

from hub_scene import Scene
from update_kill import kill_at_step, prepare, publish


def test_a_kill_leaves_what_answered_or_what_comes(hub: Scene, tmp_path: Path) -> None:
    publish(hub)
    prepared = prepare(hub, "adapter", tmp_path)
    # About where the row is written and the manifest renamed.
    step = round(prepared.num_steps * 0.99)
    assert kill_at_step(prepared, step, tmp_path / "killed") in ("before", "after")
