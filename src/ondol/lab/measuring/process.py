"""A process of its own for what is measured: one model file, one way of running, nothing beside it.

It is the engine that serves, started as it would be for the owner, and ended with the block. Called
by what measures; raises what the pool raises.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.pool import EnginePool
    from ondol.engine.settings import EngineSettings, ModelSpec
    from ondol.parts import Parts


def chatting(parts: Parts, name: str) -> ModelSpec:
    """What is loaded for the chat model ``name``, without the adapters that it may name. Raises
    ``ModelNotFoundError``, and ``UsageError`` for a model that does not chat."""
    from ondol.models import scales
    from ondol.models.made import served_by

    found, _ = scales.of(parts.adapters, name)
    if found.kind != "chat":
        raise UsageError(t("measuring.no_chat_model", name=name), param="model")
    return parts.located.spec(served_by(found, parts.store, parts.adapters).name)


@contextmanager
def alone(spec: ModelSpec, settings: EngineSettings, num_ctx: int) -> Iterator[EnginePool]:
    """A pool that knows only ``spec``, and answers one request at a time."""
    from ondol.engine.pool import EnginePool

    settings = replace(
        settings,
        num_ctx=num_ctx,
        num_parallel=1,
        max_loaded_models=1,
        keep_alive_seconds=math.inf,
    )
    with EnginePool(settings, lambda name: spec) as pool:
        yield pool


def telling_states(spec: ModelSpec) -> ModelSpec:
    """``spec`` as it is loaded to tell what its layers make of every token of a text. Such a text
    is one batch, whatever the batches of those that are served."""
    running = replace(
        spec.running, batch_tokens=0, ubatch_tokens=0, draft="", draft_model="", states_folder=""
    )
    return replace(
        spec, kind="embedding", pooling="none", adapters=(), projector=None, running=running
    )
