"""A PEFT LoRA adapter to the GGUF adapter that llama.cpp applies to its base.

llama.cpp adds ``alpha / r * B @ A`` to a weight, A being (r, in) and B (out, r); how it calls the
weights, and in which order it has their rows, is each architecture's (``architectures``). What it
could not apply faithfully is refused with a ``TrainingError``: an adapter that is silently a little
wrong is worse than none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training import extra, lora_file
from ondol.training.architectures import ARCHITECTURES, Architecture, architecture_of
from ondol.training.gguf_facts import facts_of
from ondol.training.lora_file import Dtype

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ARCHITECTURES", "Dtype", "export_adapter", "export_peft", "permuted", "unpermuted"]

MAX_F16 = 65504.0

_TENSOR = re.compile(
    r"(?:base_model\.model\.)?model\.(?:language_model\.)?layers\.(?P<layer>\d+)"
    r"\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])\.weight"
)
# PEFT's variations of LoRA that are more than B @ A of one rank and one alpha on linear layers.
_VARIATIONS = (
    "use_dora use_qalora use_bdlora lora_bias fan_in_fan_out rank_pattern alpha_pattern "
    "modules_to_save trainable_token_indices target_parameters layer_replication arrow_config "
    "alora_invocation_tokens kasa_config monteclora_config"
).split()
# Beginnings that leave the base's weights as they are; others (PiSSA, OLoRA, …) take something out.
_BEGINNINGS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True, slots=True)
class _Base:
    """What an adapter must fit: each weight's (out, in), and the heads of those whose rows
    llama.cpp has in its own order."""

    file: str
    architecture: Architecture
    shapes: Mapping[str, tuple[int, ...]]
    heads: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """A matrix of a weight: ``blk.0.attn_q.weight``, its kind ``attn_q``, its side "a" or "b"."""

    weight: str
    kind: str
    side: str

    @property
    def name(self) -> str:
        return f"{self.weight}.lora_{self.side}"


def export_peft(folder: Path, base: Path, destination: Path, *, dtype: Dtype = "f16") -> int:
    """``export_adapter`` for a folder that ``PeftModel.save_pretrained`` wrote."""
    extra.require()
    from safetensors import SafetensorError, safe_open

    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        # numpy has no bfloat16, in which adapters often are.
        with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
            tensors = {name: file.get_tensor(name).float().numpy() for name in file.keys()}
    except (OSError, ValueError, SafetensorError) as error:
        raise _refusal("folder", "folder", folder=folder, reason=error) from error
    return export_adapter(tensors, config, base, destination, dtype=dtype)


def export_adapter(
    tensors: Mapping[str, npt.NDArray[Any]],
    config: Mapping[str, Any],
    base: Path,
    destination: Path,
    *,
    dtype: Dtype = "f16",
) -> int:
    """Write the adapter as GGUF; the number of tensors written.

    ``tensors`` have the names that PEFT saves, ``config`` is PEFT's ``adapter_config.json``,
    ``base`` the GGUF that serves. ``destination`` is replaced only by a whole file; the same
    adapter gives the same bytes. "q8_0" leaves matrices whose rows are no whole blocks of 32 in
    f16. Raises ``TrainingError`` for what llama.cpp cannot apply, ``StorageError`` when it cannot
    be written.
    """
    extra.require()
    alpha, rank = _scaling(config)
    fits = _read_base(base)
    matrices = {}
    for key, tensor in tensors.items():
        place = _place(key, fits)
        matrices[place.name] = _matrix(key, tensor, place, rank, fits, dtype)
    _check_pairs(matrices)
    lora_file.write(matrices, alpha, fits.architecture.name, destination, dtype)
    return len(matrices)


def permuted(rows: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """The output rows of q or k in llama.cpp's order: in each of ``heads`` heads the two halves
    that rotary embedding turns together, interleaved."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)


def unpermuted(rows: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    """The inverse of ``permuted``."""
    pairs = rows.reshape(heads, rows.shape[0] // heads // 2, 2, *rows.shape[1:])
    return pairs.swapaxes(1, 2).reshape(rows.shape)


def _refusal(why: str, hint: str = "plain", **values: object) -> TrainingError:
    return TrainingError(t(f"training.export_{why}", **values), t(f"training.export_hint_{hint}"))


def _scaling(config: Mapping[str, Any]) -> tuple[float, int]:
    """llama.cpp's alpha and the rank; TrainingError for more than a plain LoRA adapter."""
    unlike = [name for name in _VARIATIONS if config.get(name)]
    unlike += [
        f"{name}={config[name]}"
        for name, plain in (
            ("peft_type", ("LORA", None)),
            ("bias", ("none", None)),
            ("init_lora_weights", _BEGINNINGS),
        )
        if config.get(name) not in plain
    ]
    if unlike:
        raise _refusal("variation", names=", ".join(unlike))
    rank, alpha = config.get("r"), config.get("lora_alpha")
    # To llama.cpp an alpha of 0 means "no scaling", to PEFT "no effect".
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float) or not alpha:
        raise _refusal("numbers", r=rank, alpha=alpha)
    if not math.isfinite(alpha):
        raise _refusal("numbers", r=rank, alpha=alpha)
    # llama.cpp divides alpha by r, rank-stabilised LoRA by its root.
    return float(alpha) * (math.sqrt(rank) if config.get("use_rslora") else 1.0), rank


def _read_base(file: Path) -> _Base:
    try:
        reader = facts_of(file)
        name = str(reader.fields["general.architecture"].contents())
        architecture = architecture_of(name, file.name)
        heads = int(reader.fields[f"{name}.attention.head_count"].contents())
        kv_heads = reader.fields.get(f"{name}.attention.head_count_kv")
        counts = {"attn_q": heads, "attn_k": int(kv_heads.contents()) if kv_heads else heads}
        return _Base(
            file.name,
            architecture,
            {x.name: tuple(int(n) for n in reversed(x.shape)) for x in reader.tensors},
            {kind: counts[kind] for kind in architecture.permuted},
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise _refusal("base", "base", file=file, reason=error) from error


def _place(key: str, base: _Base) -> _Place:
    """Where the matrix that PEFT calls ``key`` belongs."""
    found = _TENSOR.fullmatch(key)
    if not found:
        raise _refusal("tensor", tensor=key)
    kind = base.architecture.weights.get(found["module"], "")
    weight = f"blk.{found['layer']}.{kind}.weight"
    if weight not in base.shapes:
        module = f"layers.{found['layer']}.{found['module']}"
        raise _refusal("module", module=module, file=base.file)
    return _Place(weight, kind, found["side"].lower())


def _matrix(
    key: str, tensor: npt.NDArray[Any], place: _Place, rank: int, base: _Base, dtype: Dtype
) -> npt.NDArray[np.float32]:
    """One matrix as llama.cpp expects it; TrainingError unless it fits the base and the dtype."""
    import numpy as np

    rows, columns = base.shapes[place.weight]
    expected = (rank, columns) if place.side == "a" else (rows, rank)
    if tensor.shape != expected:
        raise _refusal("shape", tensor=key, shape=tensor.shape, expected=expected, file=base.file)
    with np.errstate(over="ignore"):  # what overflows becomes infinite, and is refused as such
        matrix = np.asarray(tensor, dtype=np.float32)
    if not np.isfinite(matrix).all():
        raise _refusal("not_finite", "not_finite", tensor=key)
    if dtype != "f32" and np.abs(matrix).max() > MAX_F16:
        raise _refusal("too_large", "too_large", tensor=key, dtype=dtype)
    # Of W = B @ A only B has W's output rows.
    heads = base.heads.get(place.kind) if place.side == "b" else None
    return permuted(matrix, heads) if heads else matrix


def _check_pairs(matrices: Mapping[str, object]) -> None:
    if not matrices:
        raise _refusal("empty")
    for name in sorted(matrices):
        weight, _, side = name.rpartition("_")
        if f"{weight}_{'b' if side == 'a' else 'a'}" not in matrices:
            raise _refusal("half", module=weight.removesuffix(".weight.lora"))
