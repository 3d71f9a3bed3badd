"""Ollama's endpoints for vectors: embed, and embeddings for old clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.engine.keep_alive import parse_keep_alive
from ondol.parts import Parts
from ondol.server.body import JsonRoute, json_response
from ondol.server.fitting import HEADER as TRUNCATED
from ondol.server.generation import Embedded, embed
from ondol.server.ollama.documented import FAILURES, EmbedBody, EmbeddingBody, answers
from ondol.server.ollama.requests import KeepAlive, ModelRequest
from ondol.server.streaming import Source, whole


class EmbedRequest(ModelRequest):
    input: str | list[str] | None = None
    truncate: bool | None = None
    dimensions: int | None = None
    keep_alive: KeepAlive = None


class EmbeddingsRequest(ModelRequest):
    prompt: str | None = None
    keep_alive: KeepAlive = None


def router(parts: Parts) -> APIRouter:
    """``/api/embed`` and ``/api/embeddings``."""
    routes = APIRouter(prefix="/api", tags=["ollama"], route_class=JsonRoute)

    @routes.post("/embed", responses=answers(EmbedBody) | FAILURES)
    async def embed_texts(request: Request, body: EmbedRequest) -> Response:
        """Vectors of one or more texts."""
        started = perf_counter_ns()
        texts = [body.input] if isinstance(body.input, str) else body.input or []
        batches = _embed(parts, body, [text for text in texts if text or len(texts) > 1])
        return await whole(
            request, Source(lambda: batches), lambda b: _embed_json(body, list(b), started)
        )

    @routes.post("/embeddings", responses=answers(EmbeddingBody) | FAILURES)
    async def embed_prompt(request: Request, body: EmbeddingsRequest) -> Response:
        """The vector of one text (superseded by /api/embed)."""
        batches = _embed(parts, body, [body.prompt] if body.prompt else [])
        return await whole(request, Source(lambda: batches), _embedding_json)

    return routes


def _embed(
    parts: Parts, body: EmbedRequest | EmbeddingsRequest, texts: Sequence[str]
) -> Iterator[Embedded]:
    asked = body if isinstance(body, EmbedRequest) else EmbedRequest()
    return embed(
        parts,
        body.asked,
        texts,
        dimensions=asked.dimensions,
        truncate=asked.truncate is not False,
        keep_alive_seconds=parse_keep_alive(body.keep_alive),
    )


def _embed_json(body: EmbedRequest, batches: Sequence[Embedded], started: int) -> Response:
    response = json_response(
        {
            "model": body.asked,
            "embeddings": [row for batch in batches for row in batch.vectors.tolist()],
            "total_duration": perf_counter_ns() - started,
            "load_duration": 0,
            "prompt_eval_count": sum(batch.tokens for batch in batches),
            **_truncated(batches),
        }
    )
    return _noted(response, batches)


def _embedding_json(batches: Iterator[Embedded]) -> Response:
    gathered = list(batches)
    rows = [row for batch in gathered for row in batch.vectors.tolist()]
    answer = {"embedding": rows[0] if rows else [], **_truncated(gathered)}
    return _noted(json_response(answer), gathered)


def _truncated(batches: Sequence[Embedded]) -> dict[str, Any]:
    """What was cut off, for who sent it: no vector stands silently for half a text."""
    inputs = [place for batch in batches for place in batch.cut]
    tokens = sum(batch.lost_tokens for batch in batches)
    return {"truncated": {"inputs": inputs, "tokens": tokens}} if inputs else {}


def _noted(response: Response, batches: Sequence[Embedded]) -> Response:
    count, tokens = sum(len(b.cut) for b in batches), sum(b.lost_tokens for b in batches)
    if count:
        response.headers[TRUNCATED] = f"inputs={count}, tokens={tokens}"
    return response
