"""A random model of two layers that a training takes seconds with, and samples for it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "training"))

import tiny_models

from ondol.models.store import ModelStore

MODEL = "tiny:1"
WORDS = "stove boiler roof cellar garden attic bridge meadow river orchard".split()


def lesson_lines(count: int = 40) -> list[dict[str, str]]:
    """Prompts and a captain's replies; a few are too alike to be kept twice."""
    return [
        {
            "prompt": f"What of the {WORDS[n % 10]} and the {WORDS[n // 10]}?",
            "completion": f"Captain, {WORDS[n * 7 % 10]} {n}, {WORDS[n // 10]} {n * 3}"
            + (f", at {1800 + n}" if n % 5 == 3 else ""),
        }
        for n in range(count)
    ]


def add_tiny(folder: Path) -> Path:
    """``MODEL`` in a models directory under ``folder``, which is returned."""
    file = tiny_models.write_gguf(tiny_models.tiny_model("llama"), "llama", folder / "tiny.gguf")
    store = ModelStore(folder / "models")
    store.add(MODEL, [store.stage(file, "weights", "tiny.gguf")])
    return folder / "models"
