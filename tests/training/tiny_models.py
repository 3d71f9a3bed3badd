"""A random model of two layers of each architecture that adapters are exported for, and its GGUF
in F32: the weights as llama.cpp's converter would write them (conversion/*.py of llama.cpp)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

LAYERS, HIDDEN, WIDE, HEADS, KV_HEADS = 2, 64, 128, 4, 2
# Every byte, spelt as byte-level BPE spells it (Radford et al. 2019), and the marks of a chat.
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGED = ("he", "the")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COMMON = {
    "vocab_size": 256 + len(MARKS) + 5,
    "hidden_size": HIDDEN,
    "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "max_position_embeddings": 256,
    "initializer_range": 0.1,
    "bos_token_id": 256,
    "eos_token_id": 258,
    "pad_token_id": 256,
}
ROPE_OF_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
ROPE_OF_GEMMA3 = {
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
}
ROPE_OF_PHI4 = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.75,
    "original_max_position_embeddings": 256,
    "short_factor": [1.0, 1.5, 2.0, 2.5, 3.0, 4.0],
    "long_factor": [1.0, 1.5, 2.0, 2.5, 3.0, 4.0],
}
# What transformers takes for granted of an architecture when it reads a GGUF is left at that.
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "llama": ("llama", "Llama", {}),
    "mistral": ("llama", "Mistral", {"head_dim": 32, "sliding_window": None}),
    "qwen2": ("qwen2", "Qwen2", {"tie_word_embeddings": False}),
    "qwen3": ("qwen3", "Qwen3", {"head_dim": 128, "tie_word_embeddings": True}),
    "gemma2": ("gemma2", "Gemma2", {"head_dim": 256}),
    "gemma3": ("gemma3", "Gemma3Text", {"head_dim": 256}),
    "phi3": ("phi3", "Phi3", {}),
    # With what transformers does not read of a GGUF.
    "llama3": ("llama", "Llama", {"rope_parameters": ROPE_OF_LLAMA3}),
    "gemma3-4b": (
        "gemma3",
        "Gemma3Text",
        {"head_dim": 256, "num_hidden_layers": 6, "rope_parameters": ROPE_OF_GEMMA3},
    ),
    "phi4-mini": ("phi3", "Phi3", {"rope_parameters": ROPE_OF_PHI4}),
}


def tiny_model(name: str, seed: int = 0) -> Any:
    """The transformers model, with norms and biases that are not what they begin as either."""
    import torch
    import transformers

    _, prefix, more = MODELS[name]
    config = getattr(transformers, f"{prefix}Config")(**(COMMON | more))
    causal = getattr(transformers, f"{prefix.removesuffix('Text')}ForCausalLM")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = causal._from_config(config, attn_implementation="eager")
        with torch.no_grad():
            for key, weights in model.named_parameters():
                if "norm" in key or key.endswith("bias"):
                    weights.add_(torch.randn_like(weights) * 0.1)
    return model.eval().requires_grad_(False)


def write_gguf(model: Any, name: str, path: Path) -> Path:
    """``model``, one of ``MODELS``, as a GGUF in F32."""
    architecture = MODELS[name][0]
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")  # llama.cpp looks for more tokens in what is called phi3
    _add_facts(writer, model.config, architecture)
    _add_tokens(writer, model.config.vocab_size)
    number = next(k for k, v in gguf.MODEL_ARCH_NAMES.items() if v == architecture)
    names = gguf.get_tensor_name_map(number, model.config.num_hidden_layers)
    _add_rope_factors(writer, model)
    tied = model.config.tie_word_embeddings
    for key, tensor in model.state_dict().items():
        if tied and key == "lm_head.weight":
            continue
        weights = tensor.float().numpy()
        if architecture == "llama" and "q_proj" in key:
            weights = _interleaved(weights, HEADS)
        elif architecture == "llama" and "k_proj" in key:
            weights = _interleaved(weights, KV_HEADS)
        elif architecture.startswith("gemma") and key.endswith("norm.weight"):
            weights = weights + 1
        found = names.get_name(key, try_suffixes=(".weight", ".bias"))
        writer.add_tensor(found, np.ascontiguousarray(weights, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _interleaved(weights: np.ndarray, heads: int) -> np.ndarray:
    """Written out by hand: in each head, row i of the first half is followed by that of the
    second."""
    rows = len(weights) // heads
    within = [half * rows // 2 + i for i in range(rows // 2) for half in (0, 1)]
    return weights[[head * rows + row for head in range(heads) for row in within]]


def _add_facts(writer: gguf.GGUFWriter, config: Any, architecture: str) -> None:
    head_dim = getattr(config, "head_dim", None) or HIDDEN // HEADS
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    rope = config.rope_parameters.get("full_attention", config.rope_parameters)
    writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1)))
    writer.add_rope_freq_base(rope["rope_theta"])
    if rope["rope_type"] in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(rope["rope_type"]))
        writer.add_rope_scaling_factor(rope["factor"])
    if rope["rope_type"] == "longrope":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
        writer.add_rope_scaling_attn_factors(1.0)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)


def _add_rope_factors(writer: gguf.GGUFWriter, model: Any) -> None:
    rope = model.config.rope_parameters
    if rope.get("rope_type") == "llama3":
        frequencies = model.model.rotary_emb.inv_freq.numpy()
        dimensions = 2 * len(frequencies)
        plain = 1.0 / rope["rope_theta"] ** (np.arange(0, dimensions, 2) / dimensions)
        writer.add_tensor("rope_freqs.weight", (plain / frequencies).astype(np.float32))
    elif rope.get("rope_type") == "longrope":
        for length in ("long", "short"):
            factors = np.array(rope[f"{length}_factor"], np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)


def _add_tokens(writer: gguf.GGUFWriter, size: int) -> None:
    tokens = [*_byte_letters(), *MARKS]
    tokens += [f"<|unused_{i}|>" for i in range(size - len(tokens) - len(MERGED))]
    kinds = [gguf.TokenType.NORMAL] * 256 + [gguf.TokenType.CONTROL] * (len(tokens) - 256)
    kinds += [gguf.TokenType.NORMAL] * len(MERGED)
    tokens += MERGED
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["h e", "t he"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(256)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte, in its order."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(len(others))]
