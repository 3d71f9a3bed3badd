"""Vectors in a Qdrant server: a ``VectorIndex`` for a library that outgrows this machine's memory.

Every request passes the egress permit of the server's address. Texts stay in the database; vectors
leave it, so that a server beyond this machine is refused while anything private is in the library
(``kept``). Raises ``EgressError`` when the server cannot be reached or does not do as it is told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ondol.egress import Egress, is_loopback
from ondol.errors import ConfigError, EgressError
from ondol.i18n import t
from ondol.types import Sensitivity

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float32]
    Numbers = npt.NDArray[np.int64]

PURPOSE = "vectors"
SCHEME = "qdrant"
DEFAULT_PORT = 6333
BATCH = 1000
# How many vectors stand for all of them where the scores of a random one are asked for.
SAMPLE = 2000
# How far the server looks around in its graph: more is nearer to exact, and slower.
SEARCH_WIDTH = 256
TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Address:
    """``qdrant://host:port/collection``; with TLS ``qdrant+https://…``."""

    url: str
    collection: str
    is_on_this_machine: bool

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises ``ConfigError`` for what is no such address."""
        try:
            parts = urlsplit(text)
            port = parts.port or DEFAULT_PORT
        except ValueError:
            parts, port = urlsplit(""), 0
        collection = parts.path.strip("/")
        protocol = {SCHEME: "http", f"{SCHEME}+https": "https"}.get(parts.scheme)
        if not protocol or not parts.hostname or not collection or "/" in collection:
            raise ConfigError(t("vectors.no_address", address=text), t("vectors.no_address_hint"))
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return cls(f"{protocol}://{host}:{port}", collection, is_loopback(parts.hostname))


def connect(address: Address, egress: Egress) -> Any:
    """A client whose every request goes through ``egress``, as text that is trusted: ``kept`` sees
    to it that no vector of a private document is among it."""
    egress.declare(PURPOSE, address.url)
    egress.check(address.url, PURPOSE, sensitivity=Sensitivity.TRUSTED)
    try:
        import httpx
        from qdrant_client import QdrantClient
    except ImportError as error:
        raise ConfigError(t("vectors.no_client"), t("vectors.no_client_hint")) from error
    return QdrantClient(
        url=address.url,
        timeout=TIMEOUT_SECONDS,
        check_compatibility=False,
        # No proxy of the environment comes in between.
        trust_env=False,
        transport=egress.transport(httpx, address.url, PURPOSE, sensitivity=Sensitivity.TRUSTED),
    )


class QdrantIndex:
    """Unit vectors by id in one collection, which is made when it is not there."""

    def __init__(self, client: Any, collection: str, dimensions: int) -> None:
        self._client = client
        self._collection = collection
        self._dimensions = dimensions
        self._sample: Matrix | None = None
        self._sampled_of = -1
        with _said_clearly():
            if not client.collection_exists(collection) or self._size() != dimensions:
                self.clear()

    def __len__(self) -> int:
        with _said_clearly():
            return int(self._client.count(self._collection, exact=True).count)

    def add(self, ids: Sequence[int] | Numbers, vectors: Matrix | npt.NDArray[np.float16]) -> None:
        """Put vectors of shape (len(ids), dimensions); those of ids that are there are replaced."""
        import numpy as np
        from qdrant_client import models

        numbers = np.asarray(ids, dtype=np.int64).tolist()
        for begin in range(0, len(numbers), BATCH):
            rows = vectors[begin : begin + BATCH].astype(np.float32).tolist()
            batch = models.Batch(ids=numbers[begin : begin + BATCH], vectors=rows)
            with _said_clearly():
                self._client.upsert(self._collection, batch, wait=True)
        self._sampled_of = -1

    def remove(self, ids: Sequence[int] | Numbers) -> None:
        """Drop ``ids``; unknown ones are ignored."""
        import numpy as np
        from qdrant_client import models

        numbers = np.asarray(ids, dtype=np.int64).tolist()
        for begin in range(0, len(numbers), BATCH):
            some = models.PointIdsList(points=numbers[begin : begin + BATCH])
            with _said_clearly():
                self._client.delete(self._collection, some, wait=True)
        self._sampled_of = -1

    def search(
        self, vector: Matrix, limit: int, *, among: Numbers | None = None
    ) -> list[tuple[int, float]]:
        """The ``limit`` best (id, score), best first; with ``among`` only of these ids."""
        from qdrant_client import models

        if limit <= 0 or (among is not None and not len(among)):
            return []
        with _said_clearly():
            found = self._client.query_points(
                self._collection,
                query=vector.tolist(),
                limit=limit,
                query_filter=None if among is None else _only(among.tolist()),
                search_params=models.SearchParams(hnsw_ef=SEARCH_WIDTH),
            )
        return [(int(point.id), float(point.score)) for point in found.points]

    def scores(self, vector: Matrix, ids: Sequence[int]) -> dict[int, float]:
        """The score of each of ``ids`` that is here."""
        from qdrant_client import models

        if not ids:
            return {}
        with _said_clearly():
            found = self._client.query_points(
                self._collection,
                query=vector.tolist(),
                limit=len(ids),
                query_filter=_only([int(i) for i in ids]),
                search_params=models.SearchParams(exact=True),
            )
        return {int(point.id): float(point.score) for point in found.points}

    def background(self, vector: Matrix) -> tuple[float, float]:
        """Mean and standard deviation of the scores of a sample of all vectors."""
        sample = self._sampled()
        if not len(sample):
            return 0.0, 0.0
        scores = sample @ vector
        return float(scores.mean()), float(scores.std())

    def close(self) -> None:
        self._client.close()

    def clear(self) -> None:
        """An empty collection in place of what is there."""
        from qdrant_client import models

        with _said_clearly():
            self.delete()
            self._client.create_collection(
                self._collection,
                vectors_config=models.VectorParams(
                    size=self._dimensions, distance=models.Distance.DOT
                ),
            )
        self._sampled_of = -1

    def delete(self) -> None:
        """Remove the collection with all that is in it."""
        with _said_clearly():
            if self._client.collection_exists(self._collection):
                self._client.delete_collection(self._collection)

    def _size(self) -> int:
        found = self._client.get_collection(self._collection).config.params.vectors
        return int(getattr(found, "size", 0))

    def _sampled(self) -> Matrix:
        import numpy as np
        from qdrant_client import models

        count = len(self)
        if self._sample is None or abs(count - self._sampled_of) * 20 > count:
            with _said_clearly():
                found = self._client.query_points(
                    self._collection,
                    query=models.SampleQuery(sample=models.Sample.RANDOM),
                    limit=SAMPLE,
                    with_vectors=True,
                )
            rows = [point.vector for point in found.points]
            self._sample = np.array(rows, dtype=np.float32).reshape(len(rows), self._dimensions)
            self._sampled_of = count
        return self._sample


def _only(ids: list[Any]) -> Any:
    from qdrant_client import models

    return models.Filter(must=[models.HasIdCondition(has_id=ids)])


@contextmanager
def _said_clearly() -> Iterator[None]:
    """What the client raises, as the one error that the rest of the house knows."""
    from qdrant_client.http.exceptions import ApiException

    try:
        yield
    except (ApiException, OSError, ValueError) as error:
        if isinstance(source := getattr(error, "source", None), EgressError):
            raise source from error
        lines = str(_servers_own(error) or error).splitlines()
        reason = (lines or [type(error).__name__])[0][:200]
        raise EgressError(
            t("vectors.server_failed", reason=reason), t("vectors.server_failed_hint")
        ) from error


def _servers_own(error: Exception) -> str:
    """What the server said when it refused, where the client only shows the status: a sentence in
    JSON, or plain text for who has no key. The page of a proxy before it says less than the
    status."""
    content = getattr(error, "content", b"")
    try:
        return str(json.loads(content)["status"]["error"])
    except (ValueError, TypeError, KeyError):
        plain = content.decode("utf-8", "replace").strip() if isinstance(content, bytes) else ""
        return "" if plain.startswith("<") else plain
