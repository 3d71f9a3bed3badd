"""Does lm-evaluation-harness run against Ondol's API unmodified, and what does it say?

.venv/bin/python benchmarks/lm_eval/run.py [--limit 16] [--model smollm2:135m] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(HERE.parent), str(ROOT / "tests" / "server")]

import harness  # noqa: E402
import pictures  # noqa: E402
from house import CHAT, serving  # noqa: E402

from ondol import __version__  # noqa: E402
from ondol import config as configuration  # noqa: E402
from ondol.models.hardware import machine  # noqa: E402
from ondol.parts import Parts  # noqa: E402

CHOICES = 4


def measure(model: str, limit: int) -> dict[str, Any]:
    """Both tasks, through both of OpenAI's endpoints."""
    harness.install()
    models_dir = configuration.load().models_dir
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        harness.write_tasks(folder)
        # A home of its own: what the harness asks is no answer to the owner.
        os.environ |= {"ONDOL_HOME": str(folder / "home"), "ONDOL_MODELS": str(models_dir)}
        with Parts(configuration.load()) as parts:
            tokenizer = tokenizer_of(parts, model, folder / "tokenizer")
            with serving(parts) as port:
                url = f"http://127.0.0.1:{port}"
                began = time.perf_counter()
                answers = harness.chat(url, model, folder, limit)
                between = time.perf_counter()
                choices = harness.completions(url, model, folder, limit, tokenizer)
                ended = time.perf_counter()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "ondol": __version__,
        "lm_eval": harness.VERSION,
        "python": platform.python_version(),
        "machine": machine().cpu,
        "model": model,
        "local-chat-completions": answers | {"seconds": round(between - began, 1)},
        "local-completions": choices | {"seconds": round(ended - between, 1)},
    }


def tokenizer_of(parts: Parts, model: str, folder: Path) -> Path:
    """The model's own tokenizer out of its weights, as transformers keep one. Who is online names
    the model's repository instead."""
    from transformers import AutoTokenizer

    weights = parts.store.path(parts.store.get(model))
    tokenizer = AutoTokenizer.from_pretrained(str(weights.parent), gguf_file=weights.name)
    tokenizer.save_pretrained(folder)
    return folder


def draw(found: dict[str, Any]) -> None:
    """How far above guessing the choices are, and how near the answers."""
    choices, answers = found["local-completions"], found["local-chat-completions"]
    title = "lm-evaluation-harness runs against Ondol as it is"
    told = f"{found['model']}, {choices['items']} items, lm_eval {found['lm_eval']}"
    figure, axes = pictures.figure(title, f"{told}, {found['date']}")
    shares = {
        "chosen right\n(local-completions)": choices["acc"] * 100,
        "length-normalised\n(local-completions)": choices["acc_norm"] * 100,
        "chrF of replies\n(local-chat-completions)": answers["chrf"],
    }
    pictures.bars(axes, {"Ondol": shares})
    axes.axhline(100 / CHOICES, color=pictures.MUTED, linestyle=":", linewidth=1)
    axes.text(2.45, 100 / CHOICES + 1.5, "guessing", color=pictures.MUTED, size=8, ha="right")
    axes.set_ylim(0, 108)
    pictures.save(figure, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default=CHAT)
    parser.add_argument("--limit", type=int, default=12)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found = measure(given.model, given.limit)
    print(json.dumps(found, indent=2))
    if given.write:
        (HERE / "results.json").write_text(json.dumps(found, indent=2) + "\n", "utf-8")
        draw(found)


if __name__ == "__main__":
    main()
