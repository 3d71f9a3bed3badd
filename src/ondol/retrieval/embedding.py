"""Texts to vectors with onnxruntime: the default embedder.

One pass over a passage gives its own vector and, by pooling over each sentence's tokens, a vector
for every sentence ("late chunking", Günther et al., 2024, arXiv 2409.04701). A text in a script
that the model's vocabulary breaks into crumbs gets the zero vector: it could only mislead. Raises
``InvalidModelError`` when the model's files cannot be used.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.retrieval.onnx_session import open_session, open_tokenizer
from ondol.retrieval.sentences import Span
from ondol.types import InputType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

# What MiniLM was trained to read at once.
MAX_TOKENS = 256
BATCH_TOKENS = 4096
# English needs about 0.25 word pieces a character, code 0.4; MiniLM needs over 2 for Korean.
CRUMBLED_PIECES_PER_CHARACTER = 0.8
UNKNOWN_SHARE = 0.2
NO_PREFIXES: Mapping[InputType, str] = {"query": "", "document": ""}
# E5 was trained with these (Wang et al., 2024, arXiv 2402.05672); MiniLM without any.
E5_PREFIXES: Mapping[InputType, str] = {"query": "query: ", "document": "passage: "}


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """``passage`` has shape (dimensions,); ``sentences`` (len(spans), dimensions)."""

    passage: Matrix
    sentences: Matrix


class OnnxEmbedder:
    """A BERT-family encoder with mean pooling. Safe to use from several threads."""

    def __init__(
        self,
        name: str,
        graph: Path,
        tokenizer: Path,
        *,
        threads: int = 0,
        max_tokens: int = MAX_TOKENS,
        prefixes: Mapping[InputType, str] = NO_PREFIXES,
    ) -> None:
        self._name = name
        self._prefixes = prefixes
        try:
            self._session = open_session(graph, threads)
            self._tokenizer = open_tokenizer(tokenizer, max_tokens)
        except Exception as error:
            # onnxruntime and tokenizers raise their own classes, and plain Exception at worst.
            raise InvalidModelError(
                t("embedding.unusable", name=name, reason=str(error).splitlines()[0][:200]),
                t("embedding.unusable_hint", name=name),
            ) from error
        self._unknown = {self._tokenizer.token_to_id(piece) for piece in ("[UNK]", "<unk>")}
        self._dimensions = int(self._session.get_outputs()[0].shape[-1])

    @property
    def model(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def embed(self, texts: Sequence[str], *, input_type: InputType = "document") -> Matrix:
        """Unit vectors, shape (len(texts), dimensions), whatever the script of the texts."""
        prefix = self._prefixes[input_type]
        encodings = self._encode([prefix + text for text in texts])
        vectors = self._zeros(len(texts))
        for index, states in self._states(encodings, list(range(len(texts)))):
            vectors[index] = _unit(states.mean(axis=0))
        return vectors

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]:
        """A vector for each text and each span of it (character offsets into that text).

        What the model cannot read, or lies beyond its window, has the zero vector.
        """
        prefix = self._prefixes["document"]
        prefixed = [prefix + text for text in texts]
        encodings = self._encode(prefixed)
        vectors = [PassageVectors(self._zeros(), self._zeros(len(s))) for s in spans]
        readable = [i for i, e in enumerate(encodings) if not self._is_unreadable(e, prefixed[i])]
        for index, states in self._states(encodings, readable):
            shifted = [(start + len(prefix), end + len(prefix)) for start, end in spans[index]]
            vectors[index].passage[:] = _unit(states.mean(axis=0))
            _pool_spans(vectors[index].sentences, states, encodings[index].offsets, shifted)
        return vectors

    def count_tokens(self, text: str) -> int:
        """Tokens of ``text``, those beyond the window and the special ones included."""
        encoding = self._encode([text])[0]
        return len(encoding.ids) + sum(len(part.ids) - 2 for part in encoding.overflowing)

    def can_read(self, text: str) -> bool:
        """Whether the vocabulary knows the script of ``text``."""
        return not self._is_unreadable(self._encode([text])[0], text)

    def _is_unreadable(self, encoding: Any, text: str) -> bool:
        # A truncated encoding covers only the beginning of the text.
        covered = text[: max((end for _, end in encoding.offsets), default=0)]
        characters = max(len(unicodedata.normalize("NFC", covered)), 4)
        pieces = len(encoding.ids) - 2
        unknown = sum(
            end - start
            for piece, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if piece in self._unknown
        )
        return (
            pieces > CRUMBLED_PIECES_PER_CHARACTER * characters
            or unknown > UNKNOWN_SHARE * characters
        )

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        return list(self._tokenizer.encode_batch(list(texts)))

    def _states(self, encodings: list[Any], order: list[int]) -> Any:
        """Token states of each wanted encoding, batched by length so that little is padding."""
        import numpy as np

        order = sorted(order, key=lambda i: len(encodings[i].ids))
        while order:
            longest = len(encodings[order[-1]].ids)
            size = max(1, BATCH_TOKENS // longest)
            batch, order = order[-size:], order[:-size]
            ids = np.zeros((len(batch), longest), dtype=np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(batch):
                length = len(encodings[index].ids)
                ids[row, :length] = encodings[index].ids
                mask[row, :length] = 1
            states = self._session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
            for row, index in enumerate(batch):
                yield index, states[row, : len(encodings[index].ids)]

    def _zeros(self, rows: int | None = None) -> Matrix:
        import numpy as np

        shape = self._dimensions if rows is None else (rows, self._dimensions)
        return np.zeros(shape, dtype=np.float32)


def _pool_spans(
    into: Matrix, states: Matrix, offsets: Sequence[Span], spans: Sequence[Span]
) -> None:
    import numpy as np

    starts = np.array([start for start, _ in offsets])
    ends = np.array([end for _, end in offsets])
    for row, (start, end) in enumerate(spans):
        inside = (starts >= start) & (ends <= end) & (ends > starts)
        if inside.any():
            into[row] = _unit(states[inside].mean(axis=0))


def _unit(vector: Matrix) -> Matrix:
    import numpy as np

    unit: Matrix = vector / max(float(np.linalg.norm(vector)), 1e-12)
    return unit


class EngineEmbedder:
    """Vectors from a language model engine: one call per text, sentences embedded by themselves."""

    def __init__(
        self, name: str, dimensions: int, embed: Callable[[Sequence[str]], Matrix]
    ) -> None:
        self._name = name
        self._dimensions = dimensions
        self._embed = embed

    @property
    def model(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    def embed(self, texts: Sequence[str], *, input_type: InputType = "document") -> Matrix:
        """Unit vectors, shape (len(texts), dimensions)."""
        import numpy as np

        del input_type
        vectors = np.asarray(self._embed(texts), dtype=np.float32).reshape(len(texts), -1)
        unit: Matrix = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return unit

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]:
        """A vector for each text and each of its spans."""
        passages = self.embed(texts)
        return [
            PassageVectors(passage, self.embed([text[start:end] for start, end in mine]))
            for passage, text, mine in zip(passages, texts, spans, strict=True)
        ]

    def can_read(self, text: str) -> bool:
        """Nothing is known of the vocabulary; search judges by how passages stand out."""
        return bool(text)
