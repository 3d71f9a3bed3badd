"""How each architecture's layers are called by PEFT and by llama.cpp, and what else differs.

One mapping per architecture, named as GGUF names it (``general.architecture``). Mistral's models
are of llama's (conversion/llama.py of llama.cpp registers both). Only there the rows of q and k lie
in another order than in PyTorch: llama.cpp's converter permutes them for its rotary embedding, and
for the other architectures it does not. Phi-3 has one matrix for q, k and v, and one for gate and
up, in both. The shifts that converters apply to norms (Gemma) touch no weight that LoRA adapts.
Raises ``TrainingError`` for an architecture that is not here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ondol.errors import TrainingError
from ondol.i18n import t

_SEPARATE = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_FUSED = {
    "self_attn.qkv_proj": "attn_qkv",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
# Where a module of the plain names went in an architecture that has it in one with others.
_WITHIN = {
    "q_proj": "qkv_proj",
    "k_proj": "qkv_proj",
    "v_proj": "qkv_proj",
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
}


@dataclass(frozen=True, slots=True)
class Architecture:
    """``weights`` maps a layer's linear modules to llama.cpp's tensors; of the ``permuted`` ones
    the output rows have llama.cpp's order."""

    name: str
    weights: Mapping[str, str]
    permuted: frozenset[str] = frozenset()

    @property
    def target_modules(self) -> tuple[str, ...]:
        """All linear modules of a layer, as PEFT's ``target_modules`` names them."""
        return tuple(module.rpartition(".")[2] for module in self.weights)

    def fitted(self, target_modules: Sequence[str]) -> tuple[str, ...]:
        """``target_modules`` under the names that they have here: of Phi-3, q_proj is a part of
        qkv_proj. Names that are nowhere stay, and are PEFT's to refuse."""
        here = self.target_modules
        names = (name if name in here else _WITHIN.get(name, name) for name in target_modules)
        return tuple(dict.fromkeys(names))


_KNOWN = {
    one.name: one
    for one in (
        Architecture("llama", _SEPARATE, frozenset({"attn_q", "attn_k"})),
        Architecture("qwen2", _SEPARATE),
        Architecture("qwen3", _SEPARATE),
        Architecture("gemma2", _SEPARATE),
        Architecture("gemma3", _SEPARATE),
        Architecture("phi3", _FUSED),
    )
}
ARCHITECTURES = tuple(_KNOWN)


def architecture_of(name: str, model: str) -> Architecture:
    """The architecture that a GGUF names; errors call the file or the model ``model``."""
    if name in _KNOWN:
        return _KNOWN[name]
    sentence = t(
        "training.export_architecture",
        file=model,
        architecture=name,
        supported=", ".join(ARCHITECTURES),
    )
    raise TrainingError(sentence, t("training.export_hint_architecture"))
