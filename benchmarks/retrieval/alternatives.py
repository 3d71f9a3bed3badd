"""Could the same scores be put together better?

Other fusions of BM25 and vectors, and other orders of the sentences that are quoted, question by
question beside what Ondol does: the difference with its paired 95 % bootstrap interval, for the
half that things are chosen on and for the other one. --write keeps alternatives.json. See README.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from run import DEPTH, RESAMPLES, Measured, collections, holds, judged
from sets import HERE, XQUAD, Collection, Question

from ondol import __version__, config
from ondol.parts import Parts
from ondol.retrieval import evidence, korean, mentions, search, searcher
from ondol.retrieval.filters import Filter
from ondol.retrieval.terms import terms_for

Floats = npt.NDArray[np.float64]
Scores = Mapping[int, float]
FOLDS = 5
RIDGE = 0.1


@dataclass(frozen=True)
class Seen:
    """What search knows of a question: BM25 as a share of it, the cosines (the passage's and
    its best sentence's, mixed), and of each passage how much a sentence covers, and how near words
    are."""

    lexical: Scores
    dense: Scores
    covered: Scores
    near: Scores
    weight: float

    def order(
        self,
        lexical: Scores,
        dense: Scores,
        weight: float,
        mentioned: Callable[[float], float] = lambda covered: search.COVERAGE_WEIGHT * covered,
    ) -> list[int]:
        first = {
            i: (1.0 - weight) * lexical.get(i, 0.0) + weight * dense.get(i, 0.0)
            for i in {**dense, **lexical}
        }
        ranked = sorted(first, key=lambda i: (-first[i], i))
        head, rest = ranked[: search.READ_CANDIDATES], ranked[search.READ_CANDIDATES :]
        for i in head:
            if i in self.lexical:
                said = mentioned(self.covered[i]) + search.NEARNESS_WEIGHT * self.near[i]
                first[i] += (1.0 - weight) * said
        return [*sorted(head, key=lambda i: (-first[i], i)), *rest]


def normal(scores: Scores, kind: str) -> dict[int, float]:
    """Scores of one list on a scale of their own (Bruch, Gai and Ingber, 2023)."""
    values = np.array(list(scores.values()) or [0.0])
    low, high = float(values.min()), float(values.max())
    if kind == "z":
        low, high = float(values.mean()), float(values.mean() + values.std())
    return {i: (score - low) / ((high - low) or 1.0) for i, score in scores.items()}


def convex(seen: Seen, kind: str, weight: float) -> list[int]:
    if not seen.dense or not seen.lexical:
        return seen.order(seen.lexical, seen.dense, seen.weight)
    lexical = normal(seen.lexical, kind)
    least = min(lexical.values())
    return seen.order(
        {i: lexical.get(i, least) for i in seen.dense}, normal(seen.dense, kind), weight
    )


def said_by_the_best(seen: Seen) -> list[int]:
    """The words' weight falls with the share of the question that the best passage says."""
    if not seen.dense:
        return seen.order(seen.lexical, seen.dense, seen.weight)
    most = min(max(seen.lexical.values(), default=0.0), 1.0)
    return seen.order(seen.lexical, seen.dense, 1.0 - (1.0 - seen.weight) * most)


FUSIONS: Mapping[str, Callable[[Seen], list[int]]] = {
    "weight of vectors 0.6": lambda s: s.order(
        s.lexical, s.dense, s.weight * 0.6 / search.DENSE_WEIGHT
    ),
    "weight of vectors 0.8": lambda s: s.order(
        s.lexical, s.dense, s.weight * 0.8 / search.DENSE_WEIGHT
    ),
    "min-max, weight 0.6": lambda s: convex(s, "min-max", 0.6),
    "min-max, weight 0.7": lambda s: convex(s, "min-max", 0.7),
    "min-max, weight 0.8": lambda s: convex(s, "min-max", 0.8),
    "z-scores, weight 0.6": lambda s: convex(s, "z", 0.6),
    "z-scores, weight 0.7": lambda s: convex(s, "z", 0.7),
    "z-scores, weight 0.8": lambda s: convex(s, "z", 0.8),
    "words weigh as much as the best passage says": said_by_the_best,
    "no mentions": lambda s: s.order(s.lexical, s.dense, s.weight, lambda covered: 0.0),
    "mentions squared": lambda s: s.order(s.lexical, s.dense, s.weight, lambda c: c * c),
}


def see(measured: Measured, text: str) -> Seen:
    library = measured.library
    connection = library._connection
    query, index, _ = library._searcher._prepare(text, None)
    weights = search.query_weights(connection, query)
    telling = [t for t in query.terms if weights[t] >= search.WEIGHT_IN_HALF] or query.terms
    full = sum(weights.values()) / search.BM25_WEIGHT
    found = search.match_terms(connection, telling, limit=search.LEXICAL_CANDIDATES)
    lexical = {i: score / full for i, score in found.items()}
    dense: dict[int, float] = {}
    weight = 0.0
    if query.vector is not None:
        nearest = [i for i, _ in index.search(query.vector, search.DENSE_CANDIDATES)]
        passage = index.scores(query.vector, list(dict.fromkeys([*nearest, *lexical])))
        best = search.best_sentences(connection, query.model, query.vector, list(passage))
        share = search.SENTENCE_SHARE
        dense = {i: max((1 - share) * p + share * best.get(i, p), 0.0) for i, p in passage.items()}
        stands_out = search._standing_out(index, query.vector, max(passage.values()))
        weight = search.DENSE_WEIGHT * stands_out if lexical else 1.0
    covered, near = {}, {}
    for i, place in mentions.read_places(connection, list(lexical)).items():
        said = [terms_for(weights, place.text[a:b]) for a, b in place.spans]
        covered[i] = max((s for _, s in mentions.in_place(weights, place, said)), default=0.0)
        near[i] = mentions.nearness(weights, [word for sentence in said for word in sentence])
    return Seen(lexical, dense, covered, near, weight)


@dataclass(frozen=True)
class Ranked:
    """The sentences of a question, best first: their words, what is known of them, and whether each
    holds the answer. ``facts`` begins with today's score."""

    own: Sequence[float]
    shared_with_first: Sequence[float]
    facts: Floats
    right: npt.NDArray[np.bool_]


def read(measured: Measured, question: Question) -> Ranked:
    library = measured.library
    connection = library._connection
    query, index, where = library._searcher._prepare(question.text, None)
    weights = search.query_weights(connection, query)
    hits = library._searcher._hits(query, index, searcher.EVIDENCE_HITS, where or Filter())
    hits = hits[: searcher.EVIDENCE_HITS]
    ranked = evidence.rank_sentences(connection, query, weights, hits) if hits else []
    ranked = [s for s in ranked if not evidence._is_heading(s)][:30]
    said = [set(terms_for(weights, s.text)) & weights.keys() for s in ranked]
    middle: dict[int, float] = {}
    for hit in hits:
        cosines = [s.cosine for s in ranked if s.hit.chunk.id == hit.chunk.id]
        middle[hit.chunk.id] = float(np.mean(cosines)) if cosines else 0.0
    facts = [
        (
            s.score,
            s.coverage,
            s.in_place,
            s.cosine,
            s.hit.score,
            s.holds_answer,
            s.coverage**2,
            s.cosine * s.coverage,
            s.cosine - middle[s.hit.chunk.id],
            mentions.nearness(weights, terms_for(weights, s.text)),
            np.log(len(s.text)),
            s.start == s.hit.chunk.start,
            1.0 / s.hit.rank,
        )
        for s in ranked
    ]
    return Ranked(
        own=[mentions.share(weights, words) for words in said],
        shared_with_first=[mentions.share(weights, words & said[0]) for words in said],
        facts=np.array(facts, dtype=np.float64).reshape(len(ranked), -1),
        right=np.array([holds([s], question) for s in ranked], dtype=np.bool_),
    )


def complementary(ranked: Ranked, share: float) -> bool:
    """The second quote counts what the first one mentions already by ``share`` less."""
    if len(ranked.right) < 2:
        return bool(ranked.right.any())
    cost = share * evidence.LEXICAL_WEIGHT * np.array(ranked.shared_with_first)
    second = 1 + int(np.argmax((ranked.facts[:, 0] - cost)[1:]))
    return bool(ranked.right[0] or ranked.right[second])


def learned(data: Sequence[Ranked], groups: Sequence[str]) -> list[bool]:
    """Two quotes in the order of a softmax over the sentences of a question, linear in the facts;
    learned on the other folds, between which no document is shared."""
    every = np.concatenate([r.facts for r in data])
    mean, deviation = every.mean(axis=0), every.std(axis=0) + 1e-9
    scaled = [(r.facts - mean) / deviation for r in data]
    fold = {group: place % FOLDS for place, group in enumerate(sorted(set(groups)))}
    result = [False] * len(data)
    for number in range(FOLDS):
        inside = [i for i, g in enumerate(groups) if fold[g] != number and data[i].right.any()]
        weights = today = np.eye(len(mean))[0] * deviation[0] * 6.0
        for _ in range(300):
            step = -RIDGE * (weights - today)
            for i in inside:
                chance = np.exp(scaled[i] @ weights - np.max(scaled[i] @ weights))
                right = chance * data[i].right
                gain = right / right.sum() - chance / chance.sum()
                step = step + scaled[i].T @ gain / len(inside)
            weights = weights + 0.5 * step
        for i, group in enumerate(groups):
            if fold[group] == number and len(data[i].right):
                best = np.argsort(-(scaled[i] @ weights), kind="stable")[:2]
                result[i] = bool(data[i].right[best].any())
    return result


def difference(ours: Sequence[float], theirs: Sequence[float], chosen: Sequence[bool]) -> list[Any]:
    """Our mean, theirs less ours with its interval, and how many questions are better and worse."""
    mask = np.array(chosen)
    change = (np.array(theirs, dtype=float) - np.array(ours, dtype=float))[mask]
    places = np.random.default_rng(0).integers(0, len(change), (RESAMPLES, len(change)))
    low, high = np.percentile(change[places].mean(axis=1), [2.5, 97.5])
    mean = float(np.array(ours, dtype=float)[mask].mean())
    counts = [int((change > 0).sum()), int((change < 0).sum())]
    return [*(round(float(x), 4) for x in (mean, change.mean(), low, high)), *counts]


def measure(collection: Collection, embedder: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        measured = Measured(collection, embedder, Path(folder))
        questions = collection.questions
        tuned = [q.is_tuned_on for q in questions]
        halves = {"tuned half": tuned, "other half": [not t for t in tuned]}
        seen = [see(measured, q.text) for q in questions]

        def ndcg(order: Callable[[Seen], list[int]]) -> list[float]:
            rankings = ([measured.files[i] for i in order(s)[:DEPTH]] for s in seen)
            pairs = zip(rankings, questions, strict=True)
            return [judged(list(dict.fromkeys(r)), q)["ndcg_at_10"] for r, q in pairs]

        rows: dict[str, tuple[list[float], list[float]]] = {}
        ours = ndcg(lambda s: s.order(s.lexical, s.dense, s.weight))
        for name, fusion in FUSIONS.items():
            rows[f"nDCG@10, {name}"] = ours, ndcg(fusion)
        if questions[0].answers:
            sentences = [read(measured, q) for q in questions]
            two = [float(r.right[:2].any()) for r in sentences]
            for share in (0.25, 0.5, 1.0):
                other = [float(complementary(r, share)) for r in sentences]
                rows[f"two quotes, complementary by {share}"] = two, other
            order = learned(sentences, [q.group for q in questions])
            rows["two quotes, learned"] = two, [float(right) for right in order]
        measured.library.close()
    return {
        row: {half: difference(*pair, chosen) for half, chosen in halves.items()}
        for row, pair in rows.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD, help="folder with XQuAD's two files")
    parser.add_argument("--docstrings", action="store_true", help="the slow set too")
    parser.add_argument("--write", action="store_true", help="keep the result")
    chosen = parser.parse_args()
    korean.analyser = lambda: ""
    results: dict[str, Any] = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "values": "mean of today, difference, bounds of its paired 95 % interval, better, worse",
    }
    with Parts(config.load()) as parts:
        for collection in collections(chosen.data, with_docstrings=chosen.docstrings):
            print(f"\n{collection.name}")
            results[collection.name] = measure(collection, parts.embedder)
            for row, halves in results[collection.name].items():
                print(f"{row:58}", *halves.values(), flush=True)
            if chosen.write:
                text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
                (HERE / "alternatives.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
