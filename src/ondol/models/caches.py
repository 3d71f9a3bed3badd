"""The KV cache of a model: as what its keys and values may be kept, and the bytes that takes.

Reads headers only; ``memory`` has the arithmetic. A type that does not fit the model's heads falls
back to 16 bits, because llama.cpp would refuse to start with it. Raises ``ValueError`` for a type
that nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass

from ondol.models.gguf import GgufHeader
from ondol.models.gguf_reader import TENSOR_TYPES
from ondol.models.memory import memory_need

PLAIN = "f16"
_BLOCKS = {name.lower(): block for name, block, _ in TENSOR_TYPES.values()}


@dataclass(frozen=True, slots=True)
class KvCache:
    """What a process keeps of the prompts it has read: ``bytes`` in all its slots together, as
    ``type``."""

    bytes: int
    type: str


def usable(header: GgufHeader, wanted: str) -> str:
    """``wanted``, or ``PLAIN`` where a head's keys or values are no whole number of its blocks."""
    if wanted not in _BLOCKS:
        raise ValueError(f"unknown cache type {wanted!r}")
    block = _BLOCKS[wanted]
    widths = header.key_length or 0, header.value_length or 0
    return PLAIN if any(width % block for width in widths) else wanted


def needs_flash_attention(cache_type: str) -> bool:
    """Whether values of this type can be read by llama.cpp's flash attention only."""
    return _BLOCKS.get(cache_type, 1) > 1


def cache_of(header: GgufHeader, num_ctx: int, num_parallel: int, cache_type: str) -> KvCache:
    """The cache of ``num_parallel`` slots with ``num_ctx`` tokens each."""
    kind = usable(header, cache_type or PLAIN)
    need = memory_need(header, num_ctx, num_parallel=num_parallel, cache_type=kind)
    return KvCache(need.kv_cache_bytes, kind)
