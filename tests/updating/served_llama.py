"""A llama of one layer with random weights, as a GGUF that the real engine loads and talks with.

Written with gguf and numpy alone, so that no test of updates needs the training extra.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

HIDDEN, WIDE, HEADS, WINDOW = 64, 128, 2, 256
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
MERGED = ("he", "the")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_llama(file: Path, seed: int = 0, *, name: str = "tiny") -> Path:
    """Write the file; another ``seed`` is another model."""
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(str(file), "llama")
    tokens = _described(writer, name)

    def add(tensor: str, *shape: int, one: bool = False) -> None:
        values = random.normal(0, 0.1, shape) + (1.0 if one else 0.0)
        writer.add_tensor(tensor, values.astype(np.float32))

    add("token_embd.weight", len(tokens), HIDDEN)
    add("output.weight", len(tokens), HIDDEN)
    add("output_norm.weight", HIDDEN, one=True)
    for matrix in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{matrix}.weight", HIDDEN, HIDDEN)
    add("blk.0.ffn_gate.weight", WIDE, HIDDEN)
    add("blk.0.ffn_up.weight", WIDE, HIDDEN)
    add("blk.0.ffn_down.weight", HIDDEN, WIDE)
    add("blk.0.attn_norm.weight", HIDDEN, one=True)
    add("blk.0.ffn_norm.weight", HIDDEN, one=True)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _described(writer: gguf.GGUFWriter, name: str) -> list[str]:
    """What its header says; the tokens."""
    tokens = [*_byte_letters(), *MARKS, *MERGED]
    writer.add_name(name)
    writer.add_context_length(WINDOW)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_token_types([normal] * 256 + [control] * len(MARKS) + [normal] * len(MERGED))
    writer.add_token_merges(["h e", "t he"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(258)
    writer.add_pad_token_id(256)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    return tokens


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte, in its order (Radford et al. 2019)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + n) for n in range(len(others))]
