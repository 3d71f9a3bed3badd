"""Which embedder reads a library: the one its vectors are of, whatever the settings say by now.

A library keeps the name of its model (``library_settings``); another one takes over only when
every chunk has its vectors (``reembedding``). Embedders are loaded when they are first needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ondol.database import Connection
from ondol.types import InputType

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.retrieval.embedding import PassageVectors
    from ondol.retrieval.library import PassageEmbedder
    from ondol.retrieval.sentences import Span

EMBEDDING_MODEL = "embedding_model"


class Embedders:
    """Embedders by the name of their model. ``wanted`` gives the name that the settings ask for;
    ``load`` an embedder by name, and raises ``ModelError`` when it is not installed."""

    def __init__(self, wanted: Callable[[], str], load: Callable[[str], PassageEmbedder]) -> None:
        self._wanted = wanted
        self._load = load
        self._named: dict[str, NamedEmbedder] = {}

    @classmethod
    def only(cls, embedder: PassageEmbedder) -> Embedders:
        """One embedder for everything."""
        return cls(lambda: embedder.model, lambda name: embedder)

    @property
    def wanted(self) -> str:
        """The model that a new library gets."""
        return self._wanted()

    def get(self, name: str) -> NamedEmbedder:
        """The embedder called ``name``; not loaded yet."""
        if name not in self._named:
            self._named[name] = NamedEmbedder(name, self._load)
        return self._named[name]


class NamedEmbedder:
    """A ``PassageEmbedder`` that is loaded when more than its name is asked for."""

    def __init__(self, name: str, load: Callable[[str], PassageEmbedder]) -> None:
        self._name = name
        self._load = load
        self._loaded: PassageEmbedder | None = None

    @property
    def model(self) -> str:
        return self._name

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        """Unit vectors, shape (len(texts), dimensions)."""
        return self._embedder.embed(texts, input_type=input_type)

    def embed_passages(
        self, texts: Sequence[str], spans: Sequence[Sequence[Span]]
    ) -> list[PassageVectors]:
        """A vector for each text and each of its spans."""
        return self._embedder.embed_passages(texts, spans)

    def can_read(self, text: str) -> bool:
        """Whether the vocabulary knows the script of ``text``."""
        return self._embedder.can_read(text)

    @property
    def _embedder(self) -> PassageEmbedder:
        if self._loaded is None:
            self._loaded = self._load(self._name)
        return self._loaded


def current_model(connection: Connection) -> str | None:
    """The model that the library's vectors are of; ``None`` when it has none yet."""
    row = connection.execute(
        "SELECT value FROM library_settings WHERE name = ?", (EMBEDDING_MODEL,)
    ).fetchone()
    if row is None:
        # A library from before it kept the name.
        row = connection.execute("SELECT model FROM embeddings LIMIT 1").fetchone()
    return None if row is None else str(row[0])


def choose_model(connection: Connection, model: str) -> None:
    """From here on the library's vectors are those of ``model``. Inside a transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (EMBEDDING_MODEL, model)
    )
