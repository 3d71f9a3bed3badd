"""A cheap stand-in for an embedder: vectors from hashed words, and a count of what was embedded."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ondol.retrieval.embedding import PassageVectors
from ondol.retrieval.sentences import Span

DIMENSIONS = 16


class FakeEmbedder:
    """The same text has the same vector; texts that share words are near each other."""

    def __init__(self, model: str = "fake:1") -> None:
        self.model = model
        self.dimensions = DIMENSIONS
        self.texts: list[str] = []

    def embed(self, texts: Sequence[str], *, input_type: str = "document") -> Any:
        del input_type
        return np.stack([_vector(text) for text in texts])

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]:
        self.texts += texts
        return [
            PassageVectors(
                _vector(text),
                np.stack([_vector(text[begin:end]) for begin, end in mine])
                if mine
                else np.zeros((0, DIMENSIONS), np.float32),
            )
            for text, mine in zip(texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        return bool(text)


def _vector(text: str) -> Any:
    vector = np.full(DIMENSIONS, 0.1, np.float32)
    for word in text.lower().split():
        vector[zlib.crc32(word.encode()) % DIMENSIONS] += 1.0
    return vector / np.linalg.norm(vector)
