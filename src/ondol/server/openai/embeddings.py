"""``/v1/embeddings``: vectors of texts, as numbers or as base64 of float32 (little-endian).

Token ids are refused: programs that send them count in the vocabulary of OpenAI's models, and
vectors of other words than were meant would look like any others.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.generation import Embedded, embed
from ondol.server.openai.documented import EMBEDDINGS
from ondol.server.openai.requests import EmbeddingRequest
from ondol.server.streaming import Source, whole

MOST_TEXTS = 2048


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the one route."""

    @routes.post("/embeddings", responses=EMBEDDINGS)
    async def embeddings(request: Request, body: EmbeddingRequest) -> Response:
        """Vectors of one or more texts, as numbers or base64 of float32."""
        texts = _texts(body)
        if body.encoding_format not in (None, "float", "base64"):
            raise UsageError(t("server.bad_encoding"), param="encoding_format")
        source = Source(lambda: embed(parts, body.model or "", texts, dimensions=body.dimensions))
        return await whole(request, source, lambda batches: _vectors(body, batches))


def _texts(body: EmbeddingRequest) -> list[str]:
    given = body.input if isinstance(body.input, list) else [body.input]
    texts = [one for one in given if isinstance(one, str)]
    if any(isinstance(one, int | list) for one in given):
        told = t("openai.embedding_ids")
        raise UsageError(told, t("openai.embedding_ids_hint"), param="input")
    if not texts or not all(texts) or len(texts) < len(given):
        raise UsageError(t("server.empty_input"), param="input")
    if len(texts) > MOST_TEXTS:
        raise UsageError(t("openai.too_many_texts", most=MOST_TEXTS), param="input")
    return texts


def _vectors(body: EmbeddingRequest, batches: Iterator[Embedded]) -> Response:
    data: list[dict[str, Any]] = []
    tokens = 0
    for batch in batches:
        tokens += batch.tokens
        for row in batch.vectors:
            as_text = body.encoding_format == "base64"
            vector = (
                base64.b64encode(row.astype("<f4").tobytes()).decode() if as_text else row.tolist()
            )
            data.append({"object": "embedding", "index": len(data), "embedding": vector})
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return json_response({"object": "list", "data": data, "model": body.model, "usage": usage})
