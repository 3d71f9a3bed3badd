"""``/v1/rerank``: documents of the client's in the order in which they fit a query.

The shape is Jina's and Cohere's, which most programs that rerank speak. A request that names no
model gets the reranker of the settings, and where there is none the way that the library's own
search scores, under the name ``hybrid``: better than a refusal, and it says what it is. A model
that is named and not here is a 404, never silently another one.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.retrieval.reranker import HYBRID, HybridReranker
from ondol.server.body import Flag, JsonRoute, Lenient, json_response
from ondol.server.generation import find_able
from ondol.server.streaming import in_thread
from ondol.types import Reranker

MOST_DOCUMENTS = 2000


class RerankDocument(Lenient):
    text: str = ""


class RerankRequest(Lenient):
    model: str | None = None
    query: str = ""
    documents: list[str | RerankDocument] = Field(default_factory=list)
    top_n: Annotated[int, Field(ge=1)] | None = None
    return_documents: Flag = False


def router(parts: Parts) -> APIRouter:
    """The one route."""
    routes = APIRouter(prefix="/v1", tags=["openai"], route_class=JsonRoute)

    @routes.post("/rerank")
    async def rerank(body: RerankRequest) -> Response:
        """Documents ordered by how well they fit a query (Jina's and Cohere's shape)."""
        if not body.query.strip():
            raise UsageError(t("rerank.no_query"), param="query")
        if not 0 < len(body.documents) <= MOST_DOCUMENTS:
            raise UsageError(t("rerank.no_documents", most=MOST_DOCUMENTS), param="documents")
        texts = [d if isinstance(d, str) else d.text for d in body.documents]

        def work() -> tuple[str, list[float]]:
            reranker = _reranker(parts, body.model or "")
            return reranker.model, reranker.rerank(body.query, texts)

        model, scores = await in_thread(work)
        return json_response(
            {
                "id": f"rerank-{uuid.uuid4().hex}",
                "object": "list",
                "model": model,
                "results": _results(body, texts, scores),
            }
        )

    return routes


def _reranker(parts: Parts, name: str) -> Reranker:
    wanted = name or parts.config["models.rerank"]
    if wanted in ("", HYBRID):
        return HybridReranker(parts.embedder)
    found = parts.reranker(find_able(parts, wanted, "rerank", t("rerank.deed")).name)
    assert found is not None
    return found


def _results(
    body: RerankRequest, texts: Sequence[str], scores: Sequence[float]
) -> list[dict[str, Any]]:
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    results: list[dict[str, Any]] = []
    for place in order[: body.top_n]:
        result: dict[str, Any] = {"index": place, "relevance_score": round(scores[place], 6)}
        if body.return_documents:
            result["document"] = {"text": texts[place]}
        results.append(result)
    return results
