"""Hybrid search: BM25 over terms and vectors over passages and sentences, fused by score.

BM25 counts as a share of what a passage that says the whole question would have, so words that only
say a little of it weigh little beside a clear vector. A vector that says nothing has no vote: when
the embedder cannot read the query's script, or no passage stands out from the rest, the words
decide alone; when no term occurs, the vectors do. Rank fusion is not used, because it trusts a
worthless list as much as a good one. The best passages are then read: a sentence that mentions much
of the question, and its words near each other, move a passage up. benchmarks/retrieval measures
what each part adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ondol.database import Connection
from ondol.retrieval import sight
from ondol.retrieval.filters import Filter, chunk_ids, is_within
from ondol.retrieval.mentions import Place, in_place, nearness, read_places, term_weights
from ondol.retrieval.packed import cosines
from ondol.retrieval.terms import query_terms, terms_for
from ondol.retrieval.vectors.index import VectorIndex
from ondol.types import Chunk, Hit, Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

LEXICAL_CANDIDATES = 200
DENSE_CANDIDATES = 100
# As many as these are compared by their sentences, and read; more when more are asked for.
RESCORED_CANDIDATES = 100
READ_CANDIDATES = 20
SENTENCE_SHARE = 0.65
DENSE_WEIGHT = 0.65
# Beside the vectors' weight is the words': these are shares of the question, 0 to 1 each, BM25's a
# little above 1 where a short passage says it all more than once.
BM25_WEIGHT = 0.35
COVERAGE_WEIGHT = 0.5
NEARNESS_WEIGHT = 0.3
# What a question carries over from the conversation counts this much beside its own words.
CARRIED_WEIGHT = 0.5
# A term in more than half of the passages weighs less. SQLite's BM25 counts it as nothing and yet
# scores every passage that has it: without it the same search is several times faster.
WEIGHT_IN_HALF = math.log(2.0)
# Standard deviations above the mean at which the best passage begins to, and fully, stands out.
STANDS_OUT = (2.0, 3.0)
SMALL_LIBRARY = 30


@dataclass(frozen=True, slots=True)
class Query:
    """A question made ready: its terms, and its vector unless the embedder cannot read it.
    ``carried`` are terms from the conversation before it."""

    text: str
    terms: tuple[str, ...]
    vector: Matrix | None
    model: str = ""
    carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A chunk's scores: BM25 (higher is better) and cosine, and the two fused."""

    chunk_id: int
    lexical: float
    dense: float
    score: float


def prepare(text: str, embedder: Any, *, morphemes: bool = False) -> Query:
    """Read a question once for everything that follows; with Korean ``morphemes`` where the library
    has them."""
    # A shell passes on bytes that are no text as half characters, which no tokenizer takes.
    text = text.encode("utf-8", "replace").decode("utf-8")
    terms = tuple(query_terms(text, morphemes=morphemes))
    # Signs alone ask nothing, and their vector is near to everything.
    readable = bool(terms) and embedder is not None and embedder.can_read(text)
    vector = embedder.embed([text], input_type="query")[0] if readable else None
    return Query(text, terms, vector, embedder.model if readable else "")


def rank(
    connection: Connection,
    index: VectorIndex,
    query: Query,
    where: Filter | None = None,
    *,
    limit: int = RESCORED_CANDIDATES,
) -> list[Candidate]:
    """The candidate chunks, best first: at least ``limit`` where so many match. With ``where`` all
    of them are inside it."""
    weights = query_weights(connection, query)
    telling = [term for term in query.terms if weights[term] >= WEIGHT_IN_HALF] or query.terms
    lexical = _lexical(connection, telling, query.carried, where, max(limit, LEXICAL_CANDIDATES))
    dense: dict[int, float] = {}
    if query.vector is not None:
        dense = _nearest(connection, index, query.vector, max(limit, DENSE_CANDIDATES), where)
    found = list(dict.fromkeys([*dense, *lexical]))
    full = sum(weights.values()) / BM25_WEIGHT
    if query.vector is None or not dense:
        return _read(connection, weights, fuse(found, lexical, {}, 0.0, full=full), 0.0)
    weight = DENSE_WEIGHT * _standing_out(index, query.vector, max(dense.values()))
    passage = index.scores(query.vector, found)
    first = fuse(found, lexical, passage, weight, full=full)[: max(limit, RESCORED_CANDIDATES)]
    ids = [candidate.chunk_id for candidate in first]
    best = best_sentences(connection, query.model, query.vector, ids)
    # An answer is one sentence long: its cosine counts for more than the whole passage's.
    dense = {
        i: (1.0 - SENTENCE_SHARE) * passage[i] + SENTENCE_SHARE * best.get(i, passage[i])
        for i in ids
        if i in passage
    }
    return _read(connection, weights, fuse(ids, lexical, dense, weight, full=full), weight)


def _nearest(
    connection: Connection, index: VectorIndex, vector: Matrix, limit: int, where: Filter | None
) -> dict[int, float]:
    if where and where.only_hides:
        # A few that are left out cost less than naming all the others.
        hidden = sight.chunks(connection)
        found = index.search(vector, limit + len(hidden))
        return dict([one for one in found if one[0] not in hidden][:limit])
    among = chunk_ids(connection, where) if where else None
    return dict(index.search(vector, limit, among=among))


def query_weights(connection: Connection, query: Query) -> dict[str, float]:
    """The weight of each term of the question, and of those that it carries over."""
    weights = term_weights(connection, query.terms)
    for term, weight in term_weights(connection, query.carried).items():
        weights.setdefault(term, CARRIED_WEIGHT * weight)
    return weights


def fuse(
    ids: Sequence[int],
    lexical: Mapping[int, float],
    dense: Mapping[int, float],
    dense_weight: float,
    *,
    full: float | None = None,
) -> list[Candidate]:
    """A weighted sum of the cosine and of BM25 as a share of ``full``: of the best match when that
    is not given.

    With no lexical match the order is the dense one, with ``dense_weight`` 0 the lexical one.
    """
    best = max(lexical.values(), default=0.0)
    if best <= 0.0:
        dense_weight = 1.0
    whole = full or best
    candidates = []
    for chunk_id in ids:
        bm25 = lexical.get(chunk_id, 0.0)
        cosine = max(dense.get(chunk_id, 0.0), 0.0)
        share = bm25 / whole if best > 0.0 else 0.0
        score = (1.0 - dense_weight) * share + dense_weight * cosine
        candidates.append(Candidate(chunk_id, bm25, cosine, score))
    return _ordered(candidates)


def _ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    return sorted(candidates, key=lambda c: (-c.score, c.chunk_id))


def _lexical(
    connection: Connection,
    own: Sequence[str],
    carried: Sequence[str],
    where: Filter | None,
    limit: int,
) -> dict[int, float]:
    found = match_terms(connection, own, where, limit=limit)
    for chunk_id, score in match_terms(connection, carried, where, limit=limit).items():
        found[chunk_id] = found.get(chunk_id, 0.0) + CARRIED_WEIGHT * score
    return found


def _read(
    connection: Connection,
    weights: Mapping[str, float],
    candidates: Sequence[Candidate],
    dense_weight: float,
) -> list[Candidate]:
    """The first candidates move up by what their sentences mention of the question."""
    first, rest = candidates[:READ_CANDIDATES], candidates[READ_CANDIDATES:]
    places = read_places(connection, [c.chunk_id for c in first if c.lexical > 0.0])

    def mentioned(place: Place | None) -> float:
        if place is None:
            return 0.0
        said = [terms_for(weights, place.text[start:end]) for start, end in place.spans]
        covered = max((share for _, share in in_place(weights, place, said)), default=0.0)
        near = nearness(weights, [word for sentence in said for word in sentence])
        return COVERAGE_WEIGHT * covered + NEARNESS_WEIGHT * near

    read = [
        replace(c, score=c.score + (1.0 - dense_weight) * mentioned(places.get(c.chunk_id)))
        for c in first
    ]
    return [*_ordered(read), *rest]


def match_terms(
    connection: Connection,
    wanted: Sequence[str],
    where: Filter | None = None,
    *,
    limit: int = LEXICAL_CANDIDATES,
) -> dict[int, float]:
    """Chunk id to BM25 for the ``limit`` best matches of any term, among those inside ``where``."""
    if not wanted:
        return {}
    expression = " OR ".join('"' + term.replace('"', '""') + '"' for term in wanted)
    inside, values = is_within(where, "chunk_terms.rowid") if where else ("", [])
    restriction = f"AND {inside} " if inside else ""
    rows = connection.execute(
        "SELECT rowid, bm25(chunk_terms) FROM chunk_terms WHERE chunk_terms MATCH ? "
        f"{restriction}ORDER BY rank LIMIT ?",
        (expression, *values, limit),
    )
    # SQLite's BM25 is negative, better is smaller.
    return {chunk_id: -score for chunk_id, score in rows}


def read_hits(connection: Connection, candidates: Sequence[Candidate]) -> list[Hit]:
    """The candidates' chunks, in the given order."""
    marks = ",".join("?" * len(candidates))
    rows = connection.execute(
        f"""SELECT c.id, c.text, c.start, c."end", c.page, c.heading,
                   d.source, d.collection,
                   (SELECT sensitivity FROM labels WHERE document_id = d.id)
            FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id IN ({marks})""",
        [c.chunk_id for c in candidates],
    )
    chunks = {
        row[0]: Chunk(
            id=row[0],
            text=row[1],
            start=row[2],
            end=row[3],
            page=row[4],
            heading=row[5],
            source=row[6],
            collection=row[7],
            sensitivity=Sensitivity(row[8]),
        )
        for row in rows
    }
    found = [c for c in candidates if c.chunk_id in chunks]
    return [Hit(chunks[c.chunk_id], c.score, rank) for rank, c in enumerate(found, start=1)]


def best_sentences(
    connection: Connection, model: str, vector: Matrix, ids: Sequence[int]
) -> dict[int, float]:
    """The cosine of each chunk's best sentence, for chunks that ``model`` could read."""
    import numpy as np

    marks = ",".join("?" * len(ids))
    rows = connection.execute(
        f"SELECT chunk_id, sentences FROM embeddings WHERE model = ? AND chunk_id IN ({marks})",
        [model, *ids],
    )
    readable = [(chunk_id, blob) for chunk_id, blob in rows if blob]
    if not readable:
        return {}
    # One product for all chunks; where each one's sentences begin in it says whose is whose.
    scores = cosines(b"".join(blob for _, blob in readable), vector)
    if not len(scores):
        return {}
    counts = [len(blob) // len(vector) for _, blob in readable]
    begins = np.cumsum([0, *counts[:-1]])
    best = np.maximum.reduceat(scores, begins)
    return dict(zip([chunk_id for chunk_id, _ in readable], best.tolist(), strict=True))


def _standing_out(index: VectorIndex, vector: Matrix, best: float) -> float:
    """0 to 1: how clearly the best passage differs from what a random passage scores."""
    mean, deviation = index.background(vector)
    if len(index) < SMALL_LIBRARY or deviation <= 0.0:
        return 1.0
    low, high = STANDS_OUT
    return min(max(((best - mean) / deviation - low) / (high - low), 0.0), 1.0)
