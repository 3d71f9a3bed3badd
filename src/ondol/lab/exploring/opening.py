"""Processes of one model for the lab alone: as the settings have them, with what is to be tried.

The server's own processes are left as they are. Raises what the pool raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine
    from ondol.engine.settings import EngineSettings, ModelSpec
    from ondol.lab.exploring.determinism import Opened
    from ondol.parts import Parts

NUM_CTX = 2048
LARGEST_VOCABULARY = 2**18


def opened_by(parts: Parts, model: str) -> Opened:
    """How the lab opens ``model``, with its adapters where its name says so. Raises
    ``ModelNotFoundError``."""
    from ondol.engine.settings import EngineSettings
    from ondol.models import scales
    from ondol.models.made import served_by

    found, named = scales.of(parts.adapters, model)
    spec = parts.located.spec(served_by(found, parts.store, parts.adapters).name)
    settings = EngineSettings.from_config(parts.config)
    on = {adapter.name: scale for adapter, scale in named}
    return opened_from(spec, settings, on, parts.located.memory_need)


def opened_from(
    spec: ModelSpec,
    settings: EngineSettings,
    adapters: Mapping[str, float] = MappingProxyType({}),
    memory_need: Callable[[ModelSpec, int], int] | None = None,
) -> Opened:
    """How the lab opens a file that ``spec`` names."""

    @contextmanager
    def opened(changes: Mapping[str, int], parallel: int) -> Iterator[LlamaEngine]:
        from ondol.engine.pool import EnginePool
        from ondol.models.hardware import machine

        changed: dict[str, Any] = dict(changes)
        tried = replace(spec, running=replace(spec.running, **changed))
        with EnginePool(
            replace(settings, num_parallel=parallel, num_ctx=NUM_CTX),
            lambda name: tried,
            memory_need=memory_need,
            available_bytes=lambda: machine().available_ram_bytes,
        ) as pool:
            yield pool.engine(spec.name, adapters=adapters)

    return opened


def vocabulary_of(parts: Parts, model: str) -> int:
    """How many tokens ``model`` knows; more than it does where its file does not say."""
    from ondol.models import scales
    from ondol.models.made import served_by

    found = served_by(scales.of(parts.adapters, model)[0], parts.store, parts.adapters)
    return parts.located.header(parts.store.path(found)).vocabulary_size or LARGEST_VOCABULARY


def threads_of(parts: Parts) -> int:
    """How many threads the settings give an answer."""
    from ondol.engine.runtime import count_threads

    return int(parts.config["engine.threads"]) or count_threads()
