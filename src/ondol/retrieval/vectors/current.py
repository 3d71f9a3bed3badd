"""The embedder that a library is read with now, and its vectors: both follow a switch of model,
made in this process or another one."""

from __future__ import annotations

from ondol import database
from ondol.database import Connection
from ondol.retrieval.embedders import Embedders, NamedEmbedder, choose_model, current_model
from ondol.retrieval.vectors.index import VectorIndex
from ondol.retrieval.vectors.kept import KeptVectors, Verified, verify
from ondol.retrieval.vectors.loaded import LoadedVectors
from ondol.retrieval.vectors.opening import Opener


class CurrentVectors:
    """Not locked: its owner is."""

    def __init__(self, embedders: Embedders, opener: Opener) -> None:
        self.embedders = embedders
        self._opener = opener
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
            loaded = self._opener.open(embedder.model, embedder.dimensions)
            self.close()
            self._loaded = loaded
        return embedder, self._loaded.refresh(connection)

    def follow(self, connection: Connection) -> None:
        """After a change: vectors that outlive this process must not wait for the next search."""
        if self._opener.is_kept:
            self.refresh(connection)

    def move(self, connection: Connection, opener: Opener) -> Verified:
        """Fill the vectors at another place, compare them with the database and use them from here
        on. What is at the old place stays. Raises ``EgressError``."""
        embedder = self.embedder(connection)
        moved = opener.open(embedder.model, embedder.dimensions)
        try:
            index = moved.refresh(connection)
            verified = verify(connection, index, embedder.model, embedder.dimensions)
        except BaseException:
            moved.index.close()
            raise
        self.close()
        self._loaded, self._opener = moved, opener
        return verified

    def leave(self, connection: Connection, opener: Opener) -> None:
        """Delete what is at a place that keeps vectors."""
        embedder = self.embedder(connection)
        loaded = opener.open(embedder.model, embedder.dimensions)
        if isinstance(loaded, KeptVectors):
            loaded.forget(connection)
        loaded.index.close()

    def close(self) -> None:
        """Let the index go."""
        if self._loaded is not None:
            self._loaded.index.close()
            self._loaded = None
