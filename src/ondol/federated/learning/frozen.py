"""The factors of ``fedsb`` that stay: for each weight W of the base, B (out, r) and A (r, in) with
orthonormal columns and rows that span where W is largest; between them the R (r, r) that learns.

Fed-SB (arXiv:2502.15436) takes them from gradients, which would tell home of somebody's data;
these are of the weights alone (LoRA-XS, arXiv:2405.17604). They come from subspace iteration with a
seeded start (Halko et al. 2011, arXiv:0909.4061) and not from an SVD, whose signs and close
singular vectors differ from machine to machine. Raises ``TrainingError``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ondol.errors import TrainingError
from ondol.federated.learning.layout import Layout, Module, drawn_a
from ondol.i18n import t
from ondol.training import extra
from ondol.training.architectures import architecture_of
from ondol.training.export import unpermuted
from ondol.training.gguf_facts import facts_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]

ITERATIONS = 2


class Frozen(NamedTuple):
    """``b`` (out, r), ``a`` (r, in); in PyTorch's order of rows."""

    b: Matrix
    a: Matrix


def frozen_factors(layout: Layout, base: Path, seed: int) -> dict[str, Frozen]:
    """By module, for the GGUF file ``base``."""
    extra.require("gguf")
    import gguf

    try:
        reader = facts_of(base)
        name = str(reader.fields["general.architecture"].contents())
        architecture = architecture_of(name, base.name)
        heads = int(reader.fields[f"{name}.attention.head_count"].contents())
        kv_heads = reader.fields.get(f"{name}.attention.head_count_kv")
        counts = {"attn_q": heads, "attn_k": int(kv_heads.contents()) if kv_heads else heads}
        tensors = {x.name: x for x in reader.tensors}

        def weight(module: Module) -> Matrix:
            layer, _, rest = module.name.removeprefix("model.layers.").partition(".")
            kind = architecture.weights[rest]
            tensor: Any = tensors[f"blk.{layer}.{kind}.weight"]
            whole: Matrix = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
            return unpermuted(whole, counts[kind]) if kind in architecture.permuted else whole

        return {
            module.name: spanning(weight(module), drawn_a(seed, module, layout.r))
            for module in layout.modules
        }
    except (OSError, ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise TrainingError(
            t("training.base", file=base.name, reason=str(error).rstrip(".")),
            t("training.base_hint"),
        ) from error


def spanning(weight: Matrix, start: Matrix) -> Frozen:
    """The factors for one ``weight`` (out, in), from ``start`` (r, in)."""
    import numpy as np

    whole = weight.astype(np.float64)
    rows = start.astype(np.float64).T
    for _ in range(ITERATIONS):
        columns = _orthonormal(whole @ rows)
        rows = _orthonormal(whole.T @ columns)
    return Frozen(columns.astype(np.float32), np.ascontiguousarray(rows.T, np.float32))


def _orthonormal(columns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Q of QR with a positive diagonal of R, which makes it one and the same everywhere."""
    import numpy as np

    q, r = np.linalg.qr(columns)
    signs = np.where(np.diag(r) < 0, -1.0, 1.0)
    return np.asarray(q * signs)
