"""``add`` killed at random moments: nothing acknowledged is lost, nothing is half there."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ondol import paths
from tests.retrieval.ingest_kill import check, kill_once, write_folder


@pytest.mark.slow
@pytest.mark.model
def test_killed_add_leaves_a_whole_library_and_can_go_on(
    home: Path, tmp_path: Path, embedding_model_files: tuple[Path, Path]
) -> None:
    folder = tmp_path / "folder"
    write_folder(folder, 60)
    chooser = random.Random(5)
    acknowledged: set[str] = set()
    for _ in range(4):
        acknowledged |= kill_once(paths.database_file(), folder, embedding_model_files, chooser)
        assert check(paths.database_file(), acknowledged) >= len(acknowledged)
        (folder / f"{chooser.randrange(60):03}.txt").write_text("Edited. " * 50, "utf-8")
