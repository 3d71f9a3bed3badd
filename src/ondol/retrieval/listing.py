"""Everything that matches, not the best few: each item quoted once, document by document.

Every passage of the library is weighed by how much of the asked it mentions, so nothing is lost to
a limit; where the library has other words for it than the question, the vectors say what matches.
A passage is kept when it mentions nearly as much as the best one does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import PurePath

from ondol.database import Connection
from ondol.retrieval.asked import Wanted
from ondol.retrieval.diversity import Fingerprint, as_strict_as, with_source
from ondol.retrieval.evidence import RELEVANT, Sentence, rank_sentences
from ondol.retrieval.filters import Filter, chunks_within
from ondol.retrieval.mentions import coverage, term_weights
from ondol.retrieval.search import Candidate, Query, best_sentences, read_hits
from ondol.retrieval.terms import terms, terms_for
from ondol.retrieval.vectors.index import VectorIndex
from ondol.types import Evidence, Hit, Quote

# Share of the best passage's coverage that another one needs. Of two words equally rare both must
# be there; a common one may be missing.
COVERED_SHARE = 0.65
# Below this the library has other words for what is asked than the question.
IN_THE_SAME_WORDS = 0.6
# What a listing says begins its document: "Receipt no. 12", "# Lease".
OPENING_CHARACTERS = 200
READ_AT_ONCE = 500
_WORD = re.compile(r"\w+")
_BULLETS = ("-", "*", "+", "•", "▪", "◦", "·", "|")


@dataclass(frozen=True, slots=True)
class _Item:
    """A sentence of the listing and the wording that its copies share."""

    sentence: Sentence
    wording: str
    also_in: tuple[str, ...] = ()


def matches(
    connection: Connection, index: VectorIndex, query: Query, where: Filter | None = None
) -> list[Candidate]:
    """Every passage that matches ``query``, best first."""
    weights = {
        t: w for t, w in term_weights(connection, query.terms).items() if occurs(connection, t)
    }
    total = sum(weights.values())
    covered: dict[int, float] = {}
    for term, weight in weights.items():
        for chunk_id in _with_term(connection, term, where):
            covered[chunk_id] = covered.get(chunk_id, 0.0) + weight / total
    best = max(covered.values(), default=0.0)
    kept = {i: share for i, share in covered.items() if share >= COVERED_SHARE * best}
    known = total / max(sum(term_weights(connection, query.terms).values()), 1e-12)
    if best * known < IN_THE_SAME_WORDS:
        kept |= _near(connection, index, query, covered, where)
    found = [Candidate(i, share, 0.0, share) for i, share in kept.items()]
    return sorted(found, key=lambda c: (-c.score, c.chunk_id))


def read(connection: Connection, candidates: Sequence[Candidate]) -> list[Hit]:
    """The passages of any number of candidates, in the given order."""
    found: list[Hit] = []
    for start in range(0, len(candidates), READ_AT_ONCE):
        found += read_hits(connection, candidates[start : start + READ_AT_ONCE])
    return [replace(hit, rank=rank) for rank, hit in enumerate(found, start=1)]


def with_duplicates(
    connection: Connection, hits: Sequence[Hit], where: Filter | None = None
) -> list[Hit]:
    """``hits``, each with the names of all documents that share its chunk and pass ``where``."""
    condition, values = (where or Filter()).where()
    names: dict[int, list[str]] = {}
    for start in range(0, len(hits), READ_AT_ONCE):
        ids = [hit.chunk.id for hit in hits[start : start + READ_AT_ONCE]]
        rows = connection.execute(
            f"""SELECT c.id, d.source FROM chunks c
                JOIN documents d ON d.id = c.document_id OR d.duplicate_of = c.document_id
                WHERE c.id IN ({",".join("?" * len(ids))}) AND {condition} ORDER BY d.source""",
            [*ids, *values],
        )
        for chunk_id, source in rows:
            names.setdefault(chunk_id, []).append(source)
    return [reduce(with_source, names.get(hit.chunk.id, ()), hit) for hit in hits]


def items(connection: Connection, query: Query, hits: Sequence[Hit], asked: Wanted) -> Evidence:
    """The items in ``hits``: one sentence a document where documents are asked for, else every
    sentence that says as much as its passage's best; in the order in which they stand."""
    hits = of_kind(connection, hits, asked.kind)
    weights = term_weights(connection, query.terms)
    found: list[_Item] = []
    for hit in hits:
        # One passage at a time: the same words in two of them may be two items.
        sentences = rank_sentences(connection, query, weights, [hit])
        found += [_Item(s, _wording(s.text)) for s in _telling(sentences, weights)]
    if asked.documents:
        found = _one_a_document(found)
    found = _without_copies(found)
    found.sort(key=lambda item: (item.sentence.hit.chunk.source, item.sentence.start))
    quotes = tuple(_quote(number, item) for number, item in enumerate(found, start=1))
    named = {item.sentence.hit.chunk.id for item in found}
    return Evidence(tuple(hit for hit in hits if hit.chunk.id in named), quotes, is_listing=True)


def of_kind(connection: Connection, hits: Sequence[Hit], kind: Sequence[str]) -> list[Hit]:
    """Those of ``hits`` whose document is of ``kind``: one that calls itself so, in its name or its
    first lines; where none does, one that says the word at all; else all of them."""
    words = [set(terms(word)) for word in kind]

    def says(text: str) -> bool:
        said = set(terms(text))
        return any(word <= said for word in words)

    if not words:
        return list(hits)
    sources = {hit.chunk.source for hit in hits}
    themselves = {source for source in sources if says(_opening(connection, source))}
    if themselves:
        return [hit for hit in hits if hit.chunk.source in themselves]
    saying = {hit.chunk.source for hit in hits if says(hit.chunk.text)}
    return [hit for hit in hits if hit.chunk.source in saying] if saying else list(hits)


def occurs(connection: Connection, term: str) -> bool:
    """Whether any document has ``term``: what none has tells none from another."""
    found = connection.execute("SELECT 1 FROM chunk_vocabulary WHERE term = ?", (term,))
    return found.fetchone() is not None


def _with_term(connection: Connection, term: str, where: Filter | None) -> Iterable[int]:
    inside, values = chunks_within(where) if where else ("", [])
    rows = connection.execute(
        "SELECT rowid FROM chunk_terms WHERE chunk_terms MATCH ?"
        + (f" AND rowid IN ({inside})" if inside else ""),
        ['"' + term.replace('"', '""') + '"', *values],
    )
    return (row[0] for row in rows)


def _near(
    connection: Connection,
    index: VectorIndex,
    query: Query,
    covered: Mapping[int, float],
    where: Filter | None,
) -> dict[int, float]:
    """Every passage with a sentence as near to the question as one that answers it."""
    if query.vector is None or not len(index):
        return {}
    near = dict(index.search(query.vector, len(index)))
    if where:
        text, values = chunks_within(where)
        inside = {row[0] for row in connection.execute(text, values)}
        near = {i: score for i, score in near.items() if i in inside}
    ids = list(near)
    for start in range(0, len(ids), READ_AT_ONCE):
        some = ids[start : start + READ_AT_ONCE]
        for i, score in best_sentences(connection, query.model, query.vector, some).items():
            near[i] = max(near[i], score)
    scores = {i: score + 0.5 * covered.get(i, 0.0) for i, score in near.items()}
    return {i: score for i, score in scores.items() if score >= RELEVANT}


def _telling(sentences: Sequence[Sentence], weights: Mapping[str, float]) -> list[Sentence]:
    """Of one passage's sentences the best, and every other that mentions what it mentions. Under a
    heading that says it all, or after a line that announces a list, what follows is the items."""
    ordered = sorted(sentences, key=lambda s: s.start)
    plain = [s for s in ordered if not s.text.startswith("#")]
    if not plain:
        return ordered[:1]
    best = max(plain, key=lambda s: (s.coverage, s.cosine))
    heading = coverage(weights, plain[0].hit.chunk.heading)
    if heading >= best.coverage and heading > 0.0 and len(plain) > 1:
        return plain
    mentioned = weights.keys() & set(terms_for(weights, best.text))
    if not mentioned:
        return [max(plain, key=lambda s: s.cosine)]
    found: list[Sentence] = []
    for place, sentence in enumerate(plain):
        if mentioned <= set(terms_for(weights, sentence.text)):
            found += _announced(plain[place:])
    return list(dict.fromkeys(found))


def _announced(sentences: Sequence[Sentence]) -> list[Sentence]:
    """The list that the first sentence announces, or that sentence alone."""
    first, *rest = sentences
    if not first.text.rstrip().endswith((":", "：")):
        return [first]
    listed: list[Sentence] = []
    for sentence in rest:
        if not (sentence.text.startswith(_BULLETS) or sentence.text[:1].isdigit()):
            break
        listed.append(sentence)
    return listed or [first]


def _one_a_document(found: Sequence[_Item]) -> list[_Item]:
    best: dict[str, _Item] = {}
    for item in found:
        source = item.sentence.hit.chunk.source
        if source not in best or item.sentence.score > best[source].sentence.score:
            best[source] = item
    return list(best.values())


def _without_copies(found: Sequence[_Item]) -> list[_Item]:
    """The same words in a passage that says the same are one item; in another receipt they are
    another."""
    kept: dict[str, list[_Item]] = {}
    prints: dict[int, Fingerprint] = {}

    def repeats(item: _Item, other: _Item) -> bool:
        mine, theirs = (
            prints.setdefault(chunk.id, Fingerprint(chunk.text))
            for chunk in (item.sentence.hit.chunk, other.sentence.hit.chunk)
        )
        return mine.repeats(theirs) or theirs.repeats(mine)

    for item in sorted(found, key=lambda i: (i.sentence.hit.chunk.source, i.sentence.start)):
        same = kept.setdefault(item.wording, [])
        place = next((n for n, other in enumerate(same) if repeats(item, other)), None)
        if place is None:
            same.append(replace(item, also_in=item.sentence.hit.also_in))
        else:
            same[place] = _and_in(same[place], item.sentence.hit)
    return [item for group in kept.values() for item in group]


def _and_in(item: _Item, other: Hit) -> _Item:
    """``item``, which is also in the passage ``other`` and where that has copies."""
    hit = as_strict_as(item.sentence.hit, other.chunk.sensitivity)
    named = {hit.chunk.source, *item.also_in}
    more = [source for source in (other.chunk.source, *other.also_in) if source not in named]
    sentence = replace(item.sentence, hit=hit)
    return replace(item, sentence=sentence, also_in=(*item.also_in, *more))


def _opening(connection: Connection, source: str) -> str:
    row = connection.execute(
        """SELECT d.title, c.heading, c.text FROM documents d
           LEFT JOIN chunks c ON c.document_id = coalesce(d.duplicate_of, d.id)
           WHERE d.source = ? ORDER BY c.start LIMIT 1""",
        (source,),
    ).fetchone() or ("", "", "")
    title, heading, text = (part or "" for part in row)
    # A folder called "contracts" says what is in it.
    return f"{' '.join(PurePath(source).parts[-2:])} {title} {heading} {text[:OPENING_CHARACTERS]}"


def _wording(text: str) -> str:
    """The words of ``text``: the marks of a list or of a quoted mail are not among them."""
    return " ".join(_WORD.findall(text.casefold()))


def _quote(number: int, item: _Item) -> Quote:
    sentence, chunk = item.sentence, item.sentence.hit.chunk
    return Quote(
        number=number,
        text=sentence.text,
        source=chunk.source,
        start=sentence.start,
        end=sentence.end,
        score=sentence.score,
        page=chunk.page,
        sensitivity=chunk.sensitivity,
        also_in=item.also_in,
    )
