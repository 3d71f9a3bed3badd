"""What do choices of the pipeline change, once the adapter is on? Each beside what Ondol does.

Order, number and headings of the sentences, where the question stands, when an answer ends, and
how strong the adapter is: the same unseen questions, paired. --write keeps ablations.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from run import HERE, XQUAD, Exam, Text, library_of, parts_with, some, stretches, unseen_articles

from ondol import __version__
from ondol.ask import Manner
from ondol.errors import AdapterNotFoundError
from ondol.parts import Parts
from ondol.prompt import GROUNDING
from ondol.retrieval.library import Library
from ondol.train import answer_and_given
from ondol.training.bootstrap import Estimate, difference
from ondol.training.evaluation import Case, Outcome, scores
from ondol.training.gate import aligned, differences, label, shown
from ondol.trust import Trust
from ondol.types import Engine, Evidence, Hit, Message, Quote

DEFAULT = "as it is"
METRICS = ("accuracy", "f1", "citation_correctness", "wrongly_abstains", "abstention_recall")

Quotes = tuple[Quote, ...]


@dataclass(frozen=True)
class Choice:
    """One thing done differently: to the quotes before the model sees them, or to the manner."""

    name: str
    quotes: Callable[[Quotes], Quotes] = lambda quotes: quotes
    manner: Callable[[Manner], Manner] = lambda manner: manner


def best_last(quotes: Quotes) -> Quotes:
    return _numbered(quotes[::-1])


def in_document_order(quotes: Quotes) -> Quotes:
    """As they stand in their documents, the document of the best sentence first."""
    sources = list(dict.fromkeys(quote.source for quote in quotes))
    return _numbered(sorted(quotes, key=lambda q: (sources.index(q.source), q.start)))


def _numbered(quotes: Sequence[Quote]) -> Quotes:
    return tuple(replace(quote, number=i) for i, quote in enumerate(quotes, start=1))


def under_title(titles: Mapping[str, str]) -> Callable[[Quotes], Quotes]:
    def titled(quotes: Quotes) -> Quotes:
        return tuple(replace(q, text=f"{titles[q.source]}: {q.text}") for q in quotes)

    return titled


def at_most(count: int | None) -> Callable[[Manner], Manner]:
    return lambda manner: replace(manner, max_quotes=count)


def question_last(manner: Manner) -> Manner:
    return replace(manner, template=replace(manner.template, question_first=False))


def generating(**changes: Any) -> Callable[[Manner], Manner]:
    return lambda manner: replace(manner, options=replace(manner.options, **changes))


def scaled(scale: float) -> Callable[[Manner], Manner]:
    return lambda manner: generating(adapters=dict.fromkeys(manner.options.adapters, scale))(manner)


def choices(texts: Sequence[Text]) -> list[Choice]:
    titles = {text.source: text.group.replace("_", " ") for text in texts}
    return [
        Choice(DEFAULT),
        Choice("1 sentence", manner=at_most(1)),
        Choice("2 sentences", manner=at_most(2)),
        Choice("all sentences", manner=at_most(None)),
        Choice("best sentence last", quotes=best_last),
        Choice("in document order", quotes=in_document_order),
        Choice("title before each", quotes=under_title(titles)),
        Choice("question last only", manner=question_last),
        Choice("at most 16 tokens", manner=generating(max_tokens=16)),
        Choice("no stop at a line's end", manner=generating(stop=())),
        Choice("adapter at 0.5", manner=scaled(0.5)),
        Choice("adapter at 0.8", manner=scaled(0.8)),
        Choice("adapter at 1.2", manner=scaled(1.2)),
    ]


@dataclass(frozen=True)
class Varied:
    """``AskParts``, and their retriever, that do one thing differently."""

    parts: Parts
    library: Library
    choice: Choice

    @property
    def retriever(self) -> Varied:
        return self

    def search(self, query: str, *, limit: int = 10, where: object = None) -> list[Hit]:
        return self.library.search(query, limit=limit)

    def evidence(
        self, question: str, *, where: object = None, history: Sequence[Message] = ()
    ) -> Evidence:
        found = self.library.evidence(question)
        return replace(found, quotes=self.choice.quotes(found.quotes))

    def listing(self, question: str, *, where: object = None) -> Evidence:
        return self.library.listing(question)

    def asks_for_all(self, question: str) -> bool:
        return self.library.asks_for_all(question)

    def follows_up(self, question: str) -> bool:
        return False

    @property
    def num_quotes(self) -> int:
        return self.parts.num_quotes

    def manner(self, model: str | None = None) -> Manner:
        return self.choice.manner(self.parts.manner(model))

    def engine(self, model: str | None = None) -> Engine:
        return self.parts.engine(model)

    @property
    def trust(self) -> Trust:
        return Trust()


def asked(case: Case, house: Varied, texts: Mapping[str, str]) -> Outcome:
    """What became of it, the quotes in the documents' own words: a title tells the model something,
    but proves nothing."""
    answer, given = answer_and_given(case.question, house)
    own = tuple(replace(q, text=texts[q.source][q.start : q.end]) for q in given)
    return Outcome(case, answer, own)


def in_turn(exam: Exam, houses: Mapping[str, Varied]) -> dict[str, list[Outcome]]:
    """Every case asked of every house, a question each in turn. At any time each house is at
    another question: else the second that asks the same finds the engine's cache warm."""
    texts = {text.source: text.text for text in exam.texts}
    count = len(exam.cases)
    found: dict[str, dict[int, Outcome]] = {name: {} for name in houses}
    for tick in range(count):
        for place, (name, house) in enumerate(houses.items()):
            number = (tick + place * max(1, count // len(houses))) % count
            found[name][number] = asked(exam.cases[number], house, texts)
        progress(tick + 1, count)
    return {name: [by_number[i] for i in range(count)] for name, by_number in found.items()}


def while_missing(
    exam: Exam, library: Library, houses: Mapping[str, Varied]
) -> dict[str, list[Outcome]]:
    """Every case asked of every house while the library lacks what it must lack."""
    by_source = {text.source: text for text in exam.texts}
    texts = {source: text.text for source, text in by_source.items()}
    found: dict[str, list[Outcome]] = {name: [] for name in houses}
    for sources, cases in stretches(exam):
        library.forget([Path(source) for source in sources])
        for case in cases:
            for name, house in houses.items():
                found[name].append(asked(case, house, texts))
        for source in sources:
            library.add_text(source, texts[source], media_type=by_source[source].media_type)
        progress(len(found[DEFAULT]), len(exam.cases))
    return found


def progress(done: int, total: int) -> None:
    print(f"\r{done} of {total} ", end="\n" if done == total else "", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Result:
    """What came of a choice, and how that differs from the default. Seconds and tokens are those of
    the questions that have an answer."""

    estimates: Mapping[str, Estimate]
    changes: Mapping[str, Estimate]
    median_seconds: float
    prompt_tokens: float
    cached_tokens: float

    def as_dict(self) -> dict[str, Any]:
        return {
            "scores": {name: self.estimates[name].as_dict() for name in (*METRICS, "words")},
            "difference": {name: change.as_dict() for name, change in self.changes.items()},
            "median_seconds": round(self.median_seconds, 3),
            "prompt_tokens": round(self.prompt_tokens, 1),
            "cached_tokens": round(self.cached_tokens, 1),
        }

    def cells(self, default: bool) -> list[str]:
        cells = [
            shown(name, (self.estimates if default else self.changes)[name], sign=not default)
            for name in METRICS
        ]
        return [*cells, f"{self.estimates['words'].value:.1f}", f"{self.median_seconds:.2f}"]


def result_of(here: list[Outcome], gone: list[Outcome], default: list[Outcome]) -> Result:
    """``here`` have an answer, ``gone`` have none; ``default`` is both, of the default."""
    every = [*here, *gone]
    groups = [outcome.case.group for outcome in here]
    seconds = [[o.answer.seconds.total for o in side] for side in (default[: len(here)], here)]
    changes = differences(default, every)
    return Result(
        scores(every, parts=False).estimates,
        {name: changes[name] for name in METRICS} | {"seconds": difference(groups, *seconds)},
        statistics.median(seconds[1]),
        statistics.mean(o.answer.usage.prompt_tokens for o in here),
        statistics.mean(o.answer.usage.cached_tokens for o in here),
    )


def table(results: Mapping[str, Result]) -> str:
    """The default's figures, and below them how the others differ."""
    heads = ["", *(label(name) for name in METRICS), label("words"), label("seconds")]
    return aligned(
        [heads, *([name, *result.cells(name == DEFAULT)] for name, result in results.items())]
    )


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--adapter", default="grounding", help="the adapter that is on")
    parser.add_argument("--limit", type=int, default=120, help="questions (0: all)")
    parser.add_argument(
        "--missing", type=int, default=40, help="questions whose passage is missing (0: none)"
    )
    parser.add_argument("--only", action="append", help="a choice's name; may be given again")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    if not XQUAD.exists():
        sys.exit(f"{XQUAD.name} is not here")
    return arguments


def main() -> None:
    arguments = command_line()
    exams = unseen_articles(XQUAD)
    here = some(exams["unseen articles"], arguments.limit)
    gone = some(exams["passage missing"], arguments.missing) if arguments.missing else None
    every = choices(here.texts)
    wanted = arguments.only or [choice.name for choice in every]
    if unknown := set(wanted) - {choice.name for choice in every}:
        sys.exit(f"no such choice: {', '.join(sorted(unknown))}")
    with parts_with(arguments.adapter) as parts:
        model = parts.config["models.chat"]
        try:
            parts.adapters.get(model, arguments.adapter)
        except AdapterNotFoundError as error:
            sys.exit(error.message)
        if parts.manner().template is not GROUNDING:
            sys.exit(f"{model}:{arguments.adapter} was trained in another layout")
        parts.pool.load(model)
        library = library_of(here.texts, parts)
        houses = {
            choice.name: Varied(parts, library, choice)
            for choice in every
            if choice.name in {DEFAULT, *wanted}
        }
        answered = in_turn(here, houses)
        absent = while_missing(gone, library, houses) if gone else {name: [] for name in houses}
        library.close()
    default = [*answered[DEFAULT], *absent[DEFAULT]]
    results = {name: result_of(answered[name], absent[name], default) for name in houses}
    print(table(results))
    if arguments.write:
        about = {
            "date": date.today().isoformat(),
            "ondol": __version__,
            "model": f"{model}:{arguments.adapter}",
            "questions": len(here.cases),
            "passage missing": len(default) - len(here.cases),
            "choices": {name: result.as_dict() for name, result in results.items()},
        }
        text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
        (HERE / "ablations.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
