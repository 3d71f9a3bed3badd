"""Packs made for tests, and an engine that is only as clever as what it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ondol.engine.scripted import ScriptedEngine
from ondol.types import GenerateOptions, Message

QUESTIONS = 8


class Told(ScriptedEngine):
    """Says and believes what the glossary's line before its question says; ``guess`` where there
    is none."""

    def __init__(self, guess: str = "no idea") -> None:
        super().__init__({r"^k\d: good": "good", r"^k\d: bad": "bad", r"(?s).": guess})
        self._guess = guess

    def score(
        self, messages: Sequence[Message], reply: str, options: GenerateOptions | None = None
    ) -> list[float]:
        line, _, _ = messages[-1].content.rpartition("\n\n")
        return [-1.0 if reply in (line or self._guess) else -2.0]


def pack_folder(
    place: Path,
    digest: str,
    *,
    version: str = "1.0",
    meaning: str = "good",
    files: dict[str, Path] | None = None,
    prompts: Sequence[tuple[str, str]] = (("Explain", "Explain this: "),),
    **changes: Any,
) -> Path:
    """A pack with ``QUESTIONS`` terms, that all mean ``meaning``, and as many questions whose right
    answer is "good"."""
    said: dict[str, Any] = {
        "format": 1,
        "name": "words",
        "version": version,
        "field": "words",
        "title": "Words",
        "description": "About words.",
        "not_for": "Not for law.",
        "licence": "CC0-1.0",
        "source": "Ours.",
        "languages": ["en"],
        "instructions": "Be brief.",
    } | changes
    lines = [f"{name} = {json.dumps(value)}" for name, value in said.items()]
    lines += ["[model]", 'name = "tiny:1m"', f"digest = {json.dumps(digest)}"]
    for name, text in prompts:
        lines += ["[[prompts]]", f"name = {json.dumps(name)}", f"text = {json.dumps(text)}"]
    place.mkdir(parents=True, exist_ok=True)
    (place / "pack.toml").write_text("\n".join(lines), encoding="utf-8")
    terms = [{"term": f"k{n}", "meaning": meaning} for n in range(QUESTIONS)]
    asked = [
        {"question": f"What is k{n}?", "answer": "good", "expects": ["good"], "wrong": ["bad"]}
        for n in range(QUESTIONS)
    ]
    for name, rows in (("glossary.jsonl", terms), ("evaluation.jsonl", asked)):
        (place / name).write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    for name, path in (files or {}).items():
        (place / name).write_bytes(path.read_bytes())
    return place
