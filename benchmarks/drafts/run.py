"""What drafts from the prompt are worth, request by request, in one process of the native engine.

    .venv/bin/python benchmarks/drafts/run.py              # --quick: 4 prompts a set; --write
    .venv/bin/python benchmarks/drafts/run.py --sweep      # lengths of n-grams and of drafts
    .venv/bin/python benchmarks/drafts/run.py --draw       # picture.svg from results.json

Every prompt is answered without drafts, with, and as Ondol's rule decides, in changing order, from
a warm cache and without sampling; what is compared is the time of decoding alone. The three texts
and the probabilities of their tokens are compared too: where two part ways, both ways must have
been as likely but for rounding. ``--engine`` names a llama-server
with Ondol's changes (``ondol engine build``), where it is not the one that serves. ``--cpu``
compares the process's CPU time instead, which other work disturbs less (with ``--threads 1``).
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol.config import load
from ondol.engine import drafting
from ondol.engine.process import EngineProcess, Launch
from ondol.engine.running import Running
from ondol.engine.runtime import count_threads
from ondol.engine.wire import connect
from ondol.models.formats import requantise
from ondol.models.hardware import machine
from ondol.models.store import ModelStore
from ondol.training.grounding import own_documents

HERE = Path(__file__).parent
MODEL = "smollm2:135m"
TOKENS = 64
WAYS = ("off", "on", "auto")
SWEEP = ("3,8", "4,4", "4,8", "4,12", "6,6", "6,8", "6,12", "8,8", "8,16", "12,48")
QUOTE = "Copy the numbered sentence that answers the question, word for word."
SUBJECTS = (
    "a lighthouse in a storm",
    "two friends who open a bakery",
    "a cat that lives in a library",
    "the first snow of the year",
    "a train that never arrives",
    "an old map and a young sailor",
    "a garden on a roof",
    "a letter that came too late",
    "the night market of a small town",
    "a clock that runs backwards",
    "a fox who learns to swim",
    "the last day of school",
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One answer: milliseconds a token, what was drafted and accepted, its text; of each token the
    text, the logprob and the likeliest."""

    ms: float
    drafted: int
    accepted: int
    text: str
    steps: tuple[tuple[str, float, dict[str, float]], ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", type=Path)
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--threads", type=int, default=count_threads())
    parser.add_argument("--formats", default="F16,Q4_1", help="of the weights")
    parser.add_argument("--prompts", type=int, default=8, help="of each set")
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--cpu", action="store_true")
    parser.add_argument("--quick", action="store_true", help="4 prompts of each set, 48 tokens")
    parser.add_argument("--sweep", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--draw", action="store_true")
    arguments = parser.parse_args()
    if arguments.draw:
        draw(json.loads((HERE / "results.json").read_text()))
        return
    if arguments.quick:
        arguments.prompts, arguments.tokens = 4, 48
    arguments.engine = arguments.engine or serving()
    prompts = {name: each[: arguments.prompts] for name, each in sets().items()}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for format in arguments.formats.split(","):
            weights = weights_in(format, arguments.model, Path(folder))
            for draft in SWEEP if arguments.sweep else (drafting.NGRAMS,):
                ways = WAYS[:2] if arguments.sweep else WAYS
                with process(arguments, weights, draft) as asked:
                    for name, each in prompts.items():
                        one = summed(measure(asked, each, ways))
                        found.setdefault(format, {})[name] = one
                        print(format, draft, name, json.dumps(one), flush=True)
    results = {
        "date": date.today().isoformat(),
        "model": arguments.model,
        "draft": drafting.NGRAMS,
        "tokens": arguments.tokens,
        "cpu": machine().cpu,
        "threads": arguments.threads,
        "compared": "CPU time" if arguments.cpu else "time",
        "formats": found,
    }
    if arguments.write:
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
        draw(results)


def weights_in(format: str, model: str, folder: Path) -> Path:
    """The model's file in ``format``, or as it came."""
    store = ModelStore(load().models_dir)
    found = store.get(model)
    if format == found.quantization:
        return store.path(found)
    requantise(store.path(found), folder / f"{format}.gguf", format)
    return folder / f"{format}.gguf"


def serving() -> Path:
    from ondol.engine.native import records

    found = records.serving()
    if found is None:
        raise SystemExit("No native engine serves here: build one with ondol engine build.")
    return found.path


def sets() -> dict[str, list[list[dict[str, str]]]]:
    """Messages of each set: answers that quote their evidence, prose beside a text, prose."""
    documents = [one for one in own_documents() if one.language == "en"][::20]
    rng = random.Random(11)
    quoting, beside = [], []
    for document in documents:
        question = rng.choice([q for q in document.questions if q.answer and q.support])
        sentences = re.split(r"(?<=[.!?])\s+", document.text)
        proof = next((s for s in sentences if question.support[0] in s), None)
        if proof is not None:
            given = [proof, *[s for s in sentences if s != proof][:2]]
            rng.shuffle(given)
            lines = [f"[{number}] {sentence}" for number, sentence in enumerate(given, 1)]
            lines.append(f"\nQuestion: {question.text}\n\nWhich sentence answers it? Copy it.")
            quoting.append([said("system", QUOTE), said("user", "\n".join(lines))])
        about = f"{document.text}\n\nWrite a letter to a friend about what you think of this."
        beside.append([said("user", about)])
    prose = [[said("user", f"Write a short story about {subject}.")] for subject in SUBJECTS]
    return {"quoting": quoting, "prose beside a text": beside, "prose": prose}


def said(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@dataclass(frozen=True, slots=True)
class Asked:
    """The process, and how it is asked."""

    http: Any
    tokens: int
    cpu_seconds: Callable[[], float] | None


@contextmanager
def process(arguments: argparse.Namespace, weights: Path, draft: str) -> Iterator[Asked]:
    import psutil

    launch = Launch(
        name=arguments.model,
        model=str(weights),
        num_ctx=2048,
        num_parallel=1,
        threads=arguments.threads,
        gpu_layers=0,
        binary=str(arguments.engine),
        running=Running(draft=draft),
    )
    child = EngineProcess(launch)
    try:
        child.wait_ready(120)
        (server,) = psutil.Process(child.pid).children()
        cpu = (lambda: sum(server.cpu_times()[:2])) if arguments.cpu else None
        yield Asked(connect(child.address, child.key), arguments.tokens, cpu)
    finally:
        child.kill()


def measure(
    asked: Asked, prompts: list[list[dict[str, str]]], ways: tuple[str, ...]
) -> list[dict[str, Answered]]:
    found = []
    for number, messages in enumerate(prompts):
        ask(asked, messages, "off", 1)
        # In changing order, each way twice; the faster counts, which other work disturbed less.
        turns = [*ways[number % len(ways) :], *ways[: number % len(ways)]]
        answers = [(w, ask(asked, messages, w, asked.tokens)) for w in (*turns, *reversed(turns))]
        found.append(
            {way: min((a for w, a in answers if w == way), key=lambda a: a.ms) for way in ways}
        )
    return found


def ask(asked: Asked, messages: list[dict[str, str]], way: str, tokens: int) -> Answered:
    body: dict[str, Any] = {"messages": messages, "max_tokens": tokens, "temperature": 0}
    body |= {"logprobs": True, "top_logprobs": 5, "cache_prompt": True}
    rule = drafting.of(asked.http, body) if way == "auto" else None
    drafts = rule or drafting.Drafts({"ondol_drafts": way})
    before = asked.cpu_seconds() if asked.cpu_seconds else 0.0
    response = asked.http.post("/v1/chat/completions", json=body | dict(drafts.asked), timeout=280)
    spent = asked.cpu_seconds() - before if asked.cpu_seconds else 0.0
    told = next(iter(drafts.learning([response.json()])))
    timings, choice = told["timings"], told["choices"][0]
    steps = (choice.get("logprobs") or {}).get("content") or ()
    return Answered(
        (1000 * spent if asked.cpu_seconds else timings["predicted_ms"]) / timings["predicted_n"],
        timings.get("draft_n", 0),
        timings.get("draft_n_accepted", 0),
        choice["message"]["content"],
        tuple(
            (s["token"], s["logprob"], {one["token"]: one["logprob"] for one in s["top_logprobs"]})
            for s in steps
        ),
    )


def summed(found: list[dict[str, Answered]]) -> dict[str, Any]:
    """The speed beside that without drafts: of all tokens, and how it spreads over prompts."""
    report: dict[str, Any] = {}
    for way in (name for name in found[0] if name != "off"):
        ratios = [one["off"].ms / one[way].ms for one in found]
        drafted = sum(one[way].drafted for one in found)
        gaps, partings = [0.0], [0.0]
        for one in found:
            for (token, logprob, likeliest), (other, again, _) in zip(
                one["off"].steps, one[way].steps, strict=False
            ):
                if token != other:
                    partings.append(logprob - likeliest.get(other, -math.inf))
                    break
                gaps.append(abs(logprob - again))
        report[way] = {
            "ratio": round(sum(o["off"].ms for o in found) / sum(o[way].ms for o in found), 3),
            "median": round(statistics.median(ratios), 3),
            "least": round(min(ratios), 3),
            "interval": interval(found, way),
            "same_text": sum(one["off"].text == one[way].text for one in found),
            "prompts": len(found),
            "drafted": drafted,
            "accepted": sum(one[way].accepted for one in found),
            "largest_logprob_gap": round(max(gaps), 4),
            "largest_parting_gap": round(max(partings), 4),
        }
    report["tokens_per_second"] = {
        way: round(1000 / statistics.mean(one[way].ms for one in found), 1) for way in found[0]
    }
    return report


def interval(found: list[dict[str, Answered]], way: str) -> list[float]:
    """95 % of a bootstrap over prompts."""
    rng = random.Random(0)
    ratios = []
    for _ in range(2000):
        drawn = rng.choices(found, k=len(found))
        ratios.append(sum(o["off"].ms for o in drawn) / sum(o[way].ms for o in drawn))
    ratios.sort()
    return [round(ratios[50], 3), round(ratios[1949], 3)]


def draw(results: dict[str, Any]) -> None:
    formats = results["formats"]
    best = max(one["quoting"]["auto"]["ratio"] for one in formats.values())
    rest = min(
        one["auto"]["ratio"]
        for sets in formats.values()
        for name, one in sets.items()
        if name != "quoting"
    )
    fig, axes = pictures.figure(
        f"Quoting answers up to {best:.2f} times as fast, prose never below {rest:.2f}",
        f"decoding of {results['model']}, {results['cpu']}; the same tokens either way",
        columns=len(formats),
        size=(4.5 * len(formats) + 1, 4.5),
    )
    for ax, (format, sets) in zip(
        [axes] if len(formats) == 1 else axes, formats.items(), strict=True
    ):
        series = {
            "drafts": {name: one["on"]["ratio"] for name, one in sets.items()},
            "Ondol's rule": {name: one["auto"]["ratio"] for name, one in sets.items()},
        }
        colours = {"drafts": pictures.YARDSTICK, "Ondol's rule": pictures.ACCENT}
        pictures.bars(ax, series, unit="speed, without drafts = 1", form="{:.2f}", colours=colours)
        ax.axhline(1.0, color=pictures.INK, linewidth=1)
        ax.set_xlabel(f"weights in {format}")
    pictures.save(fig, HERE / "picture.svg")


if __name__ == "__main__":
    main()
