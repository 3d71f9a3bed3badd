"""Whether an adapter's file fits a model: what llama.cpp checks when it loads both, told earlier.

Reads headers only. Raises ``InvalidModelError`` with one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from ondol.errors import InvalidModelError
from ondol.i18n import t
from ondol.models.gguf import GgufHeader, read_header
from ondol.models.gguf_reader import TensorInfo, shown

# llama.cpp's names for the matrices, and everybody else's.
_MODULES = {
    "attn_q": "q_proj",
    "attn_k": "k_proj",
    "attn_v": "v_proj",
    "attn_qkv": "qkv_proj",
    "attn_output": "o_proj",
    "ffn_gate": "gate_proj",
    "ffn_up": "up_proj",
    "ffn_down": "down_proj",
    "token_embd": "embed_tokens",
    "output": "lm_head",
}
# Phi-3 has gate and up in one matrix, under the name of the second.
_FUSED = {"phi3": {"ffn_up": "gate_up_proj"}}
_MANY = 2**20
# What llama.cpp can multiply with: its quantised types and floats, and no whole numbers.
_UNABLE = ("F64", "I8", "I16", "I32", "I64")


@dataclass(frozen=True, slots=True)
class Shape:
    """What an adapter's file says about itself. ``r`` is the largest of its ranks."""

    r: int
    lora_alpha: float
    target_modules: tuple[str, ...]


def check_fit(adapter: Path, bases: Iterable[Path], name: str, model: str) -> Shape:
    """``bases`` are the files of the weights of ``model``; errors call the adapter ``name``."""
    headers = [read_header(base, model) for base in bases]
    return fit_of(read_header(adapter, name), headers, name, model)


def fit_of(header: GgufHeader, headers: Sequence[GgufHeader], name: str, model: str) -> Shape:
    """``check_fit`` of headers that were read: the adapter's, and those of the base's files."""
    alpha = header.metadata.get("adapter.lora.alpha", 0.0)
    is_lora = header.kind == "adapter" and header.text("adapter.type") == "lora"
    # An activated one ("alora") is to be switched on in the middle of a prompt, which we cannot.
    is_lora = is_lora and not any(key.startswith("adapter.alora") for key in header.metadata)
    if not is_lora or not isinstance(alpha, int | float) or not isfinite(alpha):
        raise _unfit("not_an_adapter", name)
    if header.architecture != headers[0].architecture:
        raise _unfit(
            "other_architecture",
            name,
            model,
            theirs=header.architecture,
            ours=headers[0].architecture,
        )
    matrices = {tensor.name: tensor for base in headers for tensor in base.tensors}
    ranks = [
        _rank(tensor, a, b, name, model) for tensor, a, b in _pairs(header, matrices, name, model)
    ]
    modules = {tensor.removesuffix(".weight").rpartition(".")[2] for tensor in _targets(header)}
    known = _MODULES | _FUSED.get(header.architecture, {})
    return Shape(
        r=max(ranks),
        # Without an alpha the product of the factors is added as it is.
        lora_alpha=float(alpha or max(ranks)),
        target_modules=tuple(sorted(known.get(module, module) for module in modules)),
    )


def _targets(header: GgufHeader) -> list[str]:
    return [t.name.removesuffix(".lora_a") for t in header.tensors if t.name.endswith(".lora_a")]


def _pairs(
    header: GgufHeader, matrices: dict[str, TensorInfo], name: str, model: str
) -> list[tuple[TensorInfo, TensorInfo, TensorInfo]]:
    """Each adapted matrix with its two factors."""
    factors = {tensor.name: tensor for tensor in header.tensors}
    targets = _targets(header)
    if 2 * len(targets) != len(factors):
        raise _unfit("not_whole_pairs", name)
    found = []
    for target in targets:
        if target not in matrices:
            raise _unfit("no_such_tensor", name, model, tensor=shown(target))
        if target == "token_embd.weight" and "output.weight" not in matrices:
            # llama.cpp multiplies by it at the end too, with the factors the wrong way round.
            raise _unfit("tied", name, model, tensor=target)
        if f"{target}.lora_b" not in factors:
            raise _unfit("not_whole_pairs", name)
        found.append((matrices[target], factors[f"{target}.lora_a"], factors[f"{target}.lora_b"]))
    return found


def _rank(tensor: TensorInfo, a: TensorInfo, b: TensorInfo, name: str, model: str) -> int:
    """The rank of B @ A, whose shape must be the matrix's. Of the embedding, A is transposed."""
    dimensions = len(tensor.shape)
    if dimensions < 2 or any(len(factor.shape) != dimensions for factor in (a, b)):
        raise _unfit("wrong_shape", name, model, tensor=shown(tensor.name))
    (columns, rows), (a_in, a_out), (b_in, b_out) = (x.shape[:2] for x in (tensor, a, b))
    if tensor.name == "token_embd.weight":
        fits = (b_out, a_out, a_in) == (columns, rows, b_in)
    else:
        fits = (a_in, b_out, a_out) == (columns, rows, b_in)
    stacks = {x.shape[2:] for x in (tensor, a, b)}
    is_able = not any(factor.type in _UNABLE for factor in (a, b))
    if not (fits and is_able and len(stacks) == 1 and 0 < b_in < _MANY):
        raise _unfit("wrong_shape", name, model, tensor=shown(tensor.name))
    return b_in


def _unfit(why: str, name: str, model: str = "", **values: object) -> InvalidModelError:
    sentence = t(f"adapters.{why}", file=shown(name), model=model, **values)
    return InvalidModelError(sentence, t("adapters.unfit_hint"))
