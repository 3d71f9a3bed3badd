"""The README's picture is what the committed results say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_picture_in_the_readme_is_drawn_from_the_committed_results(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("proof", ROOT / "benchmarks" / "proof.py")
    assert spec is not None and spec.loader is not None
    proof = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(proof)
    proof.draw(tmp_path / "proof.svg")
    # Letters are drawn as matplotlib draws them; the bars and figures are what counts.
    assert (tmp_path / "proof.svg").read_text() == proof.PICTURE.read_text(), (
        "a result has changed: python benchmarks/proof.py"
    )
