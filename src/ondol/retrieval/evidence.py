"""Hits to evidence: the sentences that best support an answer, ranked, within a token budget.

A sentence's score adds how much of the question's weight it mentions in its place (inverse document
frequency of the shared terms), its vector's cosine, its passage's score, and whether it holds what
the question asks for: a number, a date, a name. When no sentence and no passage says enough of the
question, there is no evidence, and the answer must be that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.retrieval import korean
from ondol.retrieval.answer_types import answer_type, holds_answer
from ondol.retrieval.diversity import as_strict_as
from ondol.retrieval.mentions import coverage, in_place, read_places
from ondol.retrieval.packed import cosines
from ondol.retrieval.search import Query
from ondol.retrieval.terms import terms_for
from ondol.types import Hit, Quote, Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

LEXICAL_WEIGHT = 0.8
DENSE_WEIGHT = 1.0
PASSAGE_WEIGHT = 1.0
TYPE_WEIGHT = 0.2
# English prose has about four characters a token, Korean about one; evidence counts the dearer way.
CHARACTERS_PER_TOKEN = 4.0
# Below these the library does not speak of the question. On half of XQuAD (612 questions) the first
# drops 2 % of the questions when their article is there and 95 % when it is not: see
# benchmarks/answers.
RELEVANT = 0.58
# The best of many passages is near by chance, the best of a few is not: for a question that nothing
# is said of, the best score grows with the logarithm of the number of passages (from 2 to 80, in
# XQuAD and in our own documents: 98 % are below 0.34 + 0.064 ln n). So with fewer than this the
# threshold falls, and refuses as many of those questions: benchmarks/retrieval/relevance.py.
MANY_PASSAGES = 40
RELEVANT_BY_HALVING = 0.045
RELEVANT_TERMS_WEIGHT = 0.5
RELEVANT_BY_TERMS_ALONE = 0.12
# Of a topic of two words that are equally rare both must be there.
ON_TOPIC = 0.65
# A sentence mentions a word of two kinds of terms twice: benchmarks/retrieval.
RELEVANT_WITH_MORPHEMES = 0.15


@dataclass(frozen=True, slots=True)
class Sentence:
    """A candidate sentence with its scores; offsets point into the document. ``coverage`` is the
    share of the question that it mentions itself, ``in_place`` what it stands under included."""

    hit: Hit
    start: int
    end: int
    coverage: float
    cosine: float
    in_place: float = 0.0
    holds_answer: bool = False

    @property
    def text(self) -> str:
        begin = self.hit.chunk.start
        return self.hit.chunk.text[self.start - begin : self.end - begin]

    @property
    def score(self) -> float:
        return (
            LEXICAL_WEIGHT * max(self.in_place, self.coverage)
            + DENSE_WEIGHT * self.cosine
            + PASSAGE_WEIGHT * self.hit.score
            + TYPE_WEIGHT * self.holds_answer
        )


def rank_sentences(
    connection: Connection, query: Query, weights: Mapping[str, float], hits: Sequence[Hit]
) -> list[Sentence]:
    """Every sentence of ``hits``, best first, the same wording once."""
    by_id = {hit.chunk.id: hit for hit in hits}
    marks = ",".join("?" * len(by_id))
    vectors = dict(
        connection.execute(
            f"SELECT chunk_id, sentences FROM embeddings WHERE model = ? AND chunk_id IN ({marks})",
            [query.model, *by_id],
        ).fetchall()
    )
    kind = answer_type(query.text)
    unique: dict[str, Sentence] = {}
    # The same sentence may stand in a document that everybody may see, and in one that nobody may.
    labels: dict[str, Sensitivity] = {}
    for chunk_id, place in read_places(connection, list(by_id)).items():
        hit = by_id[chunk_id]
        begin = hit.chunk.start
        texts = [place.text[start:end] for start, end in place.spans]
        shares = in_place(weights, place, [terms_for(weights, text) for text in texts])
        closeness = _cosines(vectors.get(chunk_id, b""), query.vector, len(texts))
        for (start, end), text, (alone, placed), cosine in zip(
            place.spans, texts, shares, closeness, strict=True
        ):
            holds = holds_answer(kind, query.text, text)
            sentence = Sentence(hit, begin + start, begin + end, alone, cosine, placed, holds)
            wording = " ".join(text.split()).casefold()
            if wording not in unique or sentence.score > unique[wording].score:
                unique[wording] = sentence
            label = hit.chunk.sensitivity
            labels[wording] = min(labels.get(wording, label), label)
    for wording, sentence in unique.items():
        if labels[wording] < sentence.hit.chunk.sensitivity:
            hit = as_strict_as(sentence.hit, labels[wording])
            unique[wording] = replace(sentence, hit=hit)
    return sorted(unique.values(), key=lambda s: -s.score)


def is_relevant(query: Query, sentences: Sequence[Sentence], *, among: int) -> bool:
    """Whether the library says anything of the question at all; ``sentences`` are the best of
    ``among`` passages (of any number above ``MANY_PASSAGES`` alike)."""
    terms_alone = max((s.coverage for s in sentences), default=0.0)
    if query.vector is None:
        has_morphemes = any(map(korean.is_morpheme, query.terms))
        return terms_alone >= (
            RELEVANT_WITH_MORPHEMES if has_morphemes else RELEVANT_BY_TERMS_ALONE
        )
    closest = max((s.cosine for s in sentences), default=0.0)
    fewer = math.log2(MANY_PASSAGES / min(max(among, 1), MANY_PASSAGES))
    threshold = RELEVANT - RELEVANT_BY_HALVING * fewer
    return closest + RELEVANT_TERMS_WEIGHT * terms_alone >= threshold


def quote(sentences: Sequence[Sentence], budget_tokens: int) -> tuple[Quote, ...]:
    """The best sentences that fit the budget, numbered from 1; the first always fits."""
    quotes: list[Quote] = []
    spent = 0.0
    # A heading says where an answer stands and is none; it is quoted when nothing else is left.
    for sentence in [s for s in sentences if not _is_heading(s)] or sentences:
        cost = estimate_tokens(sentence.text)
        if quotes and spent + cost > budget_tokens:
            break
        spent += cost
        chunk = sentence.hit.chunk
        quotes.append(
            Quote(
                number=len(quotes) + 1,
                text=sentence.text,
                source=chunk.source,
                start=sentence.start,
                end=sentence.end,
                score=sentence.score,
                page=chunk.page,
                sensitivity=chunk.sensitivity,
                also_in=sentence.hit.also_in,
            )
        )
    return tuple(quotes)


def on_topic(
    weights: Mapping[str, float], sentences: Sequence[Sentence]
) -> tuple[list[Sentence], list[Sentence]]:
    """The ``sentences`` that speak of what ``weights`` are the terms of, and the others: the first
    say nearly all of it, together with their heading and their file's name."""
    about: list[Sentence] = []
    others: list[Sentence] = []
    for sentence in sentences:
        chunk = sentence.hit.chunk
        placed = f"{PurePath(chunk.source).stem} {chunk.heading} {sentence.text}"
        (about if coverage(weights, placed) >= ON_TOPIC else others).append(sentence)
    return about, others


def _is_heading(sentence: Sentence) -> bool:
    """A comment in code also begins with "#", but no passage stands under it."""
    title = sentence.text.strip("# \t")
    return sentence.text.startswith("#") and sentence.hit.chunk.heading.endswith(title)


def estimate_tokens(text: str) -> float:
    """About how many tokens ``text`` is, without asking a tokenizer."""
    ascii_characters = sum(character.isascii() for character in text)
    return ascii_characters / CHARACTERS_PER_TOKEN + (len(text) - ascii_characters)


def _cosines(vectors: bytes, query: Matrix | None, count: int) -> list[float]:
    """One for each of a chunk's ``count`` sentences; zeros where there is nothing to compare."""
    if query is None or len(vectors) != count * len(query):
        return [0.0] * count
    scores: list[float] = cosines(vectors, query).tolist()
    return scores
