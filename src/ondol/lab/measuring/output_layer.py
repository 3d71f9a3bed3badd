"""A model's output layer, read from its file: from hidden states to logits, and what follows.

It is multiplied in blocks of the vocabulary, so that 250,000 tokens need no gigabytes. Its weights
are those of the file, its arithmetic is float32: finer than the engine's, which rounds the states
as well. Raises ``ValueError`` for a model whose last step it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.float32]

BLOCK = 4096
"""Rows of the vocabulary at a time: with 4,000 places, 64 MB of logits."""


@dataclass(frozen=True, slots=True)
class OutputLayer:
    """``weights`` as they are stored, a row for each token; ``bias`` and ``cap`` of those models
    that have them."""

    weights: Any
    kind: Any
    bias: Any = None
    cap: float = 0.0

    @classmethod
    def read(cls, path: Path) -> OutputLayer:
        """That of the GGUF file ``path``."""
        import gguf

        try:
            reader = gguf.GGUFReader(path)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(str(error)) from error
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        found = tensors.get("output.weight") or tensors.get("token_embd.weight")
        numbers = {
            name.partition(".")[2]: field.contents()
            for name, field in reader.fields.items()
            if name.endswith(("logit_scale", "final_logit_softcapping"))
        }
        if found is None or numbers.get("logit_scale"):
            raise ValueError("an output layer of another kind")
        bias = tensors.get("output.bias")
        return cls(
            found.data,
            found.tensor_type,
            None if bias is None else gguf.quants.dequantize(bias.data, bias.tensor_type),
            float(numbers.get("final_logit_softcapping") or 0),
        )

    def blocks(self, states: Array) -> Iterator[tuple[int, Array]]:
        """The logits of ``states``, shape ``(places, up to BLOCK)``, with the number of the first
        token of each block. Each is overwritten by whoever gets it as it likes."""
        import gguf
        import numpy as np

        for start in range(0, len(self.weights), BLOCK):
            rows = gguf.quants.dequantize(self.weights[start : start + BLOCK], self.kind)
            logits = states @ rows.astype(np.float32, copy=False).T
            if self.bias is not None:
                logits += self.bias[start : start + BLOCK]
            if self.cap:
                logits = self.cap * np.tanh(logits / self.cap)
            yield start, logits


class LogSum:
    """The logarithm of a growing sum of exponentials, for each of some places; and beside it the
    mean of something, weighed by them."""

    def __init__(self, places: int) -> None:
        import numpy as np

        self.largest = np.full(places, -np.inf)
        self._sum = np.zeros(places)
        self._weighed = np.zeros(places)

    def add(self, logits: Array, value: Array | None = None) -> None:
        """Take ``logits`` in, and ``value`` of each."""
        import numpy as np

        largest = np.maximum(self.largest, logits.max(axis=1))
        shrunk = np.exp(self.largest - largest)
        grown = np.exp(logits - largest[:, None].astype(np.float32))
        self._sum = self._sum * shrunk + grown.sum(axis=1, dtype=np.float64)
        self._weighed *= shrunk
        if value is not None:
            self._weighed += np.einsum("ij,ij->i", grown, value, dtype=np.float64)
        self.largest = largest

    @property
    def log(self) -> npt.NDArray[np.float64]:
        """The logarithm of the sum."""
        import numpy as np

        return np.asarray(self.largest + np.log(self._sum))

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean of the values."""
        import numpy as np

        return np.asarray(self._weighed / self._sum)


def losses(layer: OutputLayer, states: Array, tokens: Sequence[int]) -> npt.NDArray[np.float64]:
    """Minus the log-probability of each of ``tokens`` after the state beside it."""
    import numpy as np

    wanted, total = np.asarray(tokens), LogSum(len(states))
    found = np.zeros(len(states))
    for start, logits in layer.blocks(states):
        here = np.flatnonzero((wanted >= start) & (wanted < start + logits.shape[1]))
        found[here] = logits[here, wanted[here] - start]
        total.add(logits)
    return np.asarray(total.log - found)
