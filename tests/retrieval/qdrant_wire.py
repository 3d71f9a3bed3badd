"""A stand-in for a Qdrant server: its REST requests, over a real socket, in a process of its own.

Each body has to be what qdrant-client's models, made of Qdrant's own OpenAPI, say, and nothing
more. Points are kept by the client's local mode, or with ``edge`` by Qdrant's own engine
(qdrant-edge-py, where that is installed). ``python tests/retrieval/qdrant_wire.py local|edge``
prints its address.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from qdrant_client import QdrantClient, models
from qdrant_client.http.models import PointInsertOperations, PointsSelector


class LocalPoints:
    """One collection in the client's local mode."""

    def __init__(self, size: int) -> None:
        self._client = QdrantClient(":memory:")
        vectors = models.VectorParams(size=size, distance=models.Distance.DOT)
        self._client.create_collection("c", vectors_config=vectors)

    def upsert(self, ids: list[int], rows: list[list[float]]) -> None:
        self._client.upsert("c", models.Batch(ids=ids, vectors=rows))

    def delete(self, ids: list[int]) -> None:
        self._client.delete("c", models.PointIdsList(points=ids))

    def count(self) -> int:
        return self._client.count("c", exact=True).count

    def query(self, asked: models.QueryRequest) -> list[dict[str, Any]]:
        found = self._client.query_points(
            "c",
            query=asked.query,
            query_filter=asked.filter,
            limit=asked.limit or 10,
            with_vectors=bool(asked.with_vector),
        )
        return [{"id": p.id, "score": p.score, "vector": p.vector} for p in found.points]


class EdgePoints:
    """One collection in the engine that Qdrant's server is made of."""

    def __init__(self, size: int) -> None:
        import qdrant_edge

        self._edge = edge = qdrant_edge
        vectors = edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot)
        folder = tempfile.mkdtemp(prefix="qdrant-edge-")
        self._shard = edge.EdgeShard.create(folder, edge.EdgeConfig(vectors=vectors))

    def upsert(self, ids: list[int], rows: list[list[float]]) -> None:
        points = [self._edge.Point(i, row, {}) for i, row in zip(ids, rows, strict=True)]
        self._shard.update(self._edge.UpdateOperation.upsert_points(points))

    def delete(self, ids: list[int]) -> None:
        self._shard.update(self._edge.UpdateOperation.delete_points(ids))

    def count(self) -> int:
        return int(self._shard.count(self._edge.CountRequest(exact=True)))

    def query(self, asked: models.QueryRequest) -> list[dict[str, Any]]:
        edge = self._edge
        sampled = isinstance(asked.query, models.SampleQuery)
        query = getattr(asked.query, "nearest", asked.query)
        among = asked.filter and edge.Filter(
            must=[edge.HasIdCondition(set(c.has_id)) for c in asked.filter.must]
        )
        params = asked.params and edge.SearchParams(
            hnsw_ef=asked.params.hnsw_ef, exact=bool(asked.params.exact)
        )
        found = self._shard.query(
            edge.QueryRequest(
                limit=asked.limit or 10,
                query=edge.Sample.Random if sampled else edge.Query.Nearest(query),
                filter=among,
                params=params,
                with_vector=bool(asked.with_vector),
            )
        )
        return [{"id": p.id, "score": p.score, "vector": p.vector} for p in found]


class Refusal(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Collections:
    """What the server answers to each request that ``QdrantIndex`` sends; any other is a 404."""

    def __init__(self, make: Callable[[int], Any]) -> None:
        self._make = make
        self._points: dict[str, tuple[Any, models.VectorParams]] = {}

    def answer(self, method: str, path: str, body: bytes) -> object:  # noqa: PLR0911
        where, _, query = path.partition("?")
        match = re.fullmatch(r"/collections/([^/]+)(/.*)?", where)
        if not match:
            raise Refusal(404, f"no such place: {where}")
        name, rest = match[1], match[2] or ""
        if (method, rest) == ("GET", "/exists"):
            return {"exists": name in self._points}
        if (method, rest) == ("PUT", ""):
            return self._create(name, parse(models.CreateCollection, body))
        if (method, rest) == ("DELETE", ""):
            return self._points.pop(name, None) is not None
        if name not in self._points:
            raise Refusal(404, f"Not found: Collection `{name}` doesn't exist!")
        points, vectors = self._points[name]
        if (method, rest) == ("GET", ""):
            return {"config": described(vectors), **STATE, "points_count": points.count()}
        if method in ("PUT", "POST") and rest in ("/points", "/points/delete"):
            assert "wait=true" in query, "what is not waited for may be searched for too early"
        if (method, rest) == ("PUT", "/points"):
            batch = parse(PointInsertOperations, body).batch
            if any(len(row) != vectors.size for row in batch.vectors):
                raise Refusal(400, "Wrong input: Vector dimension error")
            points.upsert(batch.ids, batch.vectors)
            return {"operation_id": 0, "status": "completed"}
        if (method, rest) == ("POST", "/points/delete"):
            points.delete(parse(PointsSelector, body).points)
            return {"operation_id": 0, "status": "completed"}
        if (method, rest) == ("POST", "/points/count"):
            parse(models.CountRequest, body)
            return {"count": points.count()}
        if (method, rest) == ("POST", "/points/query"):
            found = points.query(parse(models.QueryRequest, body))
            return {"points": [{"version": 0, "payload": {}, **point} for point in found]}
        raise Refusal(404, f"no such place: {method} {where}")

    def _create(self, name: str, asked: models.CreateCollection) -> bool:
        if name in self._points:
            raise Refusal(409, f"Wrong input: Collection `{name}` already exists!")
        assert isinstance(asked.vectors, models.VectorParams)
        assert asked.vectors.distance == models.Distance.DOT
        self._points[name] = self._make(asked.vectors.size), asked.vectors
        return True


# What a server says of a collection beside what is asked of it here.
STATE = {
    "status": "green",
    "optimizer_status": "ok",
    "segments_count": 1,
    "payload_schema": {},
}


def described(vectors: models.VectorParams) -> dict[str, Any]:
    return {
        "params": {"vectors": vectors.model_dump(mode="json", exclude_none=True)},
        "hnsw_config": {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000},
        "optimizer_config": {
            "deleted_threshold": 0.2,
            "vacuum_min_vector_number": 1000,
            "default_segment_number": 0,
            "flush_interval_sec": 5,
        },
    }


def parse(shape: Any, body: bytes) -> Any:
    try:
        return TypeAdapter(shape).validate_json(body)
    except ValidationError as error:
        raise Refusal(422, f"Format error in JSON body: {error}") from error


def serve(make: Callable[[int], Any]) -> ThreadingHTTPServer:
    collections, lock = Collections(make), Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                with lock:
                    result = collections.answer(self.command, self.path, body)
                status, said = 200, {"result": result, "status": "ok", "time": 0.0}
            except Refusal as refusal:
                status, said = refusal.status, {"status": {"error": str(refusal)}, "time": 0.0}
            except Exception as error:
                status, said = 500, {"status": {"error": repr(error)}, "time": 0.0}
            data = json.dumps(said, default=plain).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = answer

        def log_message(self, *args: object) -> None:
            pass

    return ThreadingHTTPServer(("127.0.0.1", 0), Handler)


def plain(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else list(value)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    server = serve({"local": LocalPoints, "edge": EdgePoints}[sys.argv[1]])
    print(server.server_port, flush=True)
    server.serve_forever()
