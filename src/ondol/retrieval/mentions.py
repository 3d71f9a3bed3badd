"""How much of a question a text mentions: by the weight of its terms, and by their nearness.

A sentence is read in its place: what the file's name, the title, the headings above and the
sentence before already say need not be said again ("It opened in 1892." under "Eiffel Tower").
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePath

from ondol.database import Connection
from ondol.retrieval.packed import unpack_spans
from ondol.retrieval.terms import terms_for

# A library of three documents says little about how common a word is: this many imagined documents
# without it stand beside them.
IMAGINED_DOCUMENTS = 20
# What only the surroundings of a sentence mention counts this much beside what it says itself.
CONTEXT_SHARE = 0.75
# A document's first line is its title when it is no longer than this.
TITLE_CHARACTERS = 100
# Two words of a question belong together in a passage when no more than this lies between them.
NEAR_TERMS = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A chunk as its sentences are read: where they are in its text, and what stands above."""

    text: str
    spans: tuple[tuple[int, int], ...]
    above: str


def term_weights(connection: Connection, query_terms: Sequence[str]) -> dict[str, float]:
    """The inverse document frequency of each term."""
    (count,) = connection.execute("SELECT count(*) FROM chunks").fetchone()
    weights = {}
    for term in query_terms:
        row = connection.execute(
            "SELECT doc FROM chunk_vocabulary WHERE term = ?", (term,)
        ).fetchone()
        found = row[0] if row else 0
        without = IMAGINED_DOCUMENTS + count - found
        weights[term] = math.log(1.0 + (without + 0.5) / (found + 0.5))
    return weights


def share(weights: Mapping[str, float], mentioned: Collection[str]) -> float:
    """The share of the question's weight that is in ``mentioned``, 0 to 1."""
    total = sum(weights.values())
    if total <= 0.0:
        return 0.0
    return sum(weights[term] for term in weights.keys() & set(mentioned)) / total


def coverage(weights: Mapping[str, float], text: str) -> float:
    """The share of the question's weight that ``text`` mentions, 0 to 1."""
    return share(weights, terms_for(weights, text))


def read_places(connection: Connection, ids: Sequence[int]) -> dict[int, Place]:
    """The chunks of ``ids`` with what stands above them."""
    marks = ",".join("?" * len(ids))
    rows = connection.execute(
        f"""SELECT c.id, c.text, c.spans, c.heading, d.source, d.title,
                   (SELECT substr(f.text, 1, ?) FROM chunks f
                    WHERE f.document_id = c.document_id ORDER BY f.start LIMIT 1)
            FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.id IN ({marks})""",
        [TITLE_CHARACTERS + 1, *ids],
    )
    return {
        row[0]: Place(
            text=row[1],
            spans=tuple(unpack_spans(row[2], 0)),
            above=f"{PurePath(row[4]).stem} {row[5]} {row[3]} {_first_line(row[6])}",
        )
        for row in rows
    }


def in_place(
    weights: Mapping[str, float], place: Place, said: Sequence[Collection[str]]
) -> list[tuple[float, float]]:
    """For each sentence, whose terms are ``said``: the share of the question that it mentions
    itself, and the share when what it stands under and after is read with it."""
    above = weights.keys() & set(terms_for(weights, place.above))
    shares: list[tuple[float, float]] = []
    before: set[str] = set()
    for mentioned in said:
        own = weights.keys() & set(mentioned)
        alone = share(weights, own)
        with_context = share(weights, own | above | before) if own else 0.0
        shares.append((alone, alone + CONTEXT_SHARE * max(with_context - alone, 0.0)))
        before = own
    return shares


def nearness(weights: Mapping[str, float], words: Sequence[str]) -> float:
    """The share of the question's weight in pairs of its neighbouring terms that stand near each
    other in ``words``: "stone bridge" asks for stone bridges, not for stones and a bridge.

    A pair weighs as much as its commoner term (Büttcher, Clarke and Lushman, 2006).
    """
    asked = list(weights)
    total = sum(weights.values())
    if len(asked) < 2 or total <= 0.0:
        return 0.0
    found: dict[str, list[int]] = {}
    for position, word in enumerate(words):
        if word in weights:
            found.setdefault(word, []).append(position)
    near = 0.0
    for one, other in pairwise(asked):
        if _closest(found.get(one, ()), found.get(other, ())) < NEAR_TERMS:
            near += min(weights[one], weights[other])
    return near / total


def _closest(ones: Sequence[int], others: Sequence[int]) -> int:
    """The smallest distance between two lists of rising positions."""
    best = NEAR_TERMS
    i = j = 0
    while i < len(ones) and j < len(others):
        best = min(best, abs(ones[i] - others[j]))
        if ones[i] < others[j]:
            i += 1
        else:
            j += 1
    return best


def _first_line(opening: str | None) -> str:
    line, end, _ = (opening or "").partition("\n")
    return line if end else ""
