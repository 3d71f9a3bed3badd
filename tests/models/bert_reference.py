"""BERT in plain numpy and double precision, written from Devlin et al. (arXiv 1810.04805).

The yardstick for the converted model: no fused operator, no onnxruntime, one text at a time.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


class Reference:
    def __init__(self, weights: Path, config: Path, tokenizer: Path) -> None:
        self.w = {name: array.astype(np.float64) for name, array in load_file(weights).items()}
        self.config = json.loads(config.read_text())
        self.tokenizer = Tokenizer.from_file(str(tokenizer))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(256)

    def embed(self, text: str) -> np.ndarray:
        states = self.encode(self.tokenizer.encode(text).ids)
        mean = states.mean(axis=0)
        return mean / np.linalg.norm(mean)

    def encode(self, ids: list[int]) -> np.ndarray:
        x = self.w["embeddings.word_embeddings.weight"][ids]
        x = x + self.w["embeddings.position_embeddings.weight"][: len(ids)]
        x = x + self.w["embeddings.token_type_embeddings.weight"][0]
        x = self.normalise("embeddings.LayerNorm", x)
        for layer in range(self.config["num_hidden_layers"]):
            x = self.layer(f"encoder.layer.{layer}", x)
        return x

    def layer(self, name: str, x: np.ndarray) -> np.ndarray:
        heads = self.config["num_attention_heads"]
        size = x.shape[1] // heads
        query, key, value = (
            self.linear(f"{name}.attention.self.{part}", x).reshape(-1, heads, size).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(1, 2) / math.sqrt(size)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        mixed = (weights @ value).swapaxes(0, 1).reshape(x.shape)
        x = self.normalise(
            f"{name}.attention.output.LayerNorm",
            x + self.linear(f"{name}.attention.output.dense", mixed),
        )
        inner = self.linear(f"{name}.intermediate.dense", x)
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        outer = self.linear(f"{name}.output.dense", inner)
        return self.normalise(f"{name}.output.LayerNorm", x + outer)

    def linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def normalise(self, name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-12)
        return scaled * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]


def erf(x: np.ndarray) -> np.ndarray:
    """Abramowitz and Stegun 7.1.26: at most 1.5e-7 off."""
    t = 1 / (1 + 0.3275911 * np.abs(x))
    powers = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)
    series = sum(c * t ** (n + 1) for n, c in enumerate(powers))
    return np.sign(x) * (1 - series * np.exp(-(x**2)))
