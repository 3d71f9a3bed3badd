"""How should the engine's threads wait for each other? Tokens a second, idle and beside other work.

The same model, one engine process for each way of waiting, all at the same prompts in turn; without
and with the grounding adapter, on a machine that is quiet and on one whose cores are all busy.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.engine import starter
from ondol.parts import Parts
from ondol.types import GenerateOptions, Message

HERE = Path(__file__).parent
WAYS: dict[str, dict[str, str]] = {
    "as libgomp does": {},
    "asleep at once": {"OMP_WAIT_POLICY": "passive"},
    "as Ondol does": dict(starter.WAITING),
}
PROMPT_WORDS = 110
REPLY_TOKENS = 16


def house(settings: dict[str, str]) -> Parts:
    """An engine of its own that waits in the way of ``settings``."""
    starter.WAITING.clear()
    starter.WAITING.update(settings)
    parts = Parts(config.load())
    speeds(parts, "", ["warm"] * 8)
    return parts


def speeds(parts: Parts, adapter: str, words: list[str]) -> tuple[float, float]:
    """Tokens a second: of the prompt, and of the reply."""
    options = GenerateOptions(
        max_tokens=REPLY_TOKENS, temperature=0.0, adapters={adapter: 1.0} if adapter else {}
    )
    *_, last = parts.engine().generate([Message("user", " ".join(words))], options)
    usage = last.usage
    assert usage is not None
    read = usage.prompt_tokens - usage.cached_tokens
    return read / usage.prompt_seconds, usage.completion_tokens / usage.completion_seconds


@contextmanager
def busy_cores() -> Iterator[None]:
    """Other programs at work, one for each core."""
    children = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
        for _ in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for child in children:
            child.kill()
            child.wait()


def measure(houses: dict[str, Parts], runs: int) -> dict[str, dict[str, dict[str, float]]]:
    """Medians by adapter and way; who goes first changes from run to run."""
    chooser = random.Random(0)
    text = (HERE.parents[1] / "docs" / "documents.md").read_text("utf-8").split()
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(runs):
        for adapter in ("", "grounding"):
            words = chooser.sample(text, PROMPT_WORDS)
            names = list(houses)
            for name in names[number % len(names) :] + names[: number % len(names)]:
                found.setdefault((adapter, name), []).append(speeds(houses[name], adapter, words))
    table: dict[str, dict[str, dict[str, float]]] = {}
    for (adapter, name), pairs in found.items():
        prompt, reply = (round(statistics.median(column), 1) for column in zip(*pairs, strict=True))
        table.setdefault(adapter or "no adapter", {})[name] = {"prompt": prompt, "reply": reply}
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15, help="prompts of each kind")
    parser.add_argument("--busy", action="store_true", help="beside other work too: takes long")
    parser.add_argument("--write", action="store_true", help="keep waiting.json")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        houses = {name: stack.enter_context(house(way)) for name, way in WAYS.items()}
        found = {"quiet": measure(houses, arguments.runs)}
        if arguments.busy:
            with busy_cores():
                found["every core busy"] = measure(houses, arguments.runs)
    result: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "xllamacpp": version("xllamacpp"),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_the_end": round(os.getloadavg()[0], 2),
        "tokens_a_second": found,
    }
    print(json.dumps(result, indent=2))
    if arguments.write:
        (HERE / "waiting.json").write_text(json.dumps(result, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
