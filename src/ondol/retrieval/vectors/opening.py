"""Where a library's vectors are, as the settings say: in memory, or in Qdrant."""

from __future__ import annotations

from ondol.egress import Egress
from ondol.retrieval.vectors.ann import EXACT_CHUNKS, ApproximateIndex
from ondol.retrieval.vectors.loaded import LoadedVectors

LOCAL = "local"


class Opener:
    """Opens the vectors at ``location``: "local", or the address of a Qdrant collection. Raises
    ``ConfigError`` for anything else."""

    def __init__(
        self,
        location: str = LOCAL,
        egress: Egress | None = None,
        *,
        exact_chunks: int = EXACT_CHUNKS,
    ) -> None:
        from ondol.retrieval.vectors.qdrant import Address

        self.location = location
        self._egress = egress or Egress()
        self._exact_chunks = exact_chunks
        self._address = None if location == LOCAL else Address.parse(location)

    @property
    def is_kept(self) -> bool:
        """Whether the vectors outlive this process, so that changes must reach them."""
        return self._address is not None

    def open(self, model: str, dimensions: int) -> LoadedVectors:
        """The vectors of ``model``; not filled yet. Raises ``EgressError``."""
        if self._address is None:
            index = ApproximateIndex(dimensions, exact_chunks=self._exact_chunks)
            return LoadedVectors(index, model, dimensions)
        from ondol.retrieval.vectors.kept import KeptVectors
        from ondol.retrieval.vectors.qdrant import QdrantIndex, connect

        client = connect(self._address, self._egress)
        kept = QdrantIndex(client, self._address.collection, dimensions)
        return KeptVectors(kept, model, dimensions, self._address)
