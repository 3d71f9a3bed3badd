"""Builds the parts of the house from the configuration and owns their lifetimes.

The only place that knows which class stands behind which protocol. Nothing is built before it is
used: ``ondol list`` opens no database and starts no engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import manners, paths
from ondol.ask import Manner
from ondol.config import Config
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.kept import Kept
from ondol.located import Located
from ondol.models import scales
from ondol.models.made import Made, served_by
from ondol.once import Closing
from ondol.oversight import Oversight, door
from ondol.preset import laid_over
from ondol.prompt import GROUNDING
from ondol.trust import Trust
from ondol.types import Reranker, Task

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine
    from ondol.engine.pool import EnginePool
    from ondol.ledger.ledger import Ledger
    from ondol.models.adapters import Adapter, AdapterStore
    from ondol.models.store import Model, ModelStore
    from ondol.retrieval.embedding import OnnxEmbedder
    from ondol.retrieval.library import Library, PassageEmbedder
    from ondol.retrieval.vectors.opening import Opener


class Parts(Closing):
    """The house, built on demand. A context manager; safe to use from several threads."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.egress = door(config, lambda: self.oversight)
        self.kept = Kept(lambda: self.adapters)

    def close(self) -> None:
        """Stop every engine and close the library, the ledger and what is kept."""
        with self._lock:
            parts = [self._built.pop(name, None) for name in ("pool", "library", "oversight")]
        # Without the lock: a request that holds the pool's may be waiting for ours.
        for part in (*parts, self.kept):
            if part is not None:
                part.close()

    @property
    def store(self) -> ModelStore:
        return self._once("store", self._build_store)

    @property
    def adapters(self) -> AdapterStore:
        return self._once("adapters", self._build_adapters)

    @property
    def located(self) -> Located:
        """Which files answer for a model, and what memory that takes."""
        return self._once("located", lambda: Located(self.config, self.store, self.adapters))

    @property
    def pool(self) -> EnginePool:
        return self._once("pool", self._build_pool)

    @property
    def embedder(self) -> PassageEmbedder:
        return self._once("embedder", self._build_embedder)

    @property
    def library(self) -> Library:
        return self._once("library", lambda: self.open_library(paths.database_file()))

    @property
    def retriever(self) -> Library:
        return self.library

    @property
    def oversight(self) -> Oversight:
        """The judge, the labels, the policy, the homes and the ledger."""
        return self._once("oversight", self._build_oversight)

    @property
    def trust(self) -> Trust:
        return self.oversight.trust

    @property
    def ledger(self) -> Ledger:
        return self.oversight.ledger

    @property
    def num_quotes(self) -> int:
        return int(self.config["retrieval.quotes"])

    def manner(self, model: str | None = None, active: Mapping[str, float] | None = None) -> Manner:
        """How ``model`` is asked about documents (``manners.choose``); with ``active`` as if these
        adapters were the active ones."""
        found, named = scales.of(self.adapters, model or self.config["models.chat"])
        usable = () if named else self.adapters.usable(found)
        if active is None:
            active = {} if named else self._active(found, "grounded")
        knows = partial(self._knows_layout, found)
        return manners.choose(self.config, found, named, usable, knows, active)

    def chat_manner(self, model: str | None = None) -> Manner:
        """How ``model`` replies in a chat: where only it is named, with what was activated."""
        found, named = scales.of(self.adapters, model or self.config["models.chat"])
        wanted = {adapter.name: scale for adapter, scale in named} or self._active(found, "chat")
        here = self.adapters.usable(found) if wanted or found.made else ()
        return manners.in_chat(found, wanted, here)

    def engine(
        self,
        model: str | None = None,
        *,
        num_ctx: int | None = None,
        keep_alive_seconds: float | None = None,
    ) -> LlamaEngine:
        """The engine for ``model``, by default the configured chat model; loads on first use. That
        of ``model:adapter`` (``scales``) switches adapters on wherever a request says nothing about
        any; that of a model made from another begins with what it was made with."""
        found, scaled = scales.of(self.adapters, model or self.config["models.chat"])
        made, on = found.made or Made(), {one.name: scale for one, scale in scaled}
        name = scales.full_name(found.name, on)
        engine = self.pool.engine(
            served_by(found, self.store, self.adapters).name,
            num_ctx=num_ctx or made.parameters.get("num_ctx"),
            keep_alive_seconds=keep_alive_seconds,
            adapters=on or ({made.adapter: 1.0} if made.adapter else {}),
            name=name,
        )
        return laid_over(engine, name, found, self.store, self.config["packs.glossary_tokens"])

    def stop(self, model: str) -> bool:
        """Unload ``model``, its adapters with it; False when it is not in memory. Raises
        ``ModelNotFoundError``."""
        found = served_by(scales.of(self.adapters, model)[0], self.store, self.adapters)
        return self.pool.stop(found.name)

    def open_library(self, file: Path) -> Library:
        """A library in ``file``, or in memory with ``database.IN_MEMORY``."""
        from ondol.retrieval.embedders import Embedders
        from ondol.retrieval.library import Library
        from ondol.retrieval.loaders.isolation import Reader

        return Library(
            file,
            Embedders(self._wanted_embedder, self._embedder_of),
            evidence_tokens=self.config["retrieval.evidence_tokens"],
            max_file_bytes=self.config["retrieval.max_file_mb"] << 20,
            make_reader=lambda: Reader(
                seconds=self.config["retrieval.parse_seconds"],
                memory_mb=self.config["retrieval.parse_memory_mb"],
            ),
            opener=self.opener(self.config["retrieval.vectors"]),
            open_reranker=lambda: self.reranker(self.config["models.rerank"]),
        )

    def reranker(self, name: str) -> Reranker | None:
        """The installed reranker ``name``; ``None`` for "". Raises ``UsageError`` for a model of
        another kind."""
        from ondol.retrieval.reranker import EngineReranker, OnnxReranker

        if not name:
            return None
        model = self.store.get(name)
        if model.kind != "reranker":
            told = t("rerank.not_a_reranker", name=model.name)
            raise UsageError(told, t("rerank.not_a_reranker_hint"))
        if model.format == "gguf":
            return EngineReranker(model.name, self.pool.engine(model.name).rerank)
        threads = self.config["engine.threads"]
        make = partial(OnnxReranker, model.name, *self._onnx_files(model), threads=threads)
        return self._once(f"reranker {model.digest}", make)

    def use_library(self, library: Library) -> None:
        """Answer from ``library`` instead of the owner's; ``close`` will close it."""
        with self._lock:
            self._built["library"] = library

    def _build_oversight(self) -> Oversight:
        return Oversight(self.config, self.egress, lambda: self.adapters)

    def _build_store(self) -> ModelStore:
        from ondol.engine.states import folder
        from ondol.models.store import ModelStore

        return ModelStore(self.config.models_dir, folder.erase_of_model, folder.erase_unpinned)

    def _build_adapters(self) -> AdapterStore:
        from ondol.models.adapters import AdapterStore

        return AdapterStore(self.store, private=lambda: self.kept.private_adapters)

    def _build_pool(self) -> EnginePool:
        from ondol.engine.pool import EnginePool, EngineSettings
        from ondol.models.hardware import machine

        return EnginePool(
            EngineSettings.from_config(self.config),
            self.located.spec,
            memory_need=self.located.memory_need,
            available_bytes=lambda: machine().available_ram_bytes,
        )

    def _active(self, model: Model, task: Task) -> Mapping[str, float]:
        return manners.active(model, task, lambda: self.kept.activations)

    def _knows_layout(self, model: Model, adapter: Adapter) -> bool:
        """Whether ``adapter`` was trained in the layout that it would be asked in."""
        header = self.located.header(self.store.path(model))
        return adapter.template == GROUNDING.digest(header.chat_template or "")

    def opener(self, location: str) -> Opener:
        """Where vectors are: "local", or the address of a Qdrant collection."""
        from ondol.retrieval.vectors.opening import Opener

        return Opener(location, self.egress, exact_chunks=self.config["retrieval.exact_chunks"])

    def _wanted_embedder(self) -> str:
        built: PassageEmbedder | None = self._built.get("embedder")
        return built.model if built else self.store.get(self.config["models.embedding"]).name

    def _embedder_of(self, name: str) -> PassageEmbedder:
        """The embedder of the installed model ``name``, which may not be that of the settings."""
        is_wanted = name == self._wanted_embedder()
        return self.embedder if is_wanted else self._build_embedder(name)

    def _build_embedder(self, name: str = "") -> PassageEmbedder:
        model = self.store.get(name or self.config["models.embedding"])
        if model.kind != "embedding":
            told = t("embedding.not_an_embedder", name=model.name)
            raise UsageError(told, t("embedding.not_an_embedder_hint"))
        if model.format == "onnx":
            return self.onnx_embedder(model)
        from ondol.retrieval.embedding import EngineEmbedder

        def embed(texts: Sequence[str]) -> Any:
            return self.pool.engine(model.name).embed(texts)

        return EngineEmbedder(model.name, model.embedding_length or 0, embed)

    def onnx_embedder(self, model: Model) -> OnnxEmbedder:
        """The embedder of an installed ONNX model, loaded once however it is called."""
        return self._once(f"embedder {model.digest}", lambda: self._build_onnx_embedder(model))

    def _onnx_files(self, model: Model) -> tuple[Path, Path]:
        # A large graph refers to its weights by their file name, so it is opened by name.
        graph, tokenizer = self.store.path(model, "graph"), self.store.path(model, "tokenizer")
        named = model.file("graph")
        return self.store.directory_of(model) / named.name if named else graph, tokenizer

    def _build_onnx_embedder(self, model: Model) -> OnnxEmbedder:
        from ondol.retrieval import embedding

        is_e5 = "-e5" in model.source.lower()
        return embedding.OnnxEmbedder(
            model.name,
            *self._onnx_files(model),
            threads=self.config["engine.threads"],
            max_tokens=model.context_length or embedding.MAX_TOKENS,
            prefixes=embedding.E5_PREFIXES if is_e5 else embedding.NO_PREFIXES,
        )
