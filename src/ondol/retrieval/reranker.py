"""Cross-encoders: models that read a query and a passage together, and say how well they fit.

Slower than vectors and better, so they only order what a search has found (Nogueira and Cho, 2019,
arXiv 1901.04085). None is needed: without one, ``HybridReranker`` scores given texts the way the
library's search does. Raises ``InvalidModelError`` when the model's files cannot be used.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.retrieval.onnx_session import open_session, open_tokenizer
from ondol.retrieval.search import DENSE_WEIGHT, fuse
from ondol.retrieval.terms import query_terms, terms
from ondol.types import Hit, Reranker

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

HYBRID = "hybrid"
# How many of a search's passages are read again: more cost time and rarely hold the best one.
RERANKED = 30
# A passage has about 256 tokens; a window of 8,192 would only be padding.
MAX_TOKENS = 512
BATCH_TOKENS = 4096
# Okapi's usual constants, those of SQLite's full-text search too.
K1, B = 1.2, 0.75


def rerank_hits(reranker: Reranker, query: str, hits: Sequence[Hit]) -> list[Hit]:
    """``hits`` with the first ``RERANKED`` in the reranker's order and with its scores; the others
    follow as they were."""
    first, rest = list(hits[:RERANKED]), hits[RERANKED:]
    scores = reranker.rerank(query, [f"{h.chunk.heading}\n{h.chunk.text}".strip() for h in first])
    scored = [replace(hit, score=score) for hit, score in zip(first, scores, strict=True)]
    scored.sort(key=lambda hit: -hit.score)
    lowest = min(scores, default=0.0)
    scored += [replace(hit, score=min(hit.score, lowest)) for hit in rest]
    return [replace(hit, rank=rank) for rank, hit in enumerate(scored, start=1)]


class OnnxReranker:
    """A sequence-classification graph with one output a pair. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        graph: Path,
        tokenizer: Path,
        *,
        threads: int = 0,
        max_tokens: int = MAX_TOKENS,
    ) -> None:
        self._name = name
        try:
            self._session = open_session(graph, threads)
            self._tokenizer = open_tokenizer(tokenizer, max_tokens)
            self._inputs = {entry.name for entry in self._session.get_inputs()}
            shape = self._session.get_outputs()[0].shape
            if len(shape) > 2 or (len(shape) == 2 and shape[1] not in (1, 2)):
                raise ValueError(f"logits of shape {shape}")
        except Exception as error:
            # onnxruntime and tokenizers raise their own classes, and plain Exception at worst.
            raise InvalidModelError(
                t("rerank.unusable", name=name, reason=str(error).splitlines()[0][:200]),
                t("rerank.unusable_hint"),
            ) from error

    @property
    def model(self) -> str:
        return self._name

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each of ``texts``; the beginning of a text beyond the model's window."""
        encodings = self._tokenizer.encode_batch([(query, text) for text in texts])
        scores = [0.0] * len(texts)
        for places in _batches([len(encoding.ids) for encoding in encodings]):
            logits = self._logits([encodings[place] for place in places])
            for place, logit in zip(places, logits, strict=True):
                scores[place] = sigmoid(logit)
        return scores

    def _logits(self, encodings: Sequence[Any]) -> list[float]:
        import numpy as np

        longest = max(len(encoding.ids) for encoding in encodings)
        arrays = {
            name: np.zeros((len(encodings), longest), dtype=np.int64)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        }
        for row, encoding in enumerate(encodings):
            length = len(encoding.ids)
            arrays["input_ids"][row, :length] = encoding.ids
            arrays["attention_mask"][row, :length] = 1
            arrays["token_type_ids"][row, :length] = encoding.type_ids
        feed = {name: array for name, array in arrays.items() if name in self._inputs}
        logits = np.asarray(self._session.run(None, feed)[0], dtype=np.float32)
        logits = logits.reshape(len(encodings), -1)
        # With two outputs the second says "fits".
        single = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
        return [float(value) for value in single]


class EngineReranker:
    """Scores from a reranker model in the engine: ``score`` takes a query and texts."""

    def __init__(self, name: str, score: Callable[[str, Sequence[str]], list[float]]) -> None:
        self._name = name
        self._score = score

    @property
    def model(self) -> str:
        return self._name

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each of ``texts``. Some models answer so, most with a logit."""
        scores = self._score(query, texts) if texts else []
        if all(0.0 <= score <= 1.0 for score in scores):
            return scores
        return [sigmoid(score) for score in scores]


class HybridReranker:
    """BM25 over the given texts and the embedder's cosine, fused as in a search of the library.
    A query that the embedder cannot read is scored by its words alone."""

    model = HYBRID

    def __init__(self, embedder: Any) -> None:
        self._embedder = embedder

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        """0 to 1 for each of ``texts``, relative to the best match among them."""
        lexical = {place: score for place, score in enumerate(bm25(query, texts)) if score > 0.0}
        dense: dict[int, float] = {}
        if texts and query_terms(query) and self._embedder.can_read(query):
            vector = self._embedder.embed([query], input_type="query")[0]
            vectors = self._embedder.embed(list(texts), input_type="document")
            dense = {place: float(cosine) for place, cosine in enumerate(vectors @ vector)}
        fused = fuse(range(len(texts)), lexical, dense, DENSE_WEIGHT if dense else 0.0)
        scores = {candidate.chunk_id: candidate.score for candidate in fused}
        return [min(scores[place], 1.0) for place in range(len(texts))]


def bm25(query: str, texts: Sequence[str]) -> list[float]:
    """Okapi BM25 (Robertson and Zaragoza, 2009) of each of ``texts``, among themselves."""
    counted = [Counter(terms(text)) for text in texts]
    lengths = [counts.total() for counts in counted]
    mean = sum(lengths) / max(len(lengths), 1) or 1.0
    scores = [0.0] * len(texts)
    for term in query_terms(query):
        found = sum(term in counts for counts in counted)
        weight = math.log(1.0 + (len(texts) - found + 0.5) / (found + 0.5))
        for place, counts in enumerate(counted):
            often = counts[term]
            saturation = K1 * (1.0 - B + B * lengths[place] / mean)
            scores[place] += weight * often * (K1 + 1.0) / (often + saturation)
    return scores


def sigmoid(logit: float) -> float:
    """A logit as a number between 0 and 1; never overflows."""
    return 0.5 * (1.0 + math.tanh(logit / 2.0))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places of pairs of about one length, so that little of a batch is padding."""
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    while order:
        size = max(1, BATCH_TOKENS // max(lengths[order[-1]], 1))
        yield order[-size:]
        order = order[:-size]
