"""Whether a training may begin: what could not be adopted in the end is refused before the work,
and so is the second of two trainings at once.

Raises ``TrainingError``, ``UsageError`` for a name or a model, ``InvalidModelError``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote

from ondol import encryption, paths
from ondol.errors import TrainingError, UsageError
from ondol.i18n import t
from ondol.models.adapter_manifest import CANDIDATE, NAME
from ondol.models.gguf import read_header
from ondol.models.locks import hold
from ondol.models.store import Model, ModelStore
from ondol.training import grounding
from ondol.training.architectures import architecture_of
from ondol.training.lora import LoraConfig


def trainings() -> Path:
    """Where each training has a folder of its own: in memory while the library is locked."""
    return encryption.trainings()


def fitted(config: LoraConfig, store: ModelStore, model: Model, name: str) -> LoraConfig:
    """``config`` for as many layers as ``model`` has; raises where no adapter ``name`` of it could
    be written or added."""
    if not NAME.fullmatch(name + CANDIDATE) or name.endswith(CANDIDATE):
        raise UsageError(
            t("adapters.bad_name", name=name), t("adapters.bad_name_hint"), param="name"
        )
    if model.format != "gguf" or model.kind != "chat":
        raise UsageError(t("adapters.no_base", model=model.name), param="model")
    header = read_header(store.path(model), model.name)
    architecture = architecture_of(header.architecture, model.name)
    layers = header.block_count or 0
    config = grounding.fitted(config, layers)
    config = replace(config, target_modules=architecture.fitted(config.target_modules))
    if config.first_layer >= layers:
        reason = f"{layers} layers, all below first_layer {config.first_layer}"
        raise TrainingError(t("training.lora", reason=reason), t("training.lora_hint"))
    return config


def alone(what: str) -> AbstractContextManager[None]:
    """Holds ``what`` against every other training; TrainingError at once where one has it."""

    def refuse() -> NoReturn:
        raise TrainingError(t("training.busy"), t("training.busy_hint"))

    return hold(paths.ensure(trainings()) / f"{quote(what, safe='')}.lock", refuse)
