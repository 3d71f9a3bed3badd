"""How long llama-server takes over a prompt and an answer that may not end, by its own clock.

Called by ``LlamaEngine``; raises what the wire raises.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ondol.engine.dialect import llama_extras
from ondol.engine.request import Wire
from ondol.engine.wire import Garbled


def timings(wire: Wire, prompt: Sequence[int], tokens: int, is_anew: bool) -> dict[str, Any]:
    """``prompt_n``, ``prompt_ms``, ``predicted_n``, ``predicted_ms`` and what else it tells."""
    body = llama_extras(wire.options, wire.loaded.adapters) | {
        "prompt": list(prompt),
        "n_predict": tokens + 1,
        "temperature": 0.0,
        "ignore_eos": True,
        "cache_prompt": not is_anew,
    }
    if wire.loaded.sitting is not None:
        body |= wire.loaded.sitting.stay(wire, body)
    told = wire.ask("/completion", body).get("timings")
    if not isinstance(told, dict):
        raise Garbled
    return told
