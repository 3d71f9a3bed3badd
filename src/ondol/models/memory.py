"""How much memory a model needs, from its header alone.

need = weights + KV cache + overhead, for llama.cpp's server in a child process. The overhead is
what the engine allocates, item by item; ``benchmarks/memory`` holds each figure against a real
process. Knows nothing of what the machine has. Raises ``ValueError`` for an unknown cache type.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from ondol.models.gguf import GgufHeader
from ondol.models.gguf_reader import TENSOR_TYPES, Elided

MIB = 2**20
RUNTIME_BYTES = 33 * MIB  # the interpreter with the engine's library (24) and an idle server (9)
TOKEN_BYTES = 222  # a vocabulary entry: three strings, a hash node, and their heap blocks
MERGE_BYTES = 203  # a BPE merge: a pair of strings in a hash node
CACHE_ROW_TOKENS = 256  # llama.cpp rounds each request's share of the cache up to this
UBATCH_TOKENS = 512  # tokens computed at once while a prompt is read
FLOAT_BYTES = 4
MASK_BYTES = 2

# Types the CPU backend copies into an interleaved layout when it loads a matrix.
_REPACKED = ("Q4_0", "Q4_K", "IQ4_NL", "MXFP4")

# One layer in this many sees the whole context, the others a window; the file does not say.
_GLOBAL_EVERY = {
    **{"gemma2": 2, "gemma3": 6, "gemma3n": 5, "gemma-embedding": 6, "gpt-oss": 2},
    **{"cohere2": 4, "llama4": 4, "exaone4": 4, "olmo2": 4, "smallthinker": 4},
}

_BLOCK_BYTES = {name.lower(): size / block for name, block, size in TENSOR_TYPES.values()}


@dataclass(frozen=True, slots=True)
class MemoryNeed:
    """Bytes that must be free for a model to run; ``total_bytes`` is the sum of the first three.

    ``reclaimable_bytes`` are file pages that stay mapped next to their repacked copy: they show
    in the process's RSS, but the kernel drops them when anybody needs the room.
    """

    weights_bytes: int
    kv_cache_bytes: int
    overhead_bytes: int
    reclaimable_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_cache_bytes + self.overhead_bytes

    @property
    def rss_bytes(self) -> int:
        """The resident set after a prompt of at least ``UBATCH_TOKENS`` tokens."""
        return self.total_bytes + self.reclaimable_bytes


def memory_need(
    header: GgufHeader,
    num_ctx: int,
    *,
    num_parallel: int = 1,
    cache_type: str = "f16",
    kv_unified: bool = False,
    prompt_cache_bytes: int = 0,
) -> MemoryNeed:
    """What ``header``'s model needs when each of ``num_parallel`` requests may use ``num_ctx``.

    With ``kv_unified`` the requests share ``num_ctx`` tokens instead. ``prompt_cache_bytes`` is
    the cap on prompts the server keeps in RAM after use (llama.cpp's ``--cache-ram``).
    """
    slot_tokens = round_up(num_ctx, CACHE_ROW_TOKENS)
    num_caches = 1 if kv_unified else num_parallel
    cache = _cache_bytes(header, slot_tokens, num_caches, cache_type.lower())
    overhead = (
        RUNTIME_BYTES
        + _tokenizer_bytes(header)
        + _compute_bytes(header, slot_tokens, quantized=cache_type.lower()[0] in "qi")
        + _output_bytes(header, num_parallel)
        + prompt_cache_bytes
    )
    weights = sum(tensor.size_bytes for tensor in header.tensors)
    return MemoryNeed(weights, cache, overhead, _repacked_bytes(header))


def guess_need(
    *,
    size_bytes: int,
    parameters: int,
    num_ctx: int,
    layers: int | None = None,
    kv_heads: int | None = None,
    head_dim: int | None = None,
) -> MemoryNeed:
    """The same for a model whose file is not here yet; errs on the large side."""
    if layers and kv_heads and head_dim:
        token_bytes = layers * kv_heads * head_dim * 2 * 2
    else:
        # Above every common dense family from 0.1B to 70B without sliding windows.
        token_bytes = int(2.4 * sqrt(max(parameters, 0)))
    width = sqrt(max(parameters, 0) / (12 * (layers or 32)))
    # Feed-forward layers are up to four times as wide as the model: 3 × 4 + 5 rows alive at once.
    compute = UBATCH_TOKENS * FLOAT_BYTES * 17 * width + num_ctx * UBATCH_TOKENS * MASK_BYTES
    tokenizer = 150_000 * (TOKEN_BYTES + MERGE_BYTES)
    overhead = RUNTIME_BYTES + tokenizer + int(compute)
    return MemoryNeed(size_bytes, token_bytes * round_up(num_ctx, CACHE_ROW_TOKENS), overhead)


def round_up(count: int, multiple: int) -> int:
    return -(-max(count, 1) // multiple) * multiple


def _cache_bytes(header: GgufHeader, slot_tokens: int, num_caches: int, cache_type: str) -> int:
    """Keys and values of every token, in every layer that attends, plus recurrent state."""
    if cache_type not in _BLOCK_BYTES:
        raise ValueError(f"unknown cache type {cache_type!r}")
    if header.is_embedding and header.number("pooling_type") is None:
        return 0
    width = (header.key_length or 0) + (header.value_length or 0)
    heads = header.per_layer("attention.head_count_kv") or (header.head_count_kv or 0,) * (
        header.block_count or 0
    )
    every = header.number("full_attention_interval") or 1
    attending = heads[every - 1 :: every]
    windows = _windows(header, len(attending))
    tokens = sum(
        heads_here * (min(slot_tokens, window) if window else slot_tokens)
        for heads_here, window in zip(attending, windows, strict=True)
    )
    state = (len(heads) - sum(1 for h in attending if h)) * _state_bytes(header)
    return num_caches * (int(tokens * width * _BLOCK_BYTES[cache_type]) + state)


def _windows(header: GgufHeader, layers: int) -> list[int]:
    """For each layer the tokens its cache holds when that is less than all, else 0."""
    window = header.number("attention.sliding_window") or 0
    pattern = header.metadata.get(f"{header.architecture}.attention.sliding_window_pattern")
    every = pattern if isinstance(pattern, int) else _GLOBAL_EVERY.get(header.architecture, 0)
    held = round_up(window + UBATCH_TOKENS, CACHE_ROW_TOKENS) if window else 0
    if isinstance(pattern, tuple) and len(pattern) >= layers:
        return [held if local else 0 for local in pattern[:layers]]
    return [held if every and (index + 1) % every else 0 for index in range(layers)]


def _state_bytes(header: GgufHeader) -> int:
    """One request's state in one recurrent (state-space) layer."""
    inner, state = header.number("ssm.inner_size") or 0, header.number("ssm.state_size") or 0
    kernel, groups = header.number("ssm.conv_kernel") or 1, header.number("ssm.group_count") or 1
    return FLOAT_BYTES * (inner * state + (kernel - 1) * (inner + 2 * groups * state))


def _tokenizer_bytes(header: GgufHeader) -> int:
    merges = header.metadata.get("tokenizer.ggml.merges")
    num_merges = merges.count if isinstance(merges, Elided) else 0
    return (header.vocabulary_size or 0) * TOKEN_BYTES + num_merges * MERGE_BYTES


def _compute_bytes(header: GgufHeader, slot_tokens: int, *, quantized: bool) -> int:
    """Activations alive at the widest point of a layer, for one micro-batch, and its mask.

    In the feed-forward: gate, up and their product, with five rows of the residual stream; in
    attention: queries before and after rotation, and the result. With flash attention no score
    matrix exists.
    """
    embedding = header.embedding_length or 0
    queries = (header.head_count or 0) * (header.key_length or 0)
    hidden, routed = _hidden_widths(header)
    live = max(3 * hidden + (5 + routed) * embedding, 3 * queries + embedding)
    if quantized:
        live += 2 * queries
    batch = min(UBATCH_TOKENS, slot_tokens)
    quantized_input = batch * max(hidden, embedding, queries)
    return batch * (live * FLOAT_BYTES + slot_tokens * MASK_BYTES) + quantized_input


def _hidden_widths(header: GgufHeader) -> tuple[int, int]:
    """The feed-forward's width for one token, and how many experts' results are summed."""
    dense = max(header.per_layer("feed_forward_length") or (0,))
    used = header.number("expert_used_count") or 0
    if not used:
        return dense, 0
    expert = header.number("expert_feed_forward_length") or dense
    shared = header.number("expert_shared_feed_forward_length") or 0
    return max(dense, used * expert + shared), used


def _output_bytes(header: GgufHeader, num_parallel: int) -> int:
    """Each request's logits and the sampler's list of candidates (a token is 12 bytes)."""
    return num_parallel * (header.vocabulary_size or 0) * (FLOAT_BYTES + 12)


def _repacked_bytes(header: GgufHeader) -> int:
    return sum(
        tensor.size_bytes
        for tensor in header.tensors
        if tensor.type in _REPACKED
        and len(tensor.shape) > 1
        and tensor.shape[1] % 8 == 0
        and not tensor.name.startswith("token_embd")
    )
