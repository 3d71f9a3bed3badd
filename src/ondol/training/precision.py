"""In which numbers a base's frozen weights are held while an adapter learns, by what memory there
is: float32 where it fits, else bfloat16 where the hardware multiplies it, else, on a GPU, the four
bits of NF4 (QLoRA, Dettmers et al. 2023, arXiv:2305.14314) by bitsandbytes.

The adapter itself is always float32. Raises ``TrainingError`` for what does not fit or is not here.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.gguf_facts import facts_of

BaseDtype = Literal["auto", "float32", "bfloat16", "nf4"]

BYTES: dict[BaseDtype, float] = {"float32": 4.0, "bfloat16": 2.0, "nf4": 0.6}
"""A parameter's; NF4 with its scales and what stays in bfloat16."""

WORK_BYTES = 1 << 30
"""For activations, the optimizer and the libraries, of a small batch."""

LOAD_BYTES = 4.0
"""While a GGUF file is read, every parameter is there as float32 as well, in ordinary memory."""


def chosen(asked: BaseDtype, file: Path, device: str, has_bfloat16: bool) -> BaseDtype:
    """What ``file`` is to be loaded as on ``device``: what was asked, or the best that fits."""
    if asked == "nf4":
        require_nf4(device)
    if asked == "bfloat16" and not has_bfloat16:
        raise TrainingError(t("training.no_bfloat16"), t("training.no_bfloat16_hint"))
    parameters, free = num_parameters(file), free_bytes(device)
    on_gpu = device.startswith("cuda")
    able: list[BaseDtype] = ["float32"]
    if has_bfloat16:
        able.append("bfloat16")
    if on_gpu and find_spec("bitsandbytes") is not None:
        able.append("nf4")
    for dtype in able if asked == "auto" else [asked]:
        beside = 0.0 if on_gpu or file.is_dir() else LOAD_BYTES
        needed = parameters * max(BYTES[dtype], beside) + WORK_BYTES
        if needed <= free:
            return dtype
    sentence = t(
        "training.no_memory",
        file=file.name,
        needed=f"{needed / 1e9:.1f}",
        free=f"{free / 1e9:.1f}",
    )
    raise TrainingError(sentence, t("training.no_memory_hint"))


def require_nf4(device: str) -> None:
    """Raise TrainingError unless four bits can be learned through here."""
    if not device.startswith("cuda"):
        raise TrainingError(t("training.nf4_gpu"), t("training.nf4_gpu_hint"))
    if find_spec("bitsandbytes") is None:
        raise TrainingError(t("training.nf4_library"), t("training.nf4_library_hint"))


def to_nf4(model: Any, device: str) -> Any:
    """``model`` on ``device``, with every linear layer but the head in NF4, double-quantised, and
    the rest in bfloat16; PEFT then learns through it as it does through one loaded so."""
    import bitsandbytes  # type: ignore[import-not-found]
    import torch

    head = model.get_output_embeddings()
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, torch.nn.Linear) or layer is head:
            continue
        packed = bitsandbytes.nn.Linear4bit(
            layer.in_features,
            layer.out_features,
            bias=layer.bias is not None,
            compute_dtype=torch.bfloat16,
            compress_statistics=True,
            quant_type="nf4",
        )
        packed.weight = bitsandbytes.nn.Params4bit(
            layer.weight.data.contiguous(),
            requires_grad=False,
            compress_statistics=True,
            quant_type="nf4",
        )
        if layer.bias is not None:
            packed.bias = torch.nn.Parameter(layer.bias.data, requires_grad=False)
        parent, _, own = name.rpartition(".")
        # Moving it is what packs it, a layer at a time: the GPU never holds the whole in full.
        setattr(model.get_submodule(parent), own, packed.to(device))
    model.is_loaded_in_4bit = True
    return model.to(device)


def num_parameters(file: Path) -> int:
    """Of a GGUF file, or of a folder of safetensors."""
    if file.is_dir():
        from safetensors import safe_open

        total = 0
        for part in sorted(file.glob("*.safetensors")):
            with safe_open(part, framework="numpy") as opened:
                for name in opened.keys():
                    size = 1
                    for side in opened.get_slice(name).get_shape():
                        size *= side
                    total += size
        return total

    return sum(int(tensor.n_elements) for tensor in facts_of(file).tensors)


def free_bytes(device: str) -> int:
    """Of the GPU, or of this machine's memory."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available)
