"""A BERT cross-encoder with random weights as a GGUF file: tiny, and real to llama.cpp."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

WIDTH, HIDDEN, LAYERS, HEADS, WINDOW = 32, 64, 2, 2, 128
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,?"


def write_reranker(file: Path, seed: int = 7) -> Path:
    """Write the file; llama.cpp scores pairs with it."""
    random = np.random.default_rng(seed)
    # llama.cpp marks the beginning of a word, where BERT marks the rest of one.
    tokens = [*SPECIAL, *(f"\u2581{letter}" for letter in LETTERS), *LETTERS]
    writer = gguf.GGUFWriter(str(file), "bert")
    _describe(writer, tokens)

    def add(name: str, *shape: int, one: bool = False) -> None:
        values = random.normal(0, 0.3, shape) + (1.0 if one else 0.0)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(tokens), WIDTH)
    add("position_embd.weight", WINDOW, WIDTH)
    add("token_types.weight", 2, WIDTH)
    _norm(add, "token_embd_norm")
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", WIDTH, WIDTH)
            add(f"blk.{layer}.{name}.bias", WIDTH)
        add(f"blk.{layer}.ffn_up.weight", HIDDEN, WIDTH)
        add(f"blk.{layer}.ffn_up.bias", HIDDEN)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, HIDDEN)
        add(f"blk.{layer}.ffn_down.bias", WIDTH)
        _norm(add, f"blk.{layer}.attn_output_norm")
        _norm(add, f"blk.{layer}.layer_output_norm")
    add("cls.weight", WIDTH, WIDTH)
    add("cls.bias", WIDTH)
    add("cls.output.weight", 1, WIDTH)
    add("cls.output.bias", 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _norm(add, name: str) -> None:
    add(f"{name}.weight", WIDTH, one=True)
    add(f"{name}.bias", WIDTH)


def _describe(writer: gguf.GGUFWriter, tokens: list[str]) -> None:
    writer.add_name("random cross-encoder")
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_type_count(2)
    writer.add_token_types([3 if token in SPECIAL else 1 for token in tokens])
    writer.add_unk_token_id(1)
    writer.add_pad_token_id(0)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_eos_token_id(3)
