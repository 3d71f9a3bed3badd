"""Do other weights find better, on questions that none of them was chosen on?

Every paragraph of a file in SQuAD's form (``train-v1.1.json``, or its first articles) is a
document; every question goes through ``Library.search`` and ``Library.evidence`` with the weights
of the house and with each of the others, and the difference is resampled by article. --write keeps
independent.json. See README.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from run import RESAMPLES, normal
from sets import HERE

from ondol import __version__, config
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval import evidence, search
from ondol.retrieval.library import Library
from ondol.training import grounding
from ondol.training.dataset import Question, SourceDocument

Weights = Mapping[tuple[Any, str], float]
BEFORE: Weights = {
    (search, "DENSE_WEIGHT"): 0.7,
    (search, "BM25_WEIGHT"): 0.7,
    (search, "SENTENCE_SHARE"): 0.5,
}
OTHERS: Mapping[str, Weights] = {
    "before: vectors 0.7, BM25 0.7, half the best sentence": BEFORE,
    "BM25 0": {(search, "BM25_WEIGHT"): 1e-9},
    "vectors 0.5": {(search, "DENSE_WEIGHT"): 0.5},
    "vectors 0.8": {(search, "DENSE_WEIGHT"): 0.8},
    "sentence's words 0.6": {(evidence, "LEXICAL_WEIGHT"): 0.6},
    "sentence's words 1.0": {(evidence, "LEXICAL_WEIGHT"): 1.0},
}
METRICS = ("first", "first five", "proof in two quotes")


def measure(
    library: Library, asked: Sequence[tuple[SourceDocument, Question]], weights: Weights
) -> np.ndarray[Any, Any]:
    """Shape (questions, METRICS), 0 or 1."""
    rows = []
    with ExitStack() as stack:
        for (module, name), value in weights.items():
            stack.enter_context(patch.object(module, name, value))
        for document, question in asked:
            files = [hit.chunk.source for hit in library.search(question.text, limit=5)]
            quotes = [
                q for q in library.evidence(question.text).quotes[:2] if q.source == document.id
            ]
            proof = any(normal(s) in normal(q.text) for q in quotes for s in question.support)
            rows.append([files[:1] == [document.id], document.id in files, proof])
    return np.array(rows, dtype=float)


def interval(change: np.ndarray[Any, Any], groups: Sequence[str]) -> list[float]:
    """The mean of ``change``, with the bounds of 95 of 100 means of resampled articles."""
    names = sorted(set(groups))
    sums = np.array([[change[[g == n for g in groups]].sum(), groups.count(n)] for n in names])
    drawn = np.random.default_rng(0).integers(0, len(names), (RESAMPLES, len(names)))
    totals = sums[drawn].sum(axis=1)
    low, high = np.percentile(totals[:, 0] / totals[:, 1], [2.5, 97.5])
    return [round(float(x), 4) for x in (change.mean(), low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--most", type=int, help="questions (default: all)")
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    documents = grounding.paragraphs(chosen.file)
    if chosen.most is not None:
        documents = grounding.sample(documents, chosen.most)
    asked = [(d, q) for d in documents for q in d.questions if q.support]
    groups = [document.group for document, _ in asked]
    with Parts(config.load()) as parts:
        library = parts.open_library(IN_MEMORY)
        for document in documents:
            library.add_text(document.id, document.text)
        ours = measure(library, asked, {})
        results: dict[str, Any] = {
            "date": date.today().isoformat(),
            "ondol": __version__,
            "articles": len(set(groups)),
            "documents": len(documents),
            "questions": len(asked),
            "ours": dict(zip(METRICS, ours.mean(axis=0).round(4).tolist(), strict=True)),
            "difference": {},
        }
        print(results["ours"], flush=True)
        for name, weights in OTHERS.items():
            theirs = measure(library, asked, weights)
            results["difference"][name] = {
                metric: interval(theirs[:, i] - ours[:, i], groups)
                for i, metric in enumerate(METRICS)
            }
            print(f"{name:56}", results["difference"][name], flush=True)
        library.close()
    if chosen.write:
        (HERE / "independent.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
