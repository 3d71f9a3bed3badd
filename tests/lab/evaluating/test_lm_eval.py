"""EleutherAI's lm-evaluation-harness, unmodified, against the API; where it is installed
(benchmarks/lm_eval/run.py installs it)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / "benchmarks" / "lm_eval"), str(ROOT / "tests" / "server")]

import harness  # noqa: E402
from house import CHAT, scripted_house  # noqa: E402

from ondol.engine.scripted import ScriptedEngine  # noqa: E402


def test_its_tasks_are_made_of_our_suite(tmp_path: Path) -> None:
    harness.write_tasks(tmp_path)
    lines = (tmp_path / "data.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 32
    assert {path.name for path in tmp_path.glob("*.yaml")} == {
        "ondol_answers.yaml",
        "ondol_choices.yaml",
    }


@pytest.mark.slow
@pytest.mark.skipif(not harness.PROGRAM.exists(), reason="lm-evaluation-harness is not installed")
def test_a_tiny_task_runs_by_chat_completions(tmp_path: Path) -> None:
    (tmp_path / "house").mkdir()
    harness.write_tasks(tmp_path)
    with scripted_house(tmp_path / "house") as house:
        replies = {"Marten need": "55 minutes", "bicycle": "3 crowns"}
        house.pool.engines[CHAT] = ScriptedEngine(replies, model=CHAT)
        found = harness.chat(house.url, CHAT, tmp_path, limit=2)
    assert found["items"] == 2 and found["exact_match"] == 1.0 and found["chrf"] > 99
