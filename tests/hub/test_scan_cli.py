"""``ondol hub scan`` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ondol.lab.redteam.releases.makers import adapter, gguf


def ondol(*words: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "ondol", "hub", "scan", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_folder_is_looked_at_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / "more").mkdir(parents=True)
    (folder / "model.gguf").write_bytes(gguf())
    (folder / "more" / "adapter.gguf").write_bytes(adapter())
    code, said, _ = ondol(folder, folder / "model.gguf", "--json")
    found = json.loads(said)
    assert code == 0 and found["ok"]
    assert set(found["files"]) == {"model.gguf", "more/adapter.gguf", "2/model.gguf"}
    (folder / "run.py").write_text("import os")
    code, said, _ = ondol(folder)
    assert code == 12
    assert said == "✗ run.py is a program or a script (.py).\n"


def test_an_adapter_is_held_against_its_base(tmp_path: Path) -> None:
    (tmp_path / "adapter.gguf").write_bytes(adapter())
    (tmp_path / "base.gguf").write_bytes(gguf())
    code, said, _ = ondol(tmp_path / "adapter.gguf", "--base", tmp_path / "base.gguf")
    assert code == 12 and "blk.0.attn_q.weight" in said
    code, said, _ = ondol(tmp_path / "adapter.gguf")
    assert code == 0 and said.startswith("✓ Nothing was found")


def test_an_empty_folder_is_a_mistake(tmp_path: Path) -> None:
    code, _, said = ondol(tmp_path)
    assert code == 2 and "no files" in said
