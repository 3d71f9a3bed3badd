"""A house of its own to learn in, and how its model answers: through the engine that serves."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import persona

from ondol import __version__, config
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message

HERE = Path(__file__).parent
ORIGINALS = HERE / "originals.json"
ORIGINAL_TOKENS = 64
MAX_TOKENS = 96
SEED = 1


@dataclass(frozen=True)
class Said:
    prompt: str
    language: str
    answer: str
    expect: tuple[str, ...] = ()


@contextmanager
def house() -> Iterator[Parts]:
    """Empty but for the models of the configured one, which are linked in; gone at the end."""
    models = config.load().models_dir
    with tempfile.TemporaryDirectory(prefix="ondol-personal-") as name:
        shutil.copytree(
            models,
            Path(name, "data", "models"),
            symlinks=True,
            ignore=shutil.ignore_patterns("adapters", "locks"),
            copy_function=_link,
        )
        with patch.dict(os.environ, {"ONDOL_HOME": name}), Parts(config.load()) as parts:
            yield parts


def answers(
    parts: Parts,
    model: str,
    prompts: Sequence[tuple[Message, ...]],
    *,
    temperature: float | None = 0.0,
    adapters: Mapping[str, float] | None = None,
    max_tokens: int = MAX_TOKENS,
) -> list[str]:
    """What ``model`` says to each; a temperature of None is the engine's own default."""
    engine = parts.engine(model)
    options = GenerateOptions(
        max_tokens=max_tokens, temperature=temperature, seed=SEED, adapters=adapters or {}
    )
    said = []
    for number, messages in enumerate(prompts, start=1):
        tokens = engine.generate(list(messages), options)
        said.append("".join(token.text for token in tokens if not token.reasoning).strip())
        print(f"\r{number} of {len(prompts)} answers ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return said


def key(messages: Sequence[Message]) -> str:
    return "\n".join(message.content for message in messages)


def originals(parts: Parts, model: str, asked: Sequence[tuple[Message, ...]]) -> list[str]:
    """What the base said before anybody corrected it: as kept in ``originals.json`` for the
    default model, or asked now."""
    known: dict[str, str] = {}
    if model == config.load()["models.chat"]:
        known = json.loads(ORIGINALS.read_text("utf-8"))
    new = [messages for messages in asked if key(messages) not in known]
    said = answers(parts, model, new, max_tokens=ORIGINAL_TOKENS) if new else []
    known |= {key(messages): text for messages, text in zip(new, said, strict=True)}
    return [known[key(messages)] for messages in asked]


def style(said: Sequence[str], part: str = "held_out") -> dict[str, Any]:
    """How the persona's held-out prompts were answered: each rule, all of them, the truth."""
    asked = persona.held_out(part)
    kept = [persona.kept(answer, one.language) for answer, one in zip(said, asked, strict=True)]
    follows = [all(rules.values()) for rules in kept]
    known = [(answer, one.expect) for answer, one in zip(said, asked, strict=True) if one.expect]
    languages = {
        language: [f for f, one in zip(follows, asked, strict=True) if one.language == language]
        for language in dict.fromkeys(one.language for one in asked)
    }
    return {
        "prompts": len(asked),
        "style_followed": sum(follows),
        **{f"style_followed_{name}": [sum(fs), len(fs)] for name, fs in languages.items()},
        "rules": {name: sum(rules[name] for rules in kept) for name in persona.RULES},
        "true": [sum(persona.is_true(answer, expect) for answer, expect in known), len(known)],
        "words": round(sum(len(answer.split()) for answer in said) / len(said), 1),
    }


def circumstances(model: str) -> dict[str, Any]:
    return {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "model": model,
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "versions": {n: version(n) for n in ("torch", "transformers", "peft", "xllamacpp")},
    }


def _link(source: str, destination: str) -> None:
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)
