"""A projector made by hand: LLaVA's kind (two layers of perceptrons), tiny and random, for a
language model of 576 dimensions. What it makes a model see is noise; that it sees is what tests
look at.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

WIDTH, DEPTH, HEADS, PATCH, IMAGE = 32, 2, 2, 16, 64


def write_projector(target: Path, *, embedding_length: int = 576, seed: int = 1) -> Path:
    """``target``, a GGUF that llama.cpp loads as ``--mmproj``."""
    import gguf

    random = np.random.default_rng(seed)

    def weights(*shape: int) -> np.ndarray:
        return random.normal(0, 0.05, shape).astype(np.float32)

    writer = gguf.GGUFWriter(target, arch="clip")
    writer.add_type("mmproj")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.use_gelu", True)
    for name, number in {
        "image_size": IMAGE,
        "patch_size": PATCH,
        "embedding_length": WIDTH,
        "feed_forward_length": 2 * WIDTH,
        "projection_dim": embedding_length,
        "block_count": DEPTH,
        "attention.head_count": HEADS,
    }.items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.5, 0.5, 0.5])
    writer.add_array("clip.vision.image_std", [0.5, 0.5, 0.5])
    tensors = {
        "v.patch_embd.weight": weights(WIDTH, 3, PATCH, PATCH),
        "v.patch_embd.bias": weights(WIDTH),
        "v.class_embd": weights(WIDTH),
        "v.position_embd.weight": weights((IMAGE // PATCH) ** 2 + 1, WIDTH),
        "v.pre_ln.weight": weights(WIDTH),
        "v.pre_ln.bias": weights(WIDTH),
        "v.post_ln.weight": weights(WIDTH),
        "v.post_ln.bias": weights(WIDTH),
        "mm.0.weight": weights(embedding_length, WIDTH),
        "mm.0.bias": weights(embedding_length),
        "mm.2.weight": weights(embedding_length, embedding_length),
        "mm.2.bias": weights(embedding_length),
    }
    for layer in range(DEPTH):
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            tensors[f"v.blk.{layer}.{name}.weight"] = weights(WIDTH, WIDTH)
            tensors[f"v.blk.{layer}.{name}.bias"] = weights(WIDTH)
        for name in ("ln1", "ln2"):
            tensors[f"v.blk.{layer}.{name}.weight"] = weights(WIDTH)
            tensors[f"v.blk.{layer}.{name}.bias"] = weights(WIDTH)
        tensors[f"v.blk.{layer}.ffn_up.weight"] = weights(2 * WIDTH, WIDTH)
        tensors[f"v.blk.{layer}.ffn_up.bias"] = weights(2 * WIDTH)
        tensors[f"v.blk.{layer}.ffn_down.weight"] = weights(WIDTH, 2 * WIDTH)
        tensors[f"v.blk.{layer}.ffn_down.bias"] = weights(WIDTH)
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
