"""Which file answers for a model, how, and what memory that takes.

What the pool asks of the house: the store, the adapters and the settings meet here. Raises
``ModelNotFoundError`` for a model that is not installed, ``InvalidModelError`` for a file that
cannot be read.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.config import Config
from ondol.once import Once

if TYPE_CHECKING:
    from ondol.engine.running import Running
    from ondol.engine.settings import ModelSpec
    from ondol.models.adapters import AdapterStore
    from ondol.models.gguf import GgufHeader
    from ondol.models.store import ModelStore
    from ondol.models.tuned import Tuned


class Located(Once):
    """Safe to use from several threads."""

    def __init__(self, config: Config, store: ModelStore, adapters: AdapterStore) -> None:
        super().__init__()
        self._config = config
        self._store = store
        self._adapters = adapters

    def spec(self, name: str) -> ModelSpec:
        """What the engine is told of the installed model ``name``."""
        from ondol.engine.settings import AdapterFile, ModelSpec
        from ondol.models.tuned import tuned

        store = self._store
        model = store.get(name)
        served = self._adapters.served(model) if model.kind == "chat" else ()
        record = tuned(store, model)
        spare = record.spare_bytes(model) if record else 0
        return ModelSpec(
            name=model.name,
            path=record.path(store, model) if record else store.path(model),
            digest=model.digest,
            size_bytes=model.size_bytes - spare + sum(adapter.size_bytes for adapter, _ in served),
            kind=model.kind,
            num_ctx=model.context_length,
            projector=store.path(model, "projector") if model.file("projector") else None,
            adapters=tuple(
                AdapterFile(one.name, path, one.digest, one.size_bytes) for one, path in served
            ),
            running=self._running(record),
        )

    def _running(self, record: Tuned | None) -> Running:
        """How a process computes: as was found best for the model, under what the owner says."""
        from ondol.engine.running import UNTOLD, Running

        found = Running(**record.running) if record else UNTOLD  # type: ignore[arg-type]
        return replace(found, threads=0) if self._config["engine.threads"] else found

    def memory_need(self, spec: ModelSpec, num_ctx: int) -> int:
        """Bytes that a process of ``spec`` needs for ``num_ctx`` tokens in each of its slots."""
        from ondol.models.memory import memory_need

        header = self.header(spec.path)
        parallel = self._config["engine.num_parallel"]
        kind = spec.running.cache_type or "f16"
        need = memory_need(header, num_ctx, num_parallel=parallel, cache_type=kind)
        # The header is that of the first file; the others, and the adapters, count too.
        return need.total_bytes + max(0, spec.size_bytes - header.file_size_bytes)

    def header(self, path: Path) -> GgufHeader:
        """The header of a file of the store."""
        from ondol.models.gguf import read_header

        # A blob is named after its content, so its header is read once.
        return self._once(f"header of {path}", lambda: read_header(path))
