"""What do two choices of the pipeline buy? Free sentence vectors, and few quotes for a tiny model.

On XQuAD: a gold answer in two quotes, with sentence vectors from the passage's own pass beside
vectors made sentence by sentence; and in the model's own words, with the quotes shown beside all
that fit the evidence budget, on the same questions. --write keeps ablations.json.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from run import HERE, XQUAD, Question, english, holds, share

from ondol import config
from ondol.ask import Manner, ask
from ondol.database import IN_MEMORY
from ondol.parts import Parts
from ondol.retrieval.embedding import OnnxEmbedder, PassageVectors
from ondol.retrieval.library import Library
from ondol.types import Answer


class SentenceBySentence:
    """The same embedder, except that every sentence is read alone."""

    def __init__(self, embedder: OnnxEmbedder) -> None:
        self._embedder = embedder
        self.model, self.dimensions = embedder.model, embedder.dimensions
        self.embed, self.can_read = embedder.embed, embedder.can_read

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[tuple[int, int]]]
    ) -> list[PassageVectors]:
        passages = self._embedder.embed_passages(texts, spans)
        return [
            replace(
                passage,
                sentences=self.embed([text[a:b] for a, b in mine], input_type="document"),
            )
            for passage, text, mine in zip(passages, texts, spans, strict=True)
        ]


class AllQuotes(Parts):
    """A house in which even a tiny model is given all the evidence."""

    def manner(self, model: str | None = None) -> Manner:
        return replace(super().manner(model), max_quotes=None)


def gold_in_two_quotes(library: Library, questions: list[Question]) -> float:
    return share(
        any(holds(quote.text, q.answers) for quote in library.evidence(q.text).quotes[:2])
        for q in questions
    )


def in_own_words(parts: Parts, questions: list[Question]) -> float:
    answers = [list(ask(q.text, parts))[-1] for q in questions]
    return share(
        isinstance(a, Answer) and bool(a.model) and holds(a.text, q.answers)
        for a, q in zip(answers, questions, strict=True)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=XQUAD)
    parser.add_argument("--answers", type=int, default=120)
    parser.add_argument("--questions", type=int, default=0, help="for the quotes (0: all)")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results: dict[str, Any] = {"date": date.today().isoformat(), "answers": arguments.answers}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        questions = english(folder, arguments.data)
        sample = random.Random(0).sample(questions, arguments.answers)
        asked = questions[: arguments.questions or None]
        for house, label in ((Parts, "shown quotes"), (AllQuotes, "all evidence")):
            with house(config.load()) as parts:
                library = parts.open_library(IN_MEMORY)
                library.add([folder])
                parts.use_library(library)
                if house is Parts:
                    alone = Library(IN_MEMORY, SentenceBySentence(parts.embedder))
                    alone.add([folder])
                    results["gold_in_two_quotes"] = {
                        "sentence vectors from the passage": gold_in_two_quotes(library, asked),
                        "sentence by sentence": gold_in_two_quotes(alone, asked),
                    }
                results.setdefault("in_own_words", {})[label] = in_own_words(parts, sample)
    print(json.dumps(results, indent=2))
    if arguments.write:
        (HERE / "ablations.json").write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
