"""What the engine reads of a GGUF and transformers does not, given to the loaded model: else it
would learn beside another base than the one that serves.

Rotary embedding (Su et al. 2021, arXiv:2104.09864): factors for each frequency (Llama 3, Phi-3's
long context), a linear scale (Gemma 3 from 4B on, in its global layers), fewer dimensions than a
head has (Phi-4 mini). Attention: the scale of the largest Gemmas. What is in none of these forms
(YaRN) is refused with a ``TrainingError``. See llama.cpp, src/models/*.cpp.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.gguf_facts import facts_of

if TYPE_CHECKING:
    import torch

# Layers of the Gemmas whose queries are scaled by the width of the model and not by the head's.
WIDE_SCALES = {"gemma2": 46, "gemma3": 62}


def complete(model: Any, file: Path) -> None:
    """Change ``model``, which transformers read from the GGUF ``file``, to what the engine has."""
    reader = facts_of(file)
    name = str(reader.fields["general.architecture"].contents())

    def fact(key: str, default: Any = None) -> Any:
        field = reader.fields.get(f"{name}.{key}")
        return default if field is None else field.contents()

    scaling = fact("rope.scaling.type", "none")
    if scaling not in ("none", "linear", "longrope"):
        reason = f"rope.scaling.type {scaling}"
        told = t("training.base", file=file.name, reason=reason)
        raise TrainingError(told, t("training.base_hint"))
    factors = {x.name: x.data for x in reader.tensors if x.name.startswith("rope_f")}
    known = factors.get("rope_freqs.weight", factors.get("rope_factors_short.weight"))
    rotary = model.model.rotary_emb
    # Where layers differ, the ones that see everything are those that are scaled.
    prefix = "full_attention_" if hasattr(rotary, "full_attention_inv_freq") else ""
    before = getattr(rotary, f"{prefix}inv_freq", None)
    if before is not None:
        frequencies = _frequencies(before, fact("rope.dimension_count"), fact("rope.freq_base"))
        if known is not None:
            frequencies = frequencies / _like(known, frequencies)
        if scaling == "linear":
            frequencies = frequencies / float(fact("rope.scaling.factor", 1.0))
        setattr(rotary, f"{prefix}inv_freq", frequencies)
        setattr(rotary, f"{prefix}original_inv_freq", frequencies.clone())
        if scaling == "longrope" or fact("rope.scaling.attn_factor") is not None:
            setattr(
                rotary, f"{prefix}attention_scaling", float(fact("rope.scaling.attn_factor", 1.0))
            )
    if fact("block_count") == WIDE_SCALES.get(name):
        width = fact("embedding_length") / fact("attention.head_count")
        for layer in model.model.layers:
            layer.self_attn.scaling = float(width**-0.5)


def _frequencies(before: torch.Tensor, dimensions: Any, base: Any) -> torch.Tensor:
    """``before``, or those of fewer dimensions."""
    import torch

    if not dimensions or not base or 2 * len(before) == dimensions:
        return before
    exponents = torch.arange(0, int(dimensions), 2, dtype=torch.float32) / int(dimensions)
    return (1.0 / float(base) ** exponents).to(before)


def _like(values: Any, tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.from_numpy(values.astype("float32")).to(tensor)
