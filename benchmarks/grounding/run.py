"""Does the adapter make answers better, and nothing worse? Off and on, side by side, one table.

Asks held-out questions through the real pipeline, each of both houses before the next question,
then lets the gate judge. See README.md; --write keeps results.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.database import IN_MEMORY
from ondol.errors import AdapterNotFoundError
from ondol.parts import Parts
from ondol.retrieval.library import Library
from ondol.train import House
from ondol.training import grounding
from ondol.training.drift import measure_drift
from ondol.training.evaluation import (
    Ask,
    Case,
    Outcome,
    cases_of,
    holds,
    scores,
    side_by_side,
)
from ondol.training.gate import Pair, aligned, differences, label, table, verdict

HERE = Path(__file__).parent
XQUAD = HERE.parents[2] / "shared" / "data" / "xquad-en-dev"
KOREAN = HERE.parent / "answers" / "korean"

OFF, ON = "off", "on"


@dataclass(frozen=True)
class Text:
    """A document of a library; ``group`` is its article."""

    source: str
    text: str
    group: str
    media_type: str = "text/plain"


@dataclass(frozen=True)
class Exam:
    """Cases about a library; ``without`` are the sources that it must lack while one is asked."""

    texts: tuple[Text, ...]
    cases: tuple[Case, ...]
    without: tuple[tuple[str, ...], ...]


def parts_with(adapter: str) -> Parts:
    """The house as configured, with that adapter ("": none) switched on for ``ask``. Each has an
    engine process of its own: neither empties the other's prompt cache."""
    return Parts(config.load().with_flags({"answer.adapter": adapter}))


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines() if line.strip()]


def unseen_articles(data: Path) -> dict[str, Exam]:
    """The half of XQuAD that is never trained on, among all 120 passages; and the same questions
    while their passage, or their whole article, is missing."""
    passages = {p["id"]: p for p in lines(data / "passages.jsonl")}
    texts = tuple(Text(f"/{id}.txt", p["text"], p["title"]) for id, p in passages.items())
    unseen = set(grounding.unseen_titles({p["title"] for p in passages.values()}))
    cases, own, article = [], [], []
    for q in lines(data / "questions.jsonl"):
        title = passages[q["passage"]]["title"]
        if title in unseen:
            cases.append(Case(q["question"], tuple(q["answers"]), "en", title))
            own.append((f"/{q['passage']}.txt",))
            article.append(tuple(t.source for t in texts if t.group == title))
    # Another passage of the article may hold the answer too: then it is not unanswerable.
    gone = [
        i
        for i, case in enumerate(cases)
        if not any(
            holds(t.text, case.answers)
            for t in texts
            if t.source in article[i] and t.source not in own[i]
        )
    ]
    return {
        "unseen articles": Exam(texts, tuple(cases), ((),) * len(cases)),
        "passage missing": Exam(
            texts,
            tuple(replace(cases[i], answers=(), kind="passage missing") for i in gone),
            tuple(own[i] for i in gone),
        ),
        "article missing": Exam(
            texts,
            tuple(replace(case, answers=(), kind="article missing") for case in cases),
            tuple(article),
        ),
    }


def own_documents() -> dict[str, Exam]:
    """What was written for Ondol and held out, among all that was written."""
    documents = grounding.own_documents()
    texts = tuple(Text(f"/{d.id}.md", d.text, d.id, "text/markdown") for d in documents)
    cases = tuple(cases_of(grounding.split(documents).test))
    return {"held-out documents": Exam(texts, cases, ((),) * len(cases))} if cases else {}


def korean() -> dict[str, Exam]:
    """The Korean set of benchmarks/answers, with its unanswerable questions."""
    texts = tuple(
        Text(f"/{f.name}", f.read_text("utf-8"), f.name, "text/markdown")
        for f in sorted((KOREAN / "documents").iterdir())
    )
    cases = tuple(
        Case(
            q["question"],
            tuple(q["answers"]),
            "ko",
            q["document"] or q["id"],
            "span" if q["answers"] else "unanswerable",
        )
        for file in ("questions.jsonl", "unanswerable.jsonl")
        for q in lines(KOREAN / file)
    )
    return {"Korean": Exam(texts, cases, ((),) * len(cases))}


def some(exam: Exam, limit: int) -> Exam:
    """A fixed sample of the cases, those that lack the same sources together; all for 0."""
    chosen = list(range(len(exam.cases)))
    if limit and limit < len(chosen):
        chosen = random.Random(0).sample(chosen, limit)
    chosen.sort(key=lambda i: (exam.without[i], i))
    return Exam(
        exam.texts, tuple(exam.cases[i] for i in chosen), tuple(exam.without[i] for i in chosen)
    )


def library_of(texts: Sequence[Text], parts: Parts) -> Library:
    library = parts.open_library(IN_MEMORY)
    for text in texts:
        library.add_text(text.source, text.text, media_type=text.media_type)
    return library


def taken(exam: Exam, library: Library, asks: dict[str, Ask]) -> dict[str, list[Outcome]]:
    """Every case asked of both, while the library lacks what it must lack."""
    by_source = {text.source: text for text in exam.texts}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in asks}
    turn = list(asks.items())
    for sources, cases in stretches(exam):
        if sources:
            library.forget([Path(source) for source in sources])
        library.evidence(cases[0].question)  # so that neither side pays for reading the index anew
        for name, some_outcomes in side_by_side(cases, dict(turn)).items():
            outcomes[name] += some_outcomes
        turn.reverse()
        for source in sources:
            text = by_source[source]
            library.add_text(source, text.text, media_type=text.media_type)
        done = len(outcomes[OFF])
        print(f"\r{done} of {len(exam.cases)} ", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return outcomes


def stretches(exam: Exam) -> Iterator[tuple[tuple[str, ...], list[Case]]]:
    """The cases in order, those in a row that lack the same sources together (at most 10, so that
    progress shows)."""
    stretch: list[Case] = []
    for number, (case, sources) in enumerate(zip(exam.cases, exam.without, strict=True), start=1):
        stretch.append(case)
        last = number == len(exam.cases)
        if last or exam.without[number] != sources or len(stretch) == 10:
            yield sources, stretch
            stretch = []


def report(name: str, outcomes: dict[str, list[Outcome]]) -> dict[str, Any]:
    columns = {side: scores(some_outcomes) for side, some_outcomes in outcomes.items()}
    changes = differences(outcomes[OFF], outcomes[ON])
    print(f"\n{name}\n{table(columns, changes)}", flush=True)
    entries: dict[str, Any] = {side: column.as_dict() for side, column in columns.items()}
    return entries | {"difference": {k: v.as_dict() for k, v in changes.items()}}


def overview(results: dict[str, Any]) -> str:
    """The one table: every set, off and on."""
    names = (
        "accuracy",
        "f1",
        "citation_correctness",
        "wrongly_abstains",
        "abstention_recall",
        "words",
    )
    heads = ["", "questions", *(label(name) for name in names), label("seconds")]
    rows = [heads]
    for name, sides in results.items():
        off, on = sides[OFF], sides[ON]
        pairs = [(off[metric]["value"], on[metric]["value"]) for metric in names]
        pairs.append((off["median_seconds"], on["median_seconds"]))
        cells = ["–" if None in pair else f"{pair[0]:.2f} → {pair[1]:.2f}" for pair in pairs]
        rows.append([name, str(on["cases"]), *cells])
    return aligned(rows)


def kept(outcomes: dict[str, list[Outcome]]) -> Iterator[dict[str, Any]]:
    """One JSON object a question, to read what was said."""
    for off, on in zip(outcomes[OFF], outcomes[ON], strict=True):
        sides = {
            side: {"text": o.answer.text, "route": o.answer.route.value, "model": o.answer.model}
            for side, o in ((OFF, off), (ON, on))
        }
        yield asdict(off.case) | {"quotes": [q.text for q in on.given]} | sides


def exams(arguments: argparse.Namespace) -> dict[str, Exam]:
    makers: list[Callable[[], dict[str, Exam]]] = [own_documents, korean]
    if arguments.data.exists():
        makers.insert(0, lambda: unseen_articles(arguments.data))
    else:
        print(f"XQuAD: left out, {arguments.data.name} is not here")
    found = {name: exam for make in makers for name, exam in make().items()}
    only = arguments.only or list(found)
    if unknown := set(only) - found.keys():
        sys.exit(f"no such set: {', '.join(sorted(unknown))}; there are: {', '.join(found)}")
    limits = {name: arguments.side_limit or arguments.limit for name in found}
    limits["unseen articles"] = arguments.limit
    return {name: some(exam, limits[name]) for name, exam in found.items() if name in only}


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD, help="folder with XQuAD's two files")
    parser.add_argument("--adapter", default="grounding", help="the adapter to judge")
    parser.add_argument("--limit", type=int, default=0, help="questions of each set (0: all)")
    parser.add_argument(
        "--side-limit", type=int, default=0, help="the same for every set but the unseen articles"
    )
    parser.add_argument("--only", action="append", help="a set's name; may be given again")
    parser.add_argument("--no-drift", action="store_true", help="leave out plain text and chat")
    parser.add_argument("--outcomes", type=Path, help="write every answer there, as JSON lines")
    parser.add_argument("--write", action="store_true", help="keep the result")
    return parser.parse_args()


def main() -> None:
    arguments = command_line()
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "limit": arguments.limit,
        "side_limit": arguments.side_limit,
        "sets": {},
    }
    every: dict[str, list[Outcome]] = {OFF: [], ON: []}
    sets: dict[str, Pair] = {}
    with ExitStack() as stack:
        houses = {
            OFF: stack.enter_context(parts_with("")),
            ON: stack.enter_context(parts_with(arguments.adapter)),
        }
        parts = houses[ON]
        model = parts.config["models.chat"]
        results["models"] = [model, parts.config["models.embedding"]]
        try:
            adapter = parts.adapters.get(model, arguments.adapter)
        except AdapterNotFoundError as error:  # off would be compared with off
            sys.exit(error.message)
        results["adapter"] = {"name": adapter.full_name, "digest": adapter.digest}
        for house in houses.values():
            house.pool.load(model)
        for name, exam in exams(arguments).items():
            library = library_of(exam.texts, parts)
            asks: dict[str, Ask] = {
                side: House(house, library, model).ask for side, house in houses.items()
            }
            outcomes = taken(exam, library, asks)
            library.close()
            results["sets"][name] = report(name, outcomes)
            sets[name] = outcomes[OFF], outcomes[ON]
            for side in every:
                every[side] += outcomes[side]
            if arguments.outcomes:
                with arguments.outcomes.open("a", encoding="utf-8") as file:
                    for entry in kept(outcomes):
                        file.write(json.dumps({"set": name} | entry, ensure_ascii=False) + "\n")
        drift = None
        if not arguments.no_drift:
            drift = measure_drift(parts.engine(model), parts.engine(f"{model}:{arguments.adapter}"))
            results["drift"] = drift.as_dict()
            print(f"\ndrift\n{json.dumps(results['drift'], indent=2, ensure_ascii=False)}")
    judged = verdict(every[OFF], every[ON], drift, sets=sets)
    results["sets"]["all sets"] = report("all sets", every)
    print(f"\n{OFF} → {ON}\n{overview(results['sets'])}")
    results["verdict"] = {
        "ships": judged.ships,
        "reasons": judged.reasons,
        "chat_ok": judged.chat_ok,
        "chat_reasons": judged.chat_reasons,
    }
    print(f"\n{json.dumps(results['verdict'], indent=2, ensure_ascii=False)}")
    if arguments.write:
        text = json.dumps(results, indent=2, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
