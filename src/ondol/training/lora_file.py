"""A LoRA adapter as a GGUF file: matrices by name, ``blk.0.attn_q.weight.lora_a`` (r, in) and
``….lora_b`` (out, r), and one ``alpha``: llama.cpp adds ``alpha / r * B @ A`` to the weight.

Raises ``TrainingError`` for a file that is none, ``StorageError`` where it cannot be written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ondol import paths
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training import extra

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

Dtype = Literal["f32", "f16", "q8_0"]

Q8_0_BLOCK = 32
# llama.cpp takes rows of the embedding's A, one for each token: the factors are the other way round
# in its files, and only there.
EMBEDDING = "token_embd.weight.lora"


@dataclass(frozen=True, slots=True)
class LoraFile:
    """What a file holds. ``alpha`` 0.0: the products are added as they are."""

    architecture: str
    alpha: float
    tensors: Mapping[str, Matrix]

    def scale(self, weight: str) -> float:
        """What the product B @ A of ``weight`` ("blk.0.attn_q.weight") is multiplied by."""
        r = self.tensors[f"{weight}.lora_a"].shape[0]
        return self.alpha / r if self.alpha else 1.0

    def weights(self) -> list[str]:
        """The weights that it changes."""
        return sorted(n.removesuffix(".lora_a") for n in self.tensors if n.endswith(".lora_a"))


def read(file: Path) -> LoraFile:
    """The adapter in ``file``, in float32 whatever it is kept in. Stacks of matrices (experts) are
    refused."""
    extra.require("gguf")
    import gguf
    import numpy as np

    try:
        reader = gguf.GGUFReader(file)
        alpha = reader.fields.get(gguf.Keys.Adapter.LORA_ALPHA)
        tensors = {
            x.name: np.asarray(gguf.quants.dequantize(x.data, x.tensor_type), dtype=np.float32)
            for x in reader.tensors
        }
        whole = {n.rpartition("_")[0] for n in tensors}
        if any(f"{n}_{side}" not in tensors for n in whole for side in "ab") or not tensors:
            raise ValueError("not whole pairs")
        if any(x.ndim != 2 or not np.isfinite(x).all() for x in tensors.values()):
            raise ValueError("not matrices of numbers")
        if EMBEDDING in whole:
            a, b = tensors[f"{EMBEDDING}_a"], tensors[f"{EMBEDDING}_b"]
            tensors |= {f"{EMBEDDING}_a": b.T.copy(), f"{EMBEDDING}_b": a}
        architecture = str(reader.fields["general.architecture"].contents())
        return LoraFile(architecture, float(alpha.contents()) if alpha else 0.0, tensors)
    except (OSError, ValueError, KeyError, IndexError, TypeError, NotImplementedError) as error:
        raise TrainingError(
            t("merging.file", file=file.name, reason=error),
            t("merging.file_hint"),
        ) from error


def write(
    matrices: Mapping[str, Matrix],
    alpha: float,
    architecture: str,
    destination: Path,
    dtype: Dtype = "f16",
) -> None:
    """Write an adapter. ``destination`` is replaced only by a whole file; the same matrices give
    the same bytes. "q8_0" leaves matrices whose rows are no whole blocks of 32 in f16."""
    import gguf

    if f"{EMBEDDING}_a" in matrices:
        a, b = matrices[f"{EMBEDDING}_a"], matrices[f"{EMBEDDING}_b"]
        matrices = {**matrices, f"{EMBEDDING}_a": b, f"{EMBEDDING}_b": a.T.copy()}
    kinds = gguf.GGMLQuantizationType
    wanted = {"f32": kinds.F32, "f16": kinds.F16, "q8_0": kinds.Q8_0}[dtype]
    file_type = {
        "f32": gguf.LlamaFileType.ALL_F32,
        "f16": gguf.LlamaFileType.MOSTLY_F16,
        "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }[dtype]
    paths.ensure(destination.parent)
    partial = destination.with_name(f"{destination.name}.partial")
    try:
        with closing(gguf.GGUFWriter(partial, architecture)) as writer:
            writer.add_type(gguf.GGUFType.ADAPTER)
            writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
            writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
            writer.add_file_type(file_type)
            for name, matrix in sorted(matrices.items()):
                whole = wanted != kinds.Q8_0 or matrix.shape[1] % Q8_0_BLOCK == 0
                kind = wanted if whole else kinds.F16
                writer.add_tensor(name, gguf.quants.quantize(matrix, kind), raw_dtype=kind)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.write_tensors_to_file()
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(destination)
    except OSError as error:
        raise paths.storage_error(error, destination) from error
    finally:
        partial.unlink(missing_ok=True)
