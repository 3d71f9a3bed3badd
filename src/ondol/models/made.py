"""Models made from others: the same weights with a system message, options and examples of their
own, which are defaults under what a request says.

The options are those of Ollama's Modelfile (docs/modelfile.mdx), in its words. Raises
``UsageError`` for what a person writes, ``ValueError`` for what a manifest holds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ondol.errors import ModelError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.models.adapters import AdapterStore
    from ondol.models.manifest import Model, ModelFile
    from ondol.models.store import ModelStore

WHOLE_NUMBERS = ("num_ctx", "num_predict", "top_k", "repeat_last_n", "seed")
NUMBERS = (
    "temperature top_p min_p typical_p repeat_penalty presence_penalty frequency_penalty"
).split()
TEXTS = ("stop",)
# What a Modelfile may also hold and no answer depends on: how a machine is used is for Ondol's
# settings, and the others are gone from Ollama too.
IDLE = (
    "num_keep num_batch num_gpu main_gpu use_mmap num_thread draft_num_predict num_gqa low_vram "
    "f16_kv logits_all vocab_only use_mlock numa penalize_newline mirostat mirostat_tau "
    "mirostat_eta tfs_z rope_frequency_base rope_frequency_scale"
).split()
ROLES = ("system", "user", "assistant")
MOST_CONTEXT = 1_048_576
# Each is looked for with every token.
MOST_STOPS = 256
LONGEST_STOP = 1024

PACK = "pack"
"""The role of the file that says which pack made a model (``ondol.updating.packs``)."""


@dataclass(frozen=True, slots=True)
class Made:
    """What is laid over weights. ``parent`` is the name of the model that they were taken from,
    ``adapter`` that of the adapter which is switched on, ``messages`` pairs of role and text that
    stand before every conversation."""

    parent: str = ""
    system: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    messages: tuple[tuple[str, str], ...] = ()
    adapter: str = ""


def from_fields(fields: Any) -> Made | None:
    """What a manifest says; ValueError unless it is what it must be."""
    if fields is None:
        return None
    try:
        made = Made(**fields)
        messages = tuple((str(role), str(text)) for role, text in made.messages)
        texts = (made.parent, made.system, made.adapter)
        if not all(isinstance(text, str) for text in texts) or any(
            role not in ROLES for role, _ in messages
        ):
            raise ValueError("made")
        known, _ = parameters_of(made.parameters)
        return Made(made.parent, made.system, known, messages, made.adapter)
    except (TypeError, AttributeError, UsageError) as error:
        raise ValueError("made") from error


def parameters_of(given: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The options that ``given`` names, as numbers and lists of texts, and those that change
    nothing here."""
    known: dict[str, Any] = {}
    for name, value in given.items():
        if name in WHOLE_NUMBERS:
            known[name] = int(_number(name, value, whole=True))
        elif name in NUMBERS:
            known[name] = _number(name, value)
        elif name in TEXTS:
            known[name] = _texts(name, value)
        elif name not in IDLE:
            told = t("making.unknown_parameter", name=str(name)[:60])
            raise UsageError(told, param="parameters")
    if not 0 < known.get("num_ctx", 1) <= MOST_CONTEXT:
        raise _bad("num_ctx", known["num_ctx"])
    return known, tuple(name for name in given if name in IDLE)


def _number(name: str, value: Any, *, whole: bool = False) -> float:
    try:
        number = float(value[0] if isinstance(value, list) and len(value) == 1 else value)
    except (TypeError, ValueError, OverflowError):
        raise _bad(name, value) from None
    is_whole = math.isfinite(number) and number == int(number)
    if isinstance(value, bool) or not abs(number) < 2**31 or (whole and not is_whole):
        raise _bad(name, value)
    return number


def _texts(name: str, value: Any) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(one, str) for one in texts):
        raise _bad(name, value)
    return [one for one in texts if one]


def _bad(name: str, value: Any) -> UsageError:
    told = t("making.bad_parameter", name=name, value=str(value)[:60])
    return UsageError(told, param="parameters")


def served_by(model: Model, store: ModelStore, adapters: AdapterStore) -> Model:
    """The model whose process answers for ``model``: the one that it was made from, as long as
    that is here with the same weights; else itself. One with adapters of its own has its own."""
    if model.made is None or any(not one.shipped for one in adapters.list(model.name)):
        return model
    try:
        parent = store.get(model.made.parent) if model.made.parent else model
    except (ModelError, UsageError):
        return model
    if parent.name == model.name or _loaded(parent) != _loaded(model):
        return model
    return served_by(parent, store, adapters)


def copied(model: Model) -> dict[str, Any]:
    """What changes in a copy of ``model``: one of a pack has what the pack gave it, and is none."""
    files = tuple(file for file in model.files if file.role != PACK)
    return {} if files == model.files else {"files": files}


def _loaded(model: Model) -> tuple[ModelFile, ...]:
    """What a process loads of ``model``; its glossary, say, is none of that."""
    return tuple(file for file in model.files if file.role in ("weights", "projector"))
