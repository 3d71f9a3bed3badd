"""Adapters whose halves do not fit each other, their configuration, or any model."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator

from ondol.lab.redteam.releases.makers import (
    F64,
    I32,
    STRING,
    U32,
    Case,
    adapter,
    entry,
    factors,
    one,
)

A, B = "base_model.model.q_proj.lora_A.weight", "base_model.model.q_proj.lora_B.weight"
CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 8, "base_model_name_or_path": "tiny"}
Q = "blk.0.attn_q.weight"


def cases() -> Iterator[Case]:
    halves: dict[str, dict[str, tuple[tuple[int, ...], tuple[int, ...]]]] = {
        "no-b": {Q: ((8, 2), ())},
        "no-a": {Q: ((), (2, 8))},
        "ranks-differ": {Q: ((8, 2), (3, 8))},
        "flat": {Q: ((8,), (8,))},
        "one-flat": {Q: ((8, 2), (16,))},
        "stacks-differ": {Q: ((8, 2, 2), (2, 8, 1))},
        "one-of-two": {Q: ((8, 2), (2, 8)), "blk.0.attn_v.weight": ((8, 2), ())},
        "rank": {Q: ((1, 4097), (4097, 1))},
        "embedding": {"token_embd.weight": ((8, 2), (2, 8))},
    }
    for name, pairs in halves.items():
        yield one(f"gguf-{name}", "adapter.gguf", adapter(pairs), "bad_pair")
    for name, alpha, code in (
        ("nan", float("nan"), 6),
        ("inf", float("inf"), 6),
        ("negative", -8.0, 6),
        ("large", 1e30, F64),
        ("text", "8", STRING),
        ("below", -1, I32),
    ):
        yield one(f"alpha-{name}", "adapter.gguf", adapter(alpha=alpha, alpha_code=code))
    for kind in ("", "loha", "control_vector", "alora"):
        file = adapter(kind=kind)
        yield one(f"type-{kind or 'none'}", "adapter.gguf", file, "not_an_adapter")
    nan = struct.pack("<f", float("nan"))
    yield one("gguf-nan", "adapter.gguf", adapter(fill=nan), "not_finite")
    yield one("gguf-behind", "adapter.gguf", adapter() + bytes(64), "trailing")
    more = entry("general.alignment", U32, 0)
    yield one("gguf-alignment", "adapter.gguf", adapter(more=[more]), "malformed")
    factored: dict[str, dict[str, tuple[int, ...]]] = {
        "no-b": {A: (2, 8)},
        "no-a": {B: (8, 2)},
        "ranks-differ": {A: (2, 8), B: (8, 3)},
        "flat": {A: (8,), B: (8,)},
        "rank": {A: (4097, 1), B: (1, 4097)},
        "zero": {A: (0, 8), B: (8, 0)},
    }
    for name, shapes in factored.items():
        yield one(f"peft-{name}", "adapter_model.safetensors", factors(shapes), "bad_pair")
    good = factors({A: (2, 8), B: (8, 2)})
    yield one("peft-nan", "adapter_model.safetensors", factors({A: (2, 8), B: (8, 2)}, nan))
    for name, changed, found in (
        ("rank", {"r": 3}, "bad_rank"),
        ("rank-0", {"r": 0}, "bad_number"),
        ("rank-text", {"r": "2"}, "bad_number"),
        ("rank-huge", {"r": 2**40}, "bad_number"),
        ("alpha-0", {"lora_alpha": 0}, "bad_number"),
        ("alpha-inf", {"lora_alpha": float("inf")}, "bad_number"),
        ("alpha-nan", {"lora_alpha": float("nan")}, "bad_number"),
        ("pattern", {"rank_pattern": {"q": -1}}, "bad_number"),
        ("kind", {"peft_type": "PROMPT_TUNING"}, "bad_adapter_config"),
        ("library", {"auto_mapping": {"parent_library": "evil.module"}}, "remote_code"),
        ("megatron", {"megatron_config": {"a": 1}, "megatron_core": "evil"}, "remote_code"),
        ("code", {"auto_map": {"AutoModel": "evil.Model"}}, "remote_code"),
    ):
        config = json.dumps(CONFIG | changed).encode()
        files = {"adapter_config.json": config, "adapter_model.safetensors": good}
        yield Case(f"config-{name}", files, "", frozenset((found,)))
