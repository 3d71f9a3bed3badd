"""What a tuning finds around it: a model that can be tuned, what computes, and what else is worth
trying on this machine. Raises ``UsageError`` and ``ModelNotFoundError``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models import tuned
from ondol.models.hardware import Machine
from ondol.models.made import served_by

if TYPE_CHECKING:
    from ondol.models.store import Model
    from ondol.parts import Parts

BUSY = 0.5
"""Others' share of the processor above which figures are rough."""


def tunable(parts: Parts, name: str) -> Model:
    """The installed chat model ``name``, of one file; of one that was made from another, that one,
    which answers for it."""
    parts.adapters.refuse(name, "tune")
    model = served_by(parts.store.get(name), parts.store, parts.adapters)
    if model.kind != "chat" or tuned.only_weights(model) is None:
        raise UsageError(t("tune.not_tunable", name=model.name), t("tune.not_tunable_hint"))
    return model


def running_variants(machine: Machine) -> Sequence[Mapping[str, int | str]]:
    """What is tried beside what the runtime does by itself: fewer threads, more for prompts where
    cores have two, smaller batches, attention the other way."""
    found: list[dict[str, int | str]] = []
    if machine.physical_cores > 1:
        found.append(
            {"threads": machine.physical_cores - 1, "batch_threads": machine.physical_cores}
        )
    if machine.cores > machine.physical_cores:
        found.append({"batch_threads": machine.cores})
    return (*found, {"ubatch_tokens": 128}, {"ubatch_tokens": 256}, {"flash_attention": "off"})


def engine_name(parts: Parts) -> str:
    """What computes: the native engine that serves, or the bundled one with its version."""
    from importlib.metadata import version

    from ondol.engine.native import records
    from ondol.engine.runtime import AUTO, resolve

    runtime = parts.config["engine.runtime"]
    native = records.serving() if runtime == AUTO else None
    if native is not None:
        return native.name
    binary = resolve(runtime)
    return binary.name if binary else f"bundled {version('xllamacpp')}"


def is_busy(here: Machine) -> bool:
    """Whether others use the processor."""
    import psutil

    return bool(psutil.cpu_percent(interval=0.3) > BUSY * 100)


def quantiser(parts: Parts) -> Path | None:
    """The llama-quantize of the native engine that serves."""
    from ondol.engine.native import records

    native = records.serving()
    return native.tool("llama-quantize") if native else None
