"""Vectors that a server keeps, beyond this process: brought up to the database, which has them all.

How far the server is, is written down in the database, and whoever brings it further holds the
database's write lock meanwhile: of two processes neither can put back what the other one removed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from ondol import database
from ondol.database import Connection
from ondol.errors import EgressError
from ondol.i18n import t
from ondol.retrieval.vectors.index import VectorIndex
from ondol.retrieval.vectors.loaded import LoadedVectors
from ondol.retrieval.vectors.qdrant import Address, QdrantIndex

SAMPLED_IDS = 200
SAMPLED_QUERIES = 8
TOLERANCE = 2e-3


@dataclass(frozen=True, slots=True)
class Verified:
    """What was compared: how many vectors are there, and how many scores agreed."""

    vectors: int
    scores: int


class KeptVectors(LoadedVectors):
    """Fills the collection at ``address`` from the embeddings of ``model``."""

    def __init__(self, index: QdrantIndex, model: str, dimensions: int, address: Address) -> None:
        super().__init__(index, model, dimensions)
        self._kept = index
        self._address = address
        self._name = f"vectors at {address.url}/{address.collection}"

    def refresh(self, connection: Connection) -> VectorIndex:
        (counter,) = connection.execute("SELECT counter FROM changes").fetchone()
        if counter != self._counter:
            with database.transaction(connection):
                check_private(connection, self._address)
                self._recall(connection)
                super().refresh(connection)
                self._note(connection)
        return self.index

    def forget(self, connection: Connection) -> None:
        """Remove the collection, and what is written of it."""
        self._kept.delete()
        with database.transaction(connection):
            connection.execute("DELETE FROM library_settings WHERE name = ?", (self._name,))

    def _recall(self, connection: Connection) -> None:
        row = connection.execute(
            "SELECT value FROM library_settings WHERE name = ?", (self._name,)
        ).fetchone()
        state = json.loads(row[0]) if row else {}
        if state.get("model") != self.model or len(self.index) != state.get("count"):
            # Another model's, or not what it was left as: all over again.
            self._kept.clear()
            state = {}
        self._counter = int(state.get("counter", -1))
        self._last_id = int(state.get("last_id", 0))

    def _note(self, connection: Connection) -> None:
        state = {
            "model": self.model,
            "counter": self._counter,
            "last_id": self._last_id,
            "count": len(self.index),
        }
        connection.execute(
            "INSERT OR REPLACE INTO library_settings VALUES (?, ?)", (self._name, json.dumps(state))
        )


def check_private(connection: Connection, address: Address) -> None:
    """Raise ``EgressError`` when vectors of private documents would leave this machine."""
    if address.is_on_this_machine:
        return
    row = connection.execute(
        "SELECT 1 FROM documents d JOIN labels l ON l.document_id = d.id "
        "WHERE l.sensitivity = 0 AND d.num_chunks > 0 LIMIT 1"
    ).fetchone()
    if row:
        raise EgressError(t("vectors.private_stays"), t("vectors.private_stays_hint"))


def verify(connection: Connection, index: VectorIndex, model: str, dimensions: int) -> Verified:
    """Compare an index with the database: the number of vectors, and scores of a sample. Raises
    ``EgressError`` when they differ."""
    import numpy as np

    size = 2 * dimensions
    (expected,) = connection.execute(
        "SELECT count(*) FROM embeddings WHERE model = ? AND length(passage) = ?", (model, size)
    ).fetchone()
    rows = connection.execute(
        "SELECT chunk_id, passage FROM embeddings WHERE model = ? AND length(passage) = ? "
        "ORDER BY random() LIMIT ?",
        (model, size, SAMPLED_IDS),
    ).fetchall()
    if len(index) != expected:
        raise _differs(f"{len(index)} ≠ {expected}")
    if not rows:
        return Verified(expected, 0)
    ids = [row[0] for row in rows]
    matrix = np.frombuffer(b"".join(row[1] for row in rows), dtype=np.float16)
    matrix = matrix.reshape(len(ids), -1).astype(np.float32)
    compared = 0
    for query in matrix[:SAMPLED_QUERIES]:
        scores = index.scores(query, ids)
        for i, score in zip(ids, (matrix @ query).tolist(), strict=True):
            if abs(scores.get(i, -2.0) - score) > TOLERANCE:
                raise _differs(f"{i}: {scores.get(i)} ≠ {score:.4f}")
            compared += 1
    return Verified(expected, compared)


def _differs(reason: str) -> EgressError:
    return EgressError(t("vectors.differs", reason=reason), t("vectors.differs_hint"))
