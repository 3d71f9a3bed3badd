"""What the engine is told: which model, with what settings, and what it reports about itself.

Plain data; knows neither processes nor HTTP. ``EngineSettings.from_config`` raises ``ConfigError``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.engine.keep_alive import parse_keep_alive
from ondol.engine.running import UNTOLD, Running
from ondol.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from ondol.config import Config


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """A GGUF LoRA that fits a model. Another ``digest`` under the same name is another adapter."""

    name: str
    path: Path
    digest: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model file to load. ``size_bytes`` counts its other files and its adapters too;
    ``num_ctx`` is the longest context the model was trained for; ``pooling`` ("mean", "cls",
    "last") overrides what an embedding model's own file says; ``adapters`` are those that its
    requests may ask for, ``projector`` the file through which it sees, ``running`` how its process
    computes."""

    name: str
    path: Path
    digest: str
    size_bytes: int
    kind: str = "chat"
    num_ctx: int | None = None
    pooling: str | None = None
    adapters: tuple[AdapterFile, ...] = ()
    projector: Path | None = None
    running: Running = UNTOLD

    def with_only(self, adapters: tuple[AdapterFile, ...]) -> ModelSpec:
        """The same model without its other adapters."""
        dropped = sum(one.size_bytes for one in self.adapters if one not in adapters)
        return replace(self, adapters=adapters, size_bytes=self.size_bytes - dropped)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """``num_ctx`` is per request; ``threads`` 0 and ``gpu_layers`` -1 let the machine decide;
    ``keep_alive_seconds`` may be ``math.inf``."""

    runtime: str = "bundled"
    num_ctx: int = 4096
    num_parallel: int = 2
    threads: int = 0
    keep_alive_seconds: float = 300.0
    max_loaded_models: int = 3
    max_queue: int = 512
    start_timeout_seconds: float = 300.0
    schema_timeout_seconds: float = 120.0
    gpu_layers: int = -1
    states_mb: int = 0

    @classmethod
    def from_config(cls, config: Config) -> EngineSettings:
        """The ``engine.*`` settings of ``config``."""
        return cls(
            runtime=config["engine.runtime"],
            num_ctx=config["engine.num_ctx"],
            num_parallel=config["engine.num_parallel"],
            threads=config["engine.threads"],
            keep_alive_seconds=_keep_alive(config["engine.keep_alive"]),
            max_loaded_models=config["engine.max_loaded_models"],
            max_queue=config["engine.max_queue"],
            start_timeout_seconds=float(config["engine.start_timeout_seconds"]),
            schema_timeout_seconds=float(config["engine.schema_timeout_seconds"]),
            gpu_layers=config["engine.gpu_layers"],
            states_mb=config["engine.states_mb"],
        )


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory. ``size_bytes`` is what its process holds resident; ``expires_at`` is None
    when it stays for ever; ``in_use`` counts the requests it serves or has queued. ``spec`` and
    ``num_parallel`` are what its process was started with, where that is known."""

    name: str
    digest: str
    size_bytes: int
    num_ctx: int
    pid: int
    expires_at: datetime | None
    in_use: int
    spec: ModelSpec | None = None
    num_parallel: int = 1


def _keep_alive(value: str) -> float:
    # Ollama's variable takes a bare "-1" although its API does not; a setting follows the variable.
    try:
        return parse_keep_alive(float(value)) or 0.0
    except ValueError:
        pass
    try:
        seconds = parse_keep_alive(value)
    except UsageError as error:
        raise ConfigError(error.message, error.hint) from None
    return math.inf if seconds is None else seconds
