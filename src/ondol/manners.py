"""How a model is asked about documents: its adapter, its layout, how many sentences it is given.

Always without sampling, so that an answer can be had again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol.ask import Manner
from ondol.config import Config
from ondol.prompt import ABSTENTION_OPENS, GROUNDING, GROUNDING_QUOTES
from ondol.types import GenerateOptions

if TYPE_CHECKING:
    from ondol.models.adapters import Adapter
    from ondol.models.store import Model

TINY_PARAMETERS = 500_000_000
# A chat model below this rewrites a question into another one as often as not.
REWRITING_PARAMETERS = 3_000_000_000


def choose(
    config: Config,
    model: Model,
    adapter: Adapter | None,
    usable: Sequence[Adapter],
    knows_layout: Callable[[Adapter], bool],
) -> Manner:
    """How ``model`` is asked; ``adapter`` is the one asked for by its full name.

    One with the adapter of ``answer.adapter`` (among the ``usable``), or asked for with one, is
    asked in the layout that the adapter was trained in. An adapter that says it was trained with
    another one is switched on only for who names it. A tiny model without is given only the quotes
    shown: each further sentence has to be read before the first word, and more of them made no
    measurable difference to what it gets right (see benchmarks/answers/ablations.py). Its first
    line is its answer; it repeats itself after.
    """
    options = GenerateOptions(max_tokens=config["answer.max_tokens"], temperature=0.0)
    wanted = config["answer.adapter"]
    if adapter is None and wanted:
        adapter = next((a for a in usable if a.name == wanted), None)
        if adapter and adapter.template and not knows_layout(adapter):
            adapter = None
    name = adapter.full_name if adapter else model.name
    if adapter is not None:
        options = replace(options, adapters={adapter.name: 1.0})
    if adapter is not None and knows_layout(adapter):
        bias = {ABSTENTION_OPENS: adapter.abstention_bias} if adapter.abstention_bias else {}
        options = replace(options, stop=("\n",), logit_bias=bias)
        return Manner(options, GROUNDING_QUOTES, GROUNDING, name)
    if model.parameters and model.parameters < TINY_PARAMETERS:
        options = replace(options, stop=("\n",))
        return Manner(options, max_quotes=int(config["retrieval.quotes"]), model=name)
    rewrites = (model.parameters or 0) >= REWRITING_PARAMETERS
    return Manner(options, model=name, rewrites=rewrites)
