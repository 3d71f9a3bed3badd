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
    from ondol.engine.settings import LoadedModel, ModelSpec
    from ondol.models.adapters import AdapterStore
    from ondol.models.caches import KvCache
    from ondol.models.gguf import GgufHeader
    from ondol.models.store import Model, ModelStore
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
        path = record.path(store, model) if record else store.path(model)
        return ModelSpec(
            name=model.name,
            path=path,
            digest=model.digest,
            size_bytes=model.size_bytes - spare + sum(adapter.size_bytes for adapter, _ in served),
            kind=model.kind,
            num_ctx=model.context_length,
            projector=store.path(model, "projector") if model.file("projector") else None,
            adapters=tuple(
                AdapterFile(one.name, path, one.digest, one.size_bytes) for one, path in served
            ),
            running=self._running(record, path, model),
        )

    def _running(self, record: Tuned | None, path: Path, model: Model) -> Running:
        """How a process computes: as was found best for the model, under what the owner says."""
        from ondol.engine.running import UNTOLD, Running

        found = Running(**record.running) if record else UNTOLD  # type: ignore[arg-type]
        found = replace(found, threads=0) if self._config["engine.threads"] else found
        return self._remembering(found, path, model)

    def _remembering(self, running: Running, path: Path, model: Model) -> Running:
        """With the cache and the drafts that the owner wants; only chats gain by either."""
        from ondol.engine.drafting import NGRAMS
        from ondol.engine.states.folder import given
        from ondol.models.caches import needs_flash_attention, usable
        from ondol.models.draft_models import drafter

        if model.kind != "chat":
            return running
        drafts = self._config["engine.drafts"]
        small = drafter(self._store, model) if drafts == "model" else None
        wanted = str(self._config["engine.cache_type"])
        cache_type = running.cache_type if wanted == "auto" else wanted
        cache_type = cache_type and usable(self.header(path), cache_type)
        attention = "" if needs_flash_attention(cache_type) else running.flash_attention
        running = replace(running, cache_type=cache_type, flash_attention=attention)
        ngrams = "" if drafts == "off" else NGRAMS
        running = replace(running, draft=ngrams, draft_model=str(small or ""))
        return replace(running, states_folder=given(self._config["engine.states_mb"]))

    def cache(self, loaded: LoadedModel) -> KvCache:
        """What a model in memory keeps of the prompts it has read: computed, as llama.cpp allocates
        it when it loads the model, whether it is filled or not."""
        from ondol.models.caches import KvCache, cache_of

        spec = loaded.spec
        if spec is None:
            return KvCache(0, "")
        header, kind = self.header(spec.path), spec.running.cache_type
        return cache_of(header, loaded.num_ctx, loaded.num_parallel, kind)

    def memory_need(self, spec: ModelSpec, num_ctx: int) -> int:
        """Bytes that a process of ``spec`` needs for ``num_ctx`` tokens in each of its slots."""
        from ondol.engine.drafting import MOST_AHEAD
        from ondol.models.memory import memory_need

        header = self.header(spec.path)
        parallel = self._config["engine.num_parallel"]
        kind = spec.running.cache_type or "f16"
        need = memory_need(header, num_ctx, num_parallel=parallel, cache_type=kind)
        # The header is that of the first file; the others, and the adapters, count too.
        total = need.total_bytes + max(0, spec.size_bytes - header.file_size_bytes)
        if spec.running.draft:
            # The logits of all that is checked at once.
            total += parallel * MOST_AHEAD * 4 * (header.vocabulary_size or 0)
        if spec.running.draft_model:
            small = self.header(Path(spec.running.draft_model))
            total += memory_need(small, num_ctx, num_parallel=parallel).total_bytes
        return total

    def header(self, path: Path) -> GgufHeader:
        """The header of a file of the store."""
        from ondol.models.gguf import read_header

        # A blob is named after its content, so its header is read once.
        return self._once(f"header of {path}", lambda: read_header(path))
