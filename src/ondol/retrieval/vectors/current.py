"""The embedder that a library is read with now, and its vectors: both follow a switch of model,
made in this process or another one."""

from __future__ import annotations

from collections.abc import Callable

from ondol import database
from ondol.database import Connection
from ondol.retrieval.embedders import Embedders, NamedEmbedder, choose_model, current_model
from ondol.retrieval.vectors.index import VectorIndex
from ondol.retrieval.vectors.loaded import LoadedVectors

# Makes the index for vectors of a model, of so many dimensions.
OpenIndex = Callable[[str, int], VectorIndex]


class CurrentVectors:
    """Not locked: its owner is."""

    def __init__(self, embedders: Embedders, open_index: OpenIndex) -> None:
        self.embedders = embedders
        self._open_index = open_index
        self._loaded: LoadedVectors | None = None

    @property
    def index(self) -> VectorIndex | None:
        """The index as it was last refreshed; ``None`` before the first time."""
        return self._loaded.index if self._loaded else None

    def embedder(self, connection: Connection) -> NamedEmbedder:
        """The embedder of the library as it is; that of the settings for one without vectors."""
        return self.embedders.get(current_model(connection) or self.embedders.wanted)

    def embedder_for_adding(self, connection: Connection) -> NamedEmbedder:
        """As ``embedder``; from here on the library keeps to it."""
        embedder = self.embedder(connection)
        with database.transaction(connection):
            # Another process may have been first.
            model = current_model(connection) or embedder.model
            choose_model(connection, model)
        return self.embedders.get(model)

    def refresh(self, connection: Connection) -> tuple[NamedEmbedder, VectorIndex]:
        """The embedder for questions, and the index with everything that is committed."""
        embedder = self.embedder(connection)
        if self._loaded is None or self._loaded.model != embedder.model:
            dimensions = embedder.dimensions
            index = self._open_index(embedder.model, dimensions)
            self.close()
            self._loaded = LoadedVectors(index, embedder.model, dimensions)
        return embedder, self._loaded.refresh(connection)

    def close(self) -> None:
        """Let the index go."""
        if self._loaded is not None:
            self._loaded.index.close()
            self._loaded = None
