"""What a library knows about a question: passages, evidence, or everything that matches.

Reads are safe from several threads and while another process writes: the vectors in RAM follow the
database's change counter. A question may hold filters of its own (see ``query``) and may point back
at a conversation (see ``rewriting``). Raises ``DocumentError`` families.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from ondol import callers
from ondol.database import Connection
from ondol.retrieval import asked, listing, open_requests, sight
from ondol.retrieval import evidence as evidences
from ondol.retrieval import query as syntax
from ondol.retrieval.analysers import answers_with_morphemes
from ondol.retrieval.collections import Collections
from ondol.retrieval.diversity import LOOK_AHEAD, collapse, spread
from ondol.retrieval.filters import Filter, count_chunks, fill_languages, under_matching_names
from ondol.retrieval.reranker import RERANKED, rerank_hits
from ondol.retrieval.rewriting import follows_up, rewrite
from ondol.retrieval.search import Query, prepare, query_weights, rank, read_hits
from ondol.retrieval.vectors.current import CurrentVectors
from ondol.retrieval.vectors.index import VectorIndex
from ondol.types import Evidence, Hit, Message, Reranker

EVIDENCE_HITS = 6
# No collection is called so.
NOWHERE = ""
# What is carried over finds the document; which of its sentences answers, the new words say.
CARRIED_IN_A_SENTENCE = 0.4


class Searcher:
    """Questions over one database, with its vectors and, where ``open_reranker`` gives one, a
    reranker."""

    def __init__(
        self,
        connection: Connection,
        lock: threading.RLock,
        vectors: CurrentVectors,
        collections: Collections,
        *,
        evidence_tokens: int,
        open_reranker: Callable[[], Reranker | None] = lambda: None,
    ) -> None:
        self._connection = connection
        self._lock = lock
        self._vectors = vectors
        self._collections = collections
        self._evidence_tokens = evidence_tokens
        # Opened when something is searched: what only adds or forgets needs none.
        self._open_reranker = open_reranker

    def search(self, query: str, *, limit: int, where: Filter | None = None) -> list[Hit]:
        """The ``limit`` best passages, copies once; empty when nothing matches at all."""
        reranker = self._open_reranker()
        with self._lock:
            prepared, index, where = self._prepare(query, where)
            hits = self._hits(prepared, index, max(limit, RERANKED if reranker else 0), where)
        if reranker:
            # Without the lock: a model reads the passages, and others may search meanwhile.
            hits = rerank_hits(reranker, prepared.text, hits)
        return spread(self._with_duplicates(hits, where), limit)

    def search_all(self, query: str, *, where: Filter | None = None) -> list[Hit]:
        """Every passage that matches, however many, best first, copies once."""
        with self._lock:
            prepared, index, where = self._prepare(query, where)
            hits = self._matches(prepared, index, where)
        return collapse(self._with_duplicates(hits, where), len(hits))

    def evidence(
        self, question: str, *, where: Filter | None = None, history: Sequence[Message] = ()
    ) -> Evidence:
        """The sentences that answer ``question``; no quotes when the library does not say. An open
        request is searched for by its topic alone."""
        reranker = self._open_reranker()
        text, said = syntax.parse(question)
        topic = "" if history else open_requests.topic(text)
        with self._lock:
            if topic:
                query, index, where = self._prepare(topic, said & where)
            else:
                query, index, where = self._prepare(question, where, history)
            count = max(EVIDENCE_HITS, RERANKED if reranker else 0)
            hits = self._hits(query, index, count, where)
        if not hits:
            return Evidence()
        if reranker:
            hits = rerank_hits(reranker, query.text, hits)
        hits = collapse(self._with_duplicates(hits, where), EVIDENCE_HITS)
        with self._lock:
            weights = query_weights(self._connection, query)
            for term in set(query.carried) - set(query.terms):
                weights[term] *= CARRIED_IN_A_SENTENCE
            ranked = evidences.rank_sentences(self._connection, query, weights, hits)
            passages = count_chunks(self._connection, where, at_most=evidences.MANY_PASSAGES)
        if not evidences.is_relevant(query, ranked, among=passages):
            return Evidence(tuple(hits))
        if not topic:
            return Evidence(tuple(hits), evidences.quote(ranked, self._evidence_tokens))
        about, others = evidences.on_topic(weights, ranked)
        quotes = evidences.quote([*about, *others], self._evidence_tokens)
        spoken = {(sentence.hit.chunk.source, sentence.start) for sentence in about}
        told = tuple(one.number for one in quotes if (one.source, one.start) in spoken)
        return Evidence(tuple(hits), quotes, on_topic=told)

    def asks_for_all(self, question: str) -> bool:
        """Whether ``question`` wants everything that fits ("list all …")."""
        return asked.asks_for_all(syntax.parse(question)[0])

    def follows_up(self, question: str) -> bool:
        """Whether ``question`` points back at what was said before it."""
        return follows_up(syntax.parse(question)[0])

    def listing(self, question: str, *, where: Filter | None = None) -> Evidence:
        """Everything that ``question`` asks for: each item quoted once, in the order in which the
        documents stand in the library; no quotes when there is nothing."""
        text, said = syntax.parse(question)
        wanted = asked.wanted(text)
        with self._lock:
            query, index, where = self._prepare(wanted.subject, said & where)
            hits = self._with_duplicates(self._matches(query, index, where), where)
            return listing.items(self._connection, query, hits, wanted)

    def check(self, where: Filter) -> Filter:
        """``where``, if it names no unknown collection; it can be used as a condition then. What it
        does not name of what is out of sight stays there, and so does what the caller may not read:
        every question to the library passes here."""
        self._collections.check(where.named_collections)
        with self._lock:
            where = replace(where, hides=where.hides or sight.has_any(self._connection))
        readable = callers.current().collections
        if readable is not None:
            # Around it: what passes beside a filter must pass this, too.
            where = Filter(collections=tuple(sorted(readable)) or (NOWHERE,), also=(where,))
        if where.asks_for_language:
            fill_languages(self._connection)
        return where

    def _hits(self, query: Query, index: VectorIndex, limit: int, where: Filter) -> list[Hit]:
        """The ``limit`` best and what may have to stand in for copies among them."""
        beyond = limit + LOOK_AHEAD
        found = rank(self._connection, index, query, where, limit=beyond)
        return self._named(read_hits(self._connection, found[:beyond]), where)

    def _matches(self, query: Query, index: VectorIndex, where: Filter) -> list[Hit]:
        found = listing.matches(self._connection, index, query, where)
        return self._named(listing.read(self._connection, found), where)

    def _named(self, hits: list[Hit], where: Filter) -> list[Hit]:
        return under_matching_names(self._connection, where, hits) if where else hits

    def _with_duplicates(self, hits: Sequence[Hit], where: Filter) -> list[Hit]:
        """``hits`` with the names of the files that are word for word the same. Before copies are
        collapsed: those of a copy that is not shown belong to what is shown for it."""
        with self._lock:
            return listing.with_duplicates(self._connection, hits, where)

    def _prepare(
        self, text: str, where: Filter | None, history: Sequence[Message] = ()
    ) -> tuple[Query, VectorIndex, Filter]:
        text, said = syntax.parse(text)
        where = self.check(said & where)
        embedder, index = self._vectors.refresh(self._connection)
        morphemes = answers_with_morphemes(self._connection)
        if not history:
            return prepare(text, embedder, morphemes=morphemes), index, where
        alone = rewrite(text, history, morphemes=morphemes)
        query = prepare(alone.text, embedder)
        # A word of an answer that no document has would only make every document fit less.
        carried = [term for term in alone.carried if listing.occurs(self._connection, term)]
        return replace(query, terms=alone.terms, carried=tuple(carried)), index, where
