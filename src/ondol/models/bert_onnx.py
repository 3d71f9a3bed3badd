"""BERT safetensors to ONNX, without torch.

Builds the encoder's graph from config.json and the weights, with onnxruntime's fused operators
(com.microsoft Attention, SkipLayerNormalization, BiasGelu). The architecture is Devlin et al.,
2018 (arXiv 1810.04805). Knows nothing about pooling: the graph returns every token's state.
Raises ``InvalidModelError`` when the folder holds something else.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import InvalidModelError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Weights = Mapping[str, npt.NDArray[np.float32]]

MAX_HEADER_BYTES = 16 << 20
ACTIVATIONS = {"gelu": "BiasGelu"}


def convert(directory: Path, destination: Path) -> None:
    """Write ``directory``'s model.safetensors as the ONNX file ``destination``.

    The graph takes ``input_ids`` and ``attention_mask`` (int64, batch × tokens, padded on the
    right) and returns ``last_hidden_state`` (float32, batch × tokens × hidden).
    """
    config = _read_config(directory / "config.json")
    weights = read_safetensors(directory / "model.safetensors")
    try:
        model = _Graph(config, weights).build()
    except KeyError as error:
        raise InvalidModelError(t("embedding.missing_weight", name=error.args[0])) from error
    destination.write_bytes(model.SerializeToString())


def read_safetensors(file: Path) -> dict[str, npt.NDArray[np.float32]]:
    """The F32 and F16 tensors of a safetensors file, as float32, by name; others are left out."""
    import numpy as np

    try:
        data = file.read_bytes()
        (length,) = struct.unpack_from("<Q", data)
        if length > min(MAX_HEADER_BYTES, len(data) - 8):
            raise ValueError("header length")
        header = json.loads(data[8 : 8 + length])
        tensors: dict[str, npt.NDArray[np.float32]] = {}
        for name, entry in header.items():
            kind = {"F32": np.float32, "F16": np.float16}.get(entry.get("dtype"))
            if kind is not None:
                begin, end = entry["data_offsets"]
                raw = np.frombuffer(data[8 + length + begin : 8 + length + end], dtype=kind)
                tensors[name] = raw.reshape(entry["shape"]).astype(np.float32)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise InvalidModelError(t("embedding.bad_safetensors", file=file.name)) from error
    return tensors


def _read_config(file: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        known = config["model_type"] == "bert" and config["hidden_act"] in ACTIVATIONS
        known = known and config.get("position_embedding_type", "absolute") == "absolute"
        for key in ("hidden_size", "num_attention_heads", "num_hidden_layers"):
            config[key] = int(config[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidModelError(t("embedding.bad_config", file=file.name)) from error
    if not known:
        raise InvalidModelError(t("embedding.not_bert", model_type=config["model_type"]))
    return config


class _Graph:
    """Collects nodes and initialisers while the encoder is walked through once."""

    def __init__(self, config: Mapping[str, Any], weights: Weights) -> None:
        self._config = config
        self._weights = {name.removeprefix("bert."): array for name, array in weights.items()}
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._nodes: list[Any] = []
        self._initialisers: list[Any] = []

    def build(self) -> Any:
        """The finished ModelProto."""
        from onnx import TensorProto, helper

        state = self._embeddings()
        lengths = self._op(
            "ReduceSum", [self._cast("attention_mask"), self._ints("axis", [1])], keepdims=0
        )
        for number in range(self._config["num_hidden_layers"]):
            state = self._layer(f"encoder.layer.{number}", state, lengths)
        self._nodes.append(helper.make_node("Identity", [state], ["last_hidden_state"]))
        tokens = ["batch", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
                for name in ("input_ids", "attention_mask")
            ],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state",
                    TensorProto.FLOAT,
                    [*tokens, self._config["hidden_size"]],
                )
            ],
            self._initialisers,
        )
        return helper.make_model(
            graph,
            ir_version=8,
            opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        )

    def _embeddings(self) -> str:
        words = self._op("Gather", [self._weight("embeddings.word_embeddings.weight"), "input_ids"])
        count = self._op("Shape", ["input_ids"], start=1, end=2)
        # Positions 0…tokens-1 are the first rows of the table.
        table = self._weight("embeddings.position_embeddings.weight")
        positions = self._op(
            "Slice", [table, self._ints("zero", [0]), count, self._ints("rows", [0])]
        )
        kinds = self._constant(
            "embeddings.token_type", self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        summed = self._op("Add", [self._op("Add", [words, positions]), kinds])
        name = "embeddings.LayerNorm"
        return self._op(
            "LayerNormalization",
            [summed, self._weight(f"{name}.weight"), self._weight(f"{name}.bias")],
            epsilon=self._epsilon,
            axis=-1,
        )

    def _layer(self, name: str, state: str, lengths: str) -> str:
        attended = self._op(
            "Attention",
            [state, *self._query_key_value(f"{name}.attention.self"), lengths],
            domain="com.microsoft",
            num_heads=self._config["num_attention_heads"],
        )
        state = self._project_and_normalise(f"{name}.attention.output", attended, state)
        inner = self._op("MatMul", [state, self._transposed(f"{name}.intermediate.dense.weight")])
        inner = self._op(
            ACTIVATIONS[self._config["hidden_act"]],
            [inner, self._weight(f"{name}.intermediate.dense.bias")],
            domain="com.microsoft",
        )
        return self._project_and_normalise(f"{name}.output", inner, state)

    def _query_key_value(self, name: str) -> list[str]:
        import numpy as np

        parts = ("query", "key", "value")
        weight = np.concatenate([self._weights[f"{name}.{p}.weight"].T for p in parts], axis=1)
        bias = np.concatenate([self._weights[f"{name}.{p}.bias"] for p in parts])
        return [
            self._constant(f"{name}.qkv.weight", weight),
            self._constant(f"{name}.qkv.bias", bias),
        ]

    def _project_and_normalise(self, name: str, value: str, residual: str) -> str:
        projected = self._op("MatMul", [value, self._transposed(f"{name}.dense.weight")])
        norm = f"{name}.LayerNorm"
        inputs = [projected, residual, self._weight(f"{norm}.weight"), self._weight(f"{norm}.bias")]
        return self._op(
            "SkipLayerNormalization",
            [*inputs, self._weight(f"{name}.dense.bias")],
            domain="com.microsoft",
            epsilon=self._epsilon,
        )

    def _op(self, kind: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = f"{kind}_{len(self._nodes)}"
        self._nodes.append(
            helper.make_node(kind, inputs, [output], name=output, domain=domain, **attributes)
        )
        return output

    def _cast(self, value: str) -> str:
        from onnx import TensorProto

        return self._op("Cast", [value], to=TensorProto.INT32)

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _transposed(self, name: str) -> str:
        return self._constant(f"{name}.T", self._weights[name].T)

    def _ints(self, name: str, values: list[int]) -> str:
        import numpy as np

        return self._constant(name, np.asarray(values, dtype=np.int64))

    def _constant(self, name: str, array: Any) -> str:
        import numpy as np
        from onnx import numpy_helper

        self._initialisers.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
