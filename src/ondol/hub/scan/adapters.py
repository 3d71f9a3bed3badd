"""Adapters: pairs of factors whose ranks agree with each other, with their configuration, and with
the weights that they are for, where those are here. Raises ``Refused``, ``InvalidModelError``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isfinite
from typing import Any

from ondol.hub.scan.refused import Refused
from ondol.hub.scan.safetensors import Tensor
from ondol.hub.scan.texts import MAX_ALPHA, MAX_RANK
from ondol.models.adapter_fit import fit_of
from ondol.models.gguf import GgufHeader
from ondol.models.gguf_reader import shown

_FACTOR = re.compile(r"(.+)\.lora_(?:embedding_)?([AB])(?:\.[\w-]+)?(?:\.weight)?")

Facts = dict[str, Any]


def of_gguf(header: GgufHeader, bases: Sequence[GgufHeader], name: str) -> Facts:
    """The rank and strength of the adapter that ``header`` describes."""
    alpha = header.metadata.get("adapter.lora.alpha", 0.0)
    if header.text("adapter.type") != "lora" or not isinstance(alpha, int | float):
        raise Refused("not_an_adapter")
    if not isfinite(alpha) or not 0 <= alpha <= MAX_ALPHA:
        raise Refused("bad_number", field="adapter.lora.alpha", least=0, most=int(MAX_ALPHA))
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    ranks = set()
    for factor, a in shapes.items():
        target = factor.removesuffix(".lora_a")
        b = shapes.get(f"{target}.lora_b")
        if factor.endswith(".lora_b") and f"{factor.removesuffix('b')}a" in shapes:
            continue
        if target == factor or b is None or not 2 <= len(a) == len(b):
            raise Refused("bad_pair", tensor=shown(factor))
        # The embedding's first factor is transposed: llama.cpp looks its rows up.
        rank = a[0] if target == "token_embd.weight" else a[1]
        if rank != b[0] or a[2:] != b[2:] or not 0 < rank <= MAX_RANK:
            raise Refused("bad_pair", tensor=shown(factor))
        ranks.add(rank)
    if bases:
        fit_of(header, bases, name, shown(bases[0].text("general.name") or "base"))
    return {"r": max(ranks), "lora_alpha": float(alpha or max(ranks))}


def of_safetensors(tensors: Sequence[Tensor]) -> Facts:
    """The ranks of an adapter of PEFT's; nothing of a file that is none."""
    pairs: dict[str, dict[str, Tensor]] = {}
    others = 0
    for one in tensors:
        factor = _FACTOR.fullmatch(one.name)
        if factor:
            pairs.setdefault(factor[1], {})[factor[2]] = one
        others += not factor
    ranks = set()
    for name, pair in pairs.items():
        if pair.keys() != {"A", "B"}:
            raise Refused("bad_pair", tensor=shown(name))
        a, b = pair["A"], pair["B"]
        # PEFT: A is (r, in), B is (out, r).
        if len(a.shape) < 2 or len(b.shape) != len(a.shape) or a.shape[0] != b.shape[1]:
            raise Refused("bad_pair", tensor=shown(name))
        if not 0 < a.shape[0] <= MAX_RANK:
            raise Refused("bad_pair", tensor=shown(name))
        ranks.add(a.shape[0])
    return {"ranks": sorted(ranks)} if pairs else {}
