"""How alike a question and memories are by their vectors; those of memories are kept while the
process lives, under a hash of their text.

Knows no model: the caller brings the embedder. Safe to use from several threads.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ondol.types import Embedder

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# So many texts that were not met before are embedded for one question; the rest waits for the next.
MOST_NEW = 256
MOST_KEPT = 20_000


class Likeness:
    """The vectors of what is remembered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._vectors: dict[tuple[str, bytes], npt.NDArray[np.float32]] = {}

    def of(self, question: str, texts: Sequence[str], embedder: Embedder) -> list[float]:
        """The cosine of ``question`` and each of ``texts``, at least 0; 0 where nothing is known.
        What the embedder cannot read is like nothing."""
        import numpy as np

        if not texts or not question.strip() or not _can_read(embedder, question):
            return [0.0] * len(texts)
        keys = [(embedder.model, hashlib.sha256(text.encode()).digest()) for text in texts]
        with self._lock:
            if len(self._vectors) > MOST_KEPT:
                self._vectors.clear()
            new = [i for i, key in enumerate(keys) if key not in self._vectors][:MOST_NEW]
            if new:
                made = embedder.embed([texts[i] for i in new], input_type="document")
                for i, vector in zip(new, made, strict=True):
                    is_read = _can_read(embedder, texts[i])
                    self._vectors[keys[i]] = vector if is_read else np.zeros_like(vector)
            known = [self._vectors.get(key) for key in keys]
        (asked,) = embedder.embed([question], input_type="query")
        return [max(0.0, float(asked @ v)) if v is not None else 0.0 for v in known]


def _can_read(embedder: Embedder, text: str) -> bool:
    can_read = getattr(embedder, "can_read", None)
    return can_read is None or bool(can_read(text))
