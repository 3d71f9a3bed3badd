"""How well does search find, and what does each of its parts add?

Every set goes through ``Library.add`` and ``Library.search``, whole, with each part switched off in
turn, and beside BM25 alone, vectors alone and reciprocal rank fusion on the same index. Prints a
table with 95 % bootstrap intervals; --write keeps results.json. --korean-morphemes measures the
Korean set alone, with and without the extra ``korean``. See README.md.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import sets
from sets import HERE, XQUAD, Collection, Question

from ondol import __version__, config
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval import diversity, evidence, korean, mentions, search, searcher
from ondol.retrieval.library import Library

DEPTH = 100
RESAMPLES = 1000
Numbers = Mapping[str, list[float]]

_fuse = search.fuse


def _share_of_best(*arguments: Any, **named: Any) -> Any:
    named.pop("full", None)
    return _fuse(*arguments, **named)


# What to change in which module, to switch a part off.
PARTS: Mapping[str, tuple[tuple[Any, str, Any], ...]] = {
    "vectors": ((search, "DENSE_WEIGHT", 0.0),),
    "BM25's score": ((search, "BM25_WEIGHT", 1e-9),),
    "BM25 as a share of the question (of the best match instead)": (
        (search, "fuse", _share_of_best),
    ),
    "sentence vectors in the ranking": ((search, "SENTENCE_SHARE", 0.0),),
    "vote taken from vectors that say nothing": (
        (search, "_standing_out", lambda *arguments: 1.0),
    ),
    "best sentence's mentions": ((search, "COVERAGE_WEIGHT", 0.0),),
    "nearness of words": ((search, "NEARNESS_WEIGHT", 0.0),),
    "what a sentence stands under and after": ((mentions, "CONTEXT_SHARE", 0.0),),
    "kind of answer asked for": ((evidence, "TYPE_WEIGHT", 0.0),),
    "sentence vectors in the evidence": ((evidence, "DENSE_WEIGHT", 0.0),),
    "passage's score in the evidence": ((evidence, "PASSAGE_WEIGHT", 0.0),),
    "diversity": ((searcher, "spread", diversity.collapse),),
}


@contextmanager
def without(part: str) -> Iterator[None]:
    with ExitStack() as stack:
        for module, name, value in PARTS[part]:
            stack.enter_context(patch.object(module, name, value))
        yield


class Measured:
    """One set in one library."""

    def __init__(self, collection: Collection, embedder: Any, folder: Path) -> None:
        self.questions = collection.questions
        for name, text in collection.files.items():
            (folder / name).write_text(text, "utf-8")
        self.library = Library(IN_MEMORY, embedder)
        report = self.library.add([folder])
        assert not report.failed, report.failed
        rows = self.library._connection.execute(
            "SELECT c.id, d.source FROM chunks c JOIN documents d ON d.id = c.document_id"
        )
        self.files = {chunk_id: Path(source).name for chunk_id, source in rows}

    def hybrid(self) -> Numbers:
        """What ``ondol search`` and ``ondol ask`` make of every question."""
        quoted = bool(self.questions[0].answers)
        found, told = [], []
        for question in self.questions:
            # One ranking serves the search and the evidence: they only differ in what they read.
            ranked = cache(lambda text, q=question: self._rank(q.text))
            with patch.object(searcher, "rank", lambda *_, ranked=ranked, **__: ranked("")):
                hits = self.library.search(question.text, limit=10 if quoted else DEPTH)
                found.append([Path(hit.chunk.source).name for hit in hits])
                if quoted:
                    told.append(self.library.evidence(question.text).quotes)
        numbers = dict(self._numbers(found))
        if quoted:
            pairs = list(zip(told, self.questions, strict=True))
            numbers["gold_in_two_quotes"] = [float(holds(t[:2], q)) for t, q in pairs]
            numbers["gold_in_evidence"] = [float(holds(t, q)) for t, q in pairs]
        return numbers

    def _rank(self, text: str) -> list[search.Candidate]:
        query, index, _ = self.library._searcher._prepare(text, None)
        return search.rank(self.library._connection, index, query, limit=DEPTH + 10)

    def alone(self, which: str) -> Numbers:
        """BM25, vectors, or the reciprocal ranks of both (k = 60)."""
        return self._numbers([self._ranking(which, q.text) for q in self.questions])

    def _ranking(self, which: str, text: str) -> list[str]:
        library = self.library
        query, index, _ = library._searcher._prepare(text, None)
        words = search.match_terms(library._connection, query.terms, limit=DEPTH)
        lexical = sorted(words, key=lambda i: -words[i])
        dense: list[int] = []
        if query.vector is not None:
            dense = [i for i, _ in index.search(query.vector, DEPTH)]
        if which == "BM25 alone":
            ranked = lexical
        elif which == "vectors alone":
            ranked = dense
        else:
            scores: dict[int, float] = {}
            for ranking in (lexical, dense):
                for place, chunk_id in enumerate(ranking, start=1):
                    scores[chunk_id] = scores.get(chunk_id, 0.0) + 1.0 / (60 + place)
            ranked = sorted(scores, key=lambda i: -scores[i])
        return [self.files[i] for i in ranked]

    def _numbers(self, found: Sequence[Sequence[str]]) -> Numbers:
        numbers: dict[str, list[float]] = {}
        for ranking, question in zip(found, self.questions, strict=True):
            for name, value in judged(list(dict.fromkeys(ranking)), question).items():
                numbers.setdefault(name, []).append(value)
        return numbers


def judged(files: Sequence[str], question: Question) -> dict[str, float]:
    grades = question.relevant
    first = next((i for i, file in enumerate(files, start=1) if file in grades), None)
    gains = [(2 ** grades.get(f, 0) - 1) / math.log2(i + 2) for i, f in enumerate(files[:10])]
    best = sorted(grades.values(), reverse=True)[:10]
    ideal = sum((2**grade - 1) / math.log2(i + 2) for i, grade in enumerate(best))
    return {
        "first": float(first == 1),
        "first_five": float(first is not None and first <= 5),
        "reciprocal_rank": 1.0 / first if first else 0.0,
        "ndcg_at_10": sum(gains) / ideal,
        "recall_at_100": sum(file in grades for file in files[:100]) / len(grades),
    }


def holds(quotes: Sequence[Any], question: Question) -> bool:
    return any(normal(a) in normal(quote.text) for quote in quotes for a in question.answers)


def normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def summary(numbers: Numbers, chosen: Sequence[bool]) -> dict[str, list[float]]:
    """Mean, and the bounds of 95 of 100 means of samples of the questions with replacement."""
    mask = np.array(chosen)
    places = np.random.default_rng(0).integers(0, mask.sum(), (RESAMPLES, int(mask.sum())))
    result = {}
    for name, values in numbers.items():
        mine = np.array(values)[mask]
        low, high = np.percentile(mine[places].mean(axis=1), [2.5, 97.5])
        result[name] = [round(float(x), 4) for x in (mine.mean(), low, high)]
    return result


def both_halves(numbers: Numbers, questions: Sequence[Question]) -> dict[str, Any]:
    tuned = [q.is_tuned_on for q in questions]
    return {
        "tuned half": summary(numbers, tuned),
        "untouched half": summary(numbers, [not t for t in tuned]),
        "all": summary(numbers, [True] * len(tuned)),
    }


def measure(
    collection: Collection, embedder: Any, *, parts: Iterable[str] = tuple(PARTS)
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(collection, embedder, Path(folder))
        questions = collection.questions
        runs: dict[str, Callable[[], Numbers]] = {"hybrid": measured.hybrid}
        for which in ("BM25 alone", "vectors alone", "reciprocal rank fusion"):
            runs[which] = lambda which=which: measured.alone(which)
        result: dict[str, Any] = {
            "files": len(collection.files),
            "chunks": len(measured.files),
            "questions": [sum(q.is_tuned_on for q in questions), len(questions)],
        }
        for name, run in runs.items():
            result[name] = both_halves(run(), questions)
            show(name, result[name])
        result["without"] = {}
        for part in parts:
            with without(part):
                result["without"][part] = both_halves(measured.hybrid(), questions)
            show(f"- {part}", result["without"][part])
        measured.library.close()
        return result


def show(name: str, halves: Mapping[str, Any]) -> None:
    shown = ("first", "first_five", "ndcg_at_10", "gold_in_two_quotes")
    cells = [
        f"{half[metric][0]:.4f}"
        for half in (halves["tuned half"], halves["untouched half"])
        for metric in shown
        if metric in half
    ]
    print(f"{name:62} {' '.join(cells)}", flush=True)


def collections(data: Path, *, with_docstrings: bool) -> Iterator[Collection]:
    yield sets.abstracts()
    yield sets.remembered()
    yield sets.korean()
    yield sets.fresh("korean2", "Korean, unseen")
    yield sets.fresh("articles", "Articles, unseen")
    yield sets.fresh("everyday", "Everyday papers, unseen")
    if data.exists():
        yield sets.english(data)
        yield sets.long_questions(data)
    else:
        print(f"XQuAD is left out, {data.name} is not here")
    if with_docstrings:
        yield sets.docstrings()


def run(embedder: Any, data: Path, *, with_docstrings: bool, write: bool) -> None:
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "embedding": embedder.model,
        "values": "mean, lower and upper bound of the 95 % bootstrap interval",
        "questions": "of the tuned half, of all",
    }
    for collection in collections(data, with_docstrings=with_docstrings):
        print(f"\n{collection.name}")
        results[collection.name] = measure(collection, embedder)
        if write:
            text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
            (HERE / "results.json").write_text(text, "utf-8")


def compare_analysers(embedder: Any, *, write: bool) -> None:
    """The Korean set in a library with bigrams alone, and in one with morphemes beside them."""
    here = korean.analyser()
    if not here:
        raise SystemExit("The Korean analyser is not installed: pip install 'ondol[korean]'")
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "embedding": embedder.model,
    }
    for name, analyser in (("bigrams", ""), (f"bigrams and {here}", here)):
        with patch.object(korean, "analyser", lambda analyser=analyser: analyser):
            print(f"\n{name}")
            results[name] = measure(sets.korean(), embedder, parts=())
    if write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results-korean-morphemes.json").write_text(text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD, help="folder with XQuAD's two files")
    parser.add_argument("--docstrings", action="store_true", help="the slow set too")
    parser.add_argument("--write", action="store_true", help="keep the result")
    parser.add_argument("--korean-morphemes", action="store_true", help="the Korean set alone")
    chosen = parser.parse_args()
    with Parts(config.load()) as parts:
        if chosen.korean_morphemes:
            compare_analysers(parts.embedder, write=chosen.write)
            return
        # The figures are those of the base install, whatever is installed here.
        korean.analyser = lambda: ""
        run(parts.embedder, chosen.data, with_docstrings=chosen.docstrings, write=chosen.write)


if __name__ == "__main__":
    main()
