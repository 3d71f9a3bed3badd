"""What a program that speaks MCP may see of the house: the one place where that is decided.

Nothing, until the owner has allowed it a collection. What is PRIVATE, or holds personal data or a
private passage, is searched and quoted for clients only that the owner declared local: every other
may hand on what it is given. Neither a filter in a query nor a name tells whether there is more
than what was allowed, and how many passages are private does not depend on what was asked. No path
leaves: documents go by their file names. Each call is in the ledger before its result is given.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ondol.callers import OWNER, Caller
from ondol.connections.clients import Client, is_name
from ondol.errors import (
    CollectionNotFoundError,
    DocumentNotFoundError,
    ToolRefusedError,
    UsageError,
)
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.parts import Parts
from ondol.retrieval import query, sight
from ondol.retrieval.filters import Filter
from ondol.retrieval.inventory import LibraryDocument
from ondol.server.asking import Asking
from ondol.server.mcp.results import name_of, passage_of, quote_of, uri_of
from ondol.types import Answer, Evidence, Message, Retriever, Sensitivity

MOST_PASSAGES = 20
LONGEST_QUERY = 4000
LONGEST_DOCUMENT = 200_000


@dataclass(frozen=True, slots=True)
class Given:
    """A result: ``data`` as it leaves, how many ``passages`` are in it, and the strictest label
    among them. ``about`` is the ledger's id of the answer that it is."""

    data: dict[str, Any]
    passages: int = 0
    sensitivity: Sensitivity = Sensitivity.PUBLIC
    about: str = ""


def client_of(parts: Parts, caller: Caller, name: str, *, is_here: bool) -> Client:
    """Whose request it is. A key of its own says so, and its collections are what was allowed; with
    the owner's key, or none, the client says its ``name``. Who is not on this machine (``is_here``)
    is not local."""
    found = parts.kept.clients.get(name if caller.id == OWNER.id else caller.name)
    allowed = found.collections
    if caller.id != OWNER.id:
        every = parts.library.inventory.collections()
        allowed = tuple(every if caller.collections is None else sorted(caller.collections))
    seen = tuple(one for one in allowed if caller.may_read(one) and not sight.is_out_of_sight(one))
    return replace(found, collections=seen, is_local=found.is_local and is_here)


class Exposure:
    """What ``client`` may see of the house that ``parts`` are of. Every method waits for the disk
    or a model. Raises ``UsageError``, ``CollectionNotFoundError``, ``DocumentNotFoundError`` and
    ``ToolRefusedError``, and what the house raises."""

    def __init__(self, parts: Parts, client: Client, caller: Caller = OWNER) -> None:
        self.caller = caller
        self._parts = parts
        self._client = client

    def list_collections(self) -> Given:
        """The collections that were allowed, and how much of each may be seen."""
        found = []
        for name in self._client.collections:
            where = self._where((name,))
            found.append(
                {
                    "name": name,
                    "documents": len(self._parts.library.documents(where=where)),
                    "private_passages": self._held_back((name,)),
                }
            )
        return Given({"collections": found})

    def search(self, text: str, collection: str | None = None, limit: int = 5) -> Given:
        """The best passages for ``text``."""
        rest, where, names = self._read(text, collection)
        if not 1 <= limit <= MOST_PASSAGES:
            raise UsageError(t("mcp.bad_limit", most=MOST_PASSAGES), param="limit")
        hits = self._parts.library.search(rest, limit=limit, where=where)
        fit = [hit for hit in hits if self._may_have(hit.chunk.text, hit.chunk.sensitivity)]
        data = {
            "passages": [passage_of(hit) for hit in fit],
            "private_passages": self._held_back(names),
            "kept_back": len(hits) - len(fit),
        }
        return Given(data, len(fit), _strictest(hit.chunk.sensitivity for hit in fit))

    def asking(self, text: str, collection: str | None = None) -> tuple[Asking, tuple[str, ...]]:
        """An answer to ``text`` on its way, which ``answered`` takes; and the collections that it
        is from."""
        model = self._parts.config["models.chat"]
        if not self.caller.may_use(model):
            raise ToolRefusedError(t("mcp.no_model", model=model))
        rest, where, names = self._read(text, collection)
        asking = _Asking(self._parts, rest, where=where)
        asking.exposure = self
        return asking, names

    def answered(self, answer: Answer, names: Sequence[str]) -> Given:
        """``answer`` as the client gets it."""
        fit = [quote for quote in answer.quotes if self._may_have(quote.text, quote.sensitivity)]
        is_free = len(fit) == len(answer.quotes) and self._may_have(answer.text)
        sure = answer.confidence.probability if answer.confidence else None
        data = {
            "answer": answer.text if is_free else "",
            "is_answered": is_free and answer.route.value != "abstain",
            "quotes": [quote_of(quote) for quote in fit],
            "confidence": None if sure is None else round(sure, 4),
            "route": answer.route.value,
            "private_passages": self._held_back(names),
            "kept_back": len(answer.quotes) - len(fit),
        }
        label = _strictest(quote.sensitivity for quote in fit)
        return Given(data, len(fit), label, answer.ledger_id or "")

    def remember(self, text: str, kind: str = "fact") -> Given:
        """Add to the owner's memory; PRIVATE, and with whom it is from. What was known already is
        answered in the same words."""
        if not self._client.remembers:
            raise ToolRefusedError(t("mcp.may_not_remember", client=self._client.name or "?"))
        self._parts.kept.memories.add(text, kind=kind, source=f"mcp:{self._client.name}")
        return Given({"remembered": True})

    def documents(self) -> list[tuple[str, LibraryDocument]]:
        """Every document that may be seen, with its URI, by URI."""
        if not self._client.collections:
            return []
        found = self._parts.library.documents(where=self._where(self._client.collections))
        return sorted((uri_of(one.source), one) for one in found if one.num_chunks)

    def document(self, uri: str) -> Given:
        """The text of one of them. There is no telling one that may not be seen from none."""
        known = next((one for at, one in self.documents() if at == uri), None)
        if known is None:
            raise DocumentNotFoundError(t("mcp.no_document"), t("mcp.no_document_hint"))
        view = self._parts.library.viewer.view(known.source, context=LONGEST_DOCUMENT)
        if not self._may_have(view.text, view.sensitivity):
            raise ToolRefusedError(t("mcp.document_kept_back"))
        data = {"uri": uri, "name": name_of(known.source), "text": view.text}
        return Given(data, known.num_chunks, view.sensitivity)

    def record(self, tool: str, given: Given | None, num_bytes: int, reason: str = "") -> None:
        """Write a call down: who, which tool, how much, how free; never a word of it. Raises what
        the ledger raises: what cannot be written down is not given."""
        where = "local" if self._client.is_local else "not_local"
        self._parts.ledger.append(
            Entry(
                "given",
                task=tool,
                device=self._client.name if is_name(self._client.name) else self.caller.id,
                reasons=(where, *((reason,) if reason else ())),
                count=given.passages if given else None,
                sensitivity=given.sensitivity.name.lower() if given and given.passages else "",
                bytes_out=num_bytes,
                about=given.about if given else "",
            )
        )

    def sifted(self, evidence: Evidence) -> Evidence:
        """``evidence`` without what the client may not have: no model makes an answer of it."""
        hits = (h for h in evidence.hits if self._may_have(h.chunk.text, h.chunk.sensitivity))
        quotes = [q for q in evidence.quotes if self._may_have(q.text, q.sensitivity)]
        numbered = (replace(quote, number=n) for n, quote in enumerate(quotes, 1))
        return replace(evidence, hits=tuple(hits), quotes=tuple(numbered))

    def _read(self, text: str, collection: str | None) -> tuple[str, Filter, tuple[str, ...]]:
        """What to look for, where, and in which collections. Filters in ``text`` narrow that; one
        that names what was not allowed is told as if there were no such thing."""
        if not text.strip() or len(text) > LONGEST_QUERY:
            raise UsageError(t("mcp.bad_query", most=LONGEST_QUERY), param="query")
        rest, said = query.parse(text)
        while (again := query.parse(rest))[1]:
            # What is left could hold another filter, and the library reads it once more.
            rest, said = again[0], said & again[1]
        collection = unicodedata.normalize("NFC", collection.strip()) if collection else None
        for name in [*said.named_collections, *([collection] if collection else [])]:
            if name not in self._client.collections:
                raise CollectionNotFoundError(
                    t("mcp.not_allowed", name=name[:100]), t("mcp.not_allowed_hint")
                )
        if not self._client.collections:
            name = self._client.name or "NAME"
            raise ToolRefusedError(t("mcp.nothing_allowed"), t("mcp.allow_hint", client=name))
        if _names_paths(said):
            # Who is told no path could guess one by what it lets through.
            raise UsageError(t("mcp.no_paths"), param="query")
        names = (collection,) if collection else self._client.collections
        return rest, said & self._where(names), names

    def _where(self, names: Sequence[str]) -> Filter:
        return Filter(collections=tuple(names), least=self._least)

    @property
    def _least(self) -> Sensitivity | None:
        return None if self._client.is_local else Sensitivity.TRUSTED

    def _held_back(self, names: Sequence[str]) -> int:
        """How many passages of these collections are too private, whatever is asked."""
        if self._least is None:
            return 0
        return self._parts.library.inventory.count_stricter(
            Filter(collections=tuple(names)), self._least
        )

    def _may_have(self, text: str, label: Sensitivity = Sensitivity.PUBLIC) -> bool:
        """Two nets: the label, and the look at the text itself that all has which leaves."""
        if self._least is None:
            return True
        if label < self._least:
            return False
        return self._parts.oversight.inspector(text.encode()) >= self._least


class _Asking(Asking):
    """An answer from what ``exposure`` lets through."""

    exposure: Exposure

    @property
    def retriever(self) -> Retriever:
        return cast(Retriever, _Sifting(super().retriever, self.exposure))


class _Sifting:
    """A retriever whose evidence is sifted."""

    def __init__(self, inner: Retriever, exposure: Exposure) -> None:
        self._inner = inner
        self._exposure = exposure
        self.asks_for_all = inner.asks_for_all
        self.follows_up = inner.follows_up

    def evidence(
        self, question: str, *, where: Any = None, history: Sequence[Message] = ()
    ) -> Evidence:
        return self._exposure.sifted(self._inner.evidence(question, where=where, history=history))

    def listing(self, question: str, *, where: Any = None) -> Evidence:
        return self._exposure.sifted(self._inner.listing(question, where=where))


def _names_paths(where: Filter) -> bool:
    inner = (*where.also, *([where.excluded] if where.excluded else []))
    return bool(where.paths) or any(map(_names_paths, inner))


def _strictest(labels: Iterable[Sensitivity]) -> Sensitivity:
    return min(labels, default=Sensitivity.PUBLIC)
