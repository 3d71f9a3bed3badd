"""How a model is asked: with which adapters, about documents in which layout and with how many
sentences.

About documents always without sampling, so that an answer can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol import callers
from ondol.ask import Manner
from ondol.config import Config
from ondol.errors import DocumentError, LockedError, StorageError
from ondol.models.scales import full_name
from ondol.prompt import ABSTENTION_OPENS, GROUNDING, GROUNDING_MARGIN, GROUNDING_QUOTES
from ondol.types import GenerateOptions, Task

if TYPE_CHECKING:
    from ondol.models.activations import Activations
    from ondol.models.adapters import Adapter
    from ondol.models.scales import Scaled
    from ondol.models.store import Model

TINY_PARAMETERS = 500_000_000
# A chat model below this rewrites a question into another one as often as not.
REWRITING_PARAMETERS = 3_000_000_000


def active(model: Model, task: Task, activations: Callable[[], Activations]) -> Mapping[str, float]:
    """The adapters, with their scales, that answer where only ``model`` is named: none for one
    that was made with a manner of its own, none while nobody can read which were activated, and
    none for a program that may not read all that its owner wrote: an adapter has learned from it.
    """
    if model.made is not None or callers.current().collections is not None:
        return {}
    with suppress(LockedError, StorageError, DocumentError):
        return activations().active(model.name, task)
    return {}


def in_chat(model: Model, scales: Mapping[str, float], here: Sequence[Adapter]) -> Manner:
    """How ``model`` replies in a chat, with adapters at these scales, which are among ``here``."""
    name = full_name(model.name, scales)
    options = GenerateOptions(adapters=dict(scales))
    return Manner(options, model=name, is_personal=_is_personal(model, scales, here))


def _is_personal(model: Model, scales: Mapping[str, float], here: Sequence[Adapter]) -> bool:
    """Whether one of them has learned from its owner's own words: neither came with Ondol, nor
    learned how documents are answered from, whose sentences have labels of their own."""
    if not scales and model.made is not None:
        # What its process switches on where a request says nothing.
        scales = {model.made.adapter: 1.0}
    return any(
        scales.get(one.name) and not one.shipped and (one.private or not one.template)
        for one in here
    )


def choose(
    config: Config,
    model: Model,
    named: Scaled,
    usable: Sequence[Adapter],
    knows_layout: Callable[[Adapter], bool],
    active: Mapping[str, float],
) -> Manner:
    """How ``model`` is asked; ``named`` are the adapters asked for by its full name, ``active``
    those that were activated for documents.

    Without any of them, one with the adapter of ``answer.adapter`` (among the ``usable``) is asked
    with that: what was activated was measured beside it, and counts as long as it is the same. With
    an adapter that knows it, the layout is the one that the adapter was trained in; one that says
    it was trained with another is switched on only for who names it. A tiny model without is given
    only the quotes shown: each further sentence has to be read before the first word, and more of
    them made no measurable difference to what it gets right (see benchmarks/answers/ablations.py).
    Its first line is its answer; it repeats itself after.
    """
    options = GenerateOptions(max_tokens=config["answer.max_tokens"], temperature=0.0)
    scales = {adapter.name: scale for adapter, scale in named}
    if not named:
        scales = _unnamed(config["answer.adapter"], usable, knows_layout, active)
    name = full_name(model.name, scales)
    options = replace(options, adapters=scales)
    here = [adapter for adapter, _ in named] or [a for a in usable if a.name in scales]
    personal = _is_personal(model, scales, here or usable)
    adapter = next((a for a in here if scales[a.name] and knows_layout(a)), None)
    if adapter is not None:
        bias = {ABSTENTION_OPENS: adapter.abstention_bias} if adapter.abstention_bias else {}
        options = replace(options, stop=("\n",), logit_bias=bias)
        return Manner(
            options,
            GROUNDING_QUOTES,
            GROUNDING,
            name,
            is_personal=personal,
            margin=GROUNDING_MARGIN,
        )
    if model.parameters and model.parameters < TINY_PARAMETERS:
        options = replace(options, stop=("\n",))
        quotes = int(config["retrieval.quotes"])
        return Manner(options, max_quotes=quotes, model=name, is_personal=personal)
    rewrites = (model.parameters or 0) >= REWRITING_PARAMETERS
    return Manner(options, model=name, rewrites=rewrites, is_personal=personal)


def _unnamed(
    wanted: str,
    usable: Sequence[Adapter],
    knows_layout: Callable[[Adapter], bool],
    active: Mapping[str, float],
) -> dict[str, float]:
    """The scales where only the model is named; none where the owner wants none."""
    if not wanted:
        return {}
    # One on trial answers only whoever names it.
    usual = next((a for a in usable if a.name == wanted and not a.is_candidate), None)
    if usual and usual.template and not knows_layout(usual):
        usual = None
    if active and (usual is None or usual.name in active):
        return dict(active)
    return {usual.name: 1.0} if usual else {}
