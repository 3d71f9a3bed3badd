"""Does evidence get shorter without costing answers? An ablation; nothing in Ondol does it.

    .venv/bin/python benchmarks/compression/run.py [--limit 40] [--write]

Of each sentence that the model is given, clauses go that share no word with the question and hold
neither a number nor a name (``compressed``); for comparison every second clause goes (``halved``).
Questions of articles that the adapter never saw, each asked of all in turn, paired. XQuAD is read
from the shared data folder and never shipped.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "grounding"))

import pictures
from ablations import DEFAULT, Choice, Varied, in_turn, result_of
from run import XQUAD, library_of, parts_with, some, unseen_articles

from ondol import __version__
from ondol.excerpts import terms
from ondol.models.hardware import machine
from ondol.types import Evidence, Message

HERE = Path(__file__).parent
CLAUSE = re.compile(r"(?<=[;,:])\s+|\s+(?=[(–—])|\s-\s")
FACT = re.compile(r"\d|(?<=\s)[A-Z]\w")

Shorten = Callable[[str, str], str]


def as_it_is(text: str, question: str) -> str:
    return text


def compressed(text: str, question: str) -> str:
    """Without the clauses that answer nothing; the first, which says what it is about, stays."""
    asked = terms(question)
    first, *rest = CLAUSE.split(text)
    kept = [one for one in rest if asked & terms(one) or FACT.search(one)]
    return _ended(" ".join([first, *kept]), text)


def halved(text: str, question: str) -> str:
    """Without every second clause, whatever it says: what compressing at random costs."""
    return _ended(" ".join(CLAUSE.split(text)[::2]), text)


def _ended(short: str, text: str) -> str:
    return short.rstrip(",;:") + ("." if text.rstrip().endswith(".") and short[-1] != "." else "")


@dataclass(frozen=True)
class Shortened(Varied):
    """A house whose evidence is shortened for the question before the model sees it."""

    shorten: Shorten = as_it_is

    def evidence(
        self, question: str, *, where: object = None, history: Sequence[Message] = ()
    ) -> Evidence:
        found = self.library.evidence(question)
        quotes = tuple(replace(q, text=self.shorten(q.text, question)) for q in found.quotes)
        return replace(found, quotes=quotes)


def picture(results: dict[str, Any]) -> None:
    arms = results["arms"]
    change = arms["compressed"]["difference"]["accuracy"]
    shorter = 1 - arms["compressed"]["prompt_tokens"] / arms[DEFAULT]["prompt_tokens"]
    title = (
        f"Leaving out clauses saves {100 * shorter:.0f} % of the prompt; accuracy changes by "
        f"{100 * change['value']:+.1f} points"
    )
    span = f"{100 * change['low']:+.1f} to {100 * change['high']:+.1f}"
    subtitle = f"{results['questions']} unseen questions, {results['model']}; 95 %: {span}"
    fig, axes = pictures.figure(title, subtitle, columns=2, size=(9, 3.8))
    scores = {arm: 100 * found["scores"]["accuracy"]["value"] for arm, found in arms.items()}
    tokens = {arm: found["prompt_tokens"] for arm, found in arms.items()}
    pictures.bars(axes[0], {"accuracy": scores}, unit="right answers, %")
    pictures.bars(axes[1], {"tokens": tokens}, unit="tokens read for a question")
    pictures.save(fig, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=40, help="questions")
    parser.add_argument("--write", action="store_true", help="keep results.json and the picture")
    given = parser.parse_args()
    if not XQUAD.exists():
        sys.exit(f"{XQUAD.name} is not here")
    exam = some(unseen_articles(XQUAD)["unseen articles"], given.limit)
    with parts_with("grounding") as parts:
        model = parts.config["models.chat"]
        library = library_of(exam.texts, parts)
        houses: dict[str, Varied] = {
            name: Shortened(parts, library, Choice(name), shorten)
            for name, shorten in (
                (DEFAULT, as_it_is),
                ("compressed", compressed),
                ("halved", halved),
            )
        }
        answered = in_turn(exam, houses)
        library.close()
    arms = {name: result_of(found, [], answered[DEFAULT]) for name, found in answered.items()}
    results = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "cpu": machine().cpu,
        "model": f"{model}:grounding",
        "questions": len(exam.cases),
        "arms": {name: result.as_dict() for name, result in arms.items()},
    }
    text = json.dumps(results, indent=1)
    print(text)
    if given.write:
        (HERE / "results.json").write_text(text + "\n", "utf-8")
        picture(results)


if __name__ == "__main__":
    main()
