"""``Running`` in the words of each runtime: the bundled one's fields, a binary's flags.

Runs in the worker. Only what is set is passed on, so that an older binary is asked for nothing that
it may not know. Raises ``ValueError`` for a name that the bundled runtime does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def apply(xllamacpp: Any, params: Any, running: Mapping[str, Any]) -> None:
    """Set the fields of the bundled runtime's ``CommonParams``."""
    if running["batch_threads"]:
        params.cpuparams_batch.n_threads = running["batch_threads"]
    if running["batch_tokens"]:
        params.n_batch = running["batch_tokens"]
    if running["ubatch_tokens"]:
        params.n_ubatch = running["ubatch_tokens"]
    if running["flash_attention"]:
        name = {"on": "ENABLED", "off": "DISABLED"}[running["flash_attention"]]
        params.flash_attn_type = _named(
            xllamacpp.llama_flash_attn_type, f"LLAMA_FLASH_ATTN_TYPE_{name}"
        )
    if running["cache_type"]:
        kind = _named(xllamacpp.ggml_type, f"GGML_TYPE_{running['cache_type'].upper()}")
        params.cache_type_k = params.cache_type_v = kind
    if running["states_folder"]:
        params.slot_save_path = _folder(running["states_folder"])


def flags(running: Mapping[str, Any]) -> dict[str, Any]:
    """The same as llama-server's flags."""
    named = {
        "--threads-batch": running["batch_threads"],
        "--batch-size": running["batch_tokens"],
        "--ubatch-size": running["ubatch_tokens"],
        "--flash-attn": running["flash_attention"],
        "--cache-type-k": running["cache_type"],
        "--cache-type-v": running["cache_type"],
        "--slot-save-path": running["states_folder"] and _folder(running["states_folder"]),
    }
    return {flag: value for flag, value in named.items() if value}


def variables(running: Mapping[str, Any]) -> dict[str, str]:
    """What a binary is told in its environment, which one that knows nothing of it leaves be: with
    flags a binary without Ondol's changes would draft for every request (see native.changes)."""
    told = {
        "ONDOL_ENGINE_DRAFTS": running["draft"],
        "ONDOL_ENGINE_DRAFT_MODEL": running["draft"] and running["draft_model"],
    }
    return {name: value for name, value in told.items() if value}


def _named(kinds: Any, name: str) -> Any:
    if not hasattr(kinds, name):
        raise ValueError(f"{name} is not known to this runtime")
    return getattr(kinds, name)


def _folder(path: str) -> str:
    # llama-server joins the names of states to it as they are.
    return path.rstrip("/") + "/"
