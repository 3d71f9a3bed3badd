"""A small chat model in Q4_1, with a row that no block of 32 fits, norms, a router and experts.

What changes the format of weights is tried on it; it answers nothing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize


def write(path: Path) -> Path:
    """The model at ``path``."""
    random = np.random.default_rng(11)
    writer = GGUFWriter(str(path), "llama")
    writer.add_file_type(3)
    writer.add_block_count(1)
    writer.add_context_length(512)
    writer.add_embedding_length(64)
    writer.add_head_count(2)
    writer.add_string("tokenizer.chat_template", "{{ messages }} general.file_type 한국어")
    writer.add_array("tokenizer.ggml.tokens", [f"word{i}" for i in range(64)])

    def add(name: str, *shape: int, kind: str = "Q4_1") -> None:
        values = random.standard_normal(shape).astype(np.float32)
        if kind == "F32":
            writer.add_tensor(name, values)
            return
        raw = GGMLQuantizationType[kind]
        writer.add_tensor(name, quantize(values, raw), raw_dtype=raw)

    add("token_embd.weight", 64, 64, kind="Q8_0")
    add("blk.0.attn_q.weight", 64, 64)
    add("blk.0.ffn_up_exps.weight", 3, 96, 64)
    add("blk.0.ffn_gate_inp.weight", 3, 64, kind="F32")
    add("blk.0.odd.weight", 8, 40, kind="F32")
    add("blk.0.attn_norm.weight", 64, kind="F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
