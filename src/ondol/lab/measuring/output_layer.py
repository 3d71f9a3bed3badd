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

from ondol.errors import InvalidModelError
from ondol.models.gguf import read_header
from ondol.models.gguf_reader import TensorInfo

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
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        try:
            header = read_header(path)
        except InvalidModelError as error:
            raise ValueError(error.message) from error
        tensors = {tensor.name: tensor for tensor in header.tensors}
        found = tensors.get("output.weight") or tensors.get("token_embd.weight")
        kind = found and GGMLQuantizationType.__members__.get(found.type)
        architecture = header.architecture
        if found is None or kind is None or header.metadata.get(f"{architecture}.logit_scale"):
            raise ValueError("an output layer of another kind")
        start, bias = header.data_offset, tensors.get("output.bias")
        return cls(
            _rows(path, start, found),
            kind,
            None
            if bias is None
            else dequantize(_rows(path, start, bias), GGMLQuantizationType[bias.type])[0],
            _number(header.metadata.get(f"{architecture}.final_logit_softcapping")),
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


def _rows(path: Path, data_offset: int, tensor: TensorInfo) -> Any:
    """The stored weights, a row for each token; read as they are needed."""
    import numpy as np

    rows = tensor.shape[-1] if len(tensor.shape) > 1 else 1
    shape = (rows, tensor.size_bytes // rows)
    stored = np.memmap(path, np.uint8, "r", offset=data_offset + tensor.offset, shape=shape)
    # gguf reads these two by the types of the array, all others by their bytes.
    plain = {"F32": np.float32, "F16": np.float16}.get(tensor.type)
    return stored.view(plain) if plain else stored


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


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
