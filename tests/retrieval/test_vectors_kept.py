"""Vectors in Qdrant follow the database, and nothing private leaves the machine."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest

from ondol import paths
from ondol.egress import Egress, Passage
from ondol.errors import ConfigError, EgressError
from ondol.retrieval.library import Library
from ondol.retrieval.vectors import qdrant
from ondol.retrieval.vectors.kept import verify
from ondol.retrieval.vectors.opening import Opener
from ondol.retrieval.vectors.qdrant import Address
from ondol.types import Sensitivity
from tests.retrieval.test_reembedding import bags, fill, sources

HERE = "qdrant://localhost:6333/library"
client_library = pytest.importorskip("qdrant_client")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One Qdrant in memory, whatever the address."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client = client_library.QdrantClient(":memory:")
        stop, client.close = client.close, lambda: None
        monkeypatch.setattr(qdrant, "connect", lambda address, egress: client)
        yield client
        stop()


def stored(server: Any) -> set[int]:
    points, _ = server.scroll("library", limit=1000)
    return {point.id for point in points}


def chunk_ids(library: Library) -> set[int]:
    return {row[0] for row in library._connection.execute("SELECT id FROM chunks")}


def test_vectors_move_there_and_back(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags())
    fill(library)
    before = library.search("number7 washing")
    verified = library.move(Opener(HERE))
    assert (verified.vectors, verified.scores) == (20, 8 * 20)
    assert stored(server) == chunk_ids(library)
    assert sources(library, "number7 washing")[0] == "note 7"
    library.move(Opener())
    library.leave(Opener(HERE))
    assert not server.collection_exists("library")
    assert [hit.chunk.id for hit in library.search("number7 washing")] == [
        hit.chunk.id for hit in before
    ]
    library.close()


def test_what_is_added_and_forgotten_reaches_the_server_at_once(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags(), opener=Opener(HERE))
    fill(library)
    assert stored(server) == chunk_ids(library)
    assert library.forget(matching="number7").documents == 1
    assert len(stored(server)) == 19
    assert stored(server) == chunk_ids(library)
    library.close()
    other = Library(paths.database_file(), bags(), opener=Opener(HERE))
    fill(other, 2, first=20)
    assert sources(other, "number21 garden")[0] == "note 21"
    assert stored(server) == chunk_ids(other)
    other.close()


def test_server_that_lost_its_collection_is_filled_again(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags(), opener=Opener(HERE))
    fill(library, 5)
    library.close()
    server.delete_collection("library")
    again = Library(paths.database_file(), bags(), opener=Opener(HERE))
    assert sources(again, "number3 piano")[0] == "note 3"
    assert stored(server) == chunk_ids(again)
    again.close()


def test_another_embedder_gets_a_collection_of_its_dimensions(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags(), opener=Opener(HERE))
    fill(library, 5)
    library.reembed("bag:40")
    assert sources(library, "number3 piano")[0] == "note 3"
    assert server.get_collection("library").config.params.vectors.size == 40
    library.close()


def test_difference_is_found(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags())
    fill(library)
    library.move(Opener(HERE))
    index = library._vectors.index
    assert index is not None
    (first, *_) = sorted(chunk_ids(library))
    wrong = np.zeros((1, 24), dtype=np.float32)
    wrong[0, 0] = 1
    index.add([first], wrong)
    with pytest.raises(EgressError):
        verify(library._connection, index, "bag:24", 24)
    index.remove([first])
    with pytest.raises(EgressError):
        verify(library._connection, index, "bag:24", 24)
    library.close()


def test_private_vectors_stay_on_this_machine(home: Path, server: Any) -> None:
    library = Library(paths.database_file(), bags())
    fill(library, 3)
    away = Opener("qdrant://vectors.example:6333/library")
    with pytest.raises(EgressError):
        library.move(away)
    assert stored(server) == set()
    library._connection.execute("UPDATE collections SET sensitivity = 1")
    assert library.move(away).vectors == 3
    # Labelled private afterwards, nothing more goes there, and the way back is open.
    library.collections.set_sensitivity("default", Sensitivity.PRIVATE)
    for attempt in (lambda: fill(library, 1, 3), lambda: library.search("number3 boiler")):
        with pytest.raises(EgressError, match="never leave this machine"):
            attempt()
    assert len(stored(server)) == 3
    assert library.move(Opener()).vectors == 4
    library.close()


@pytest.mark.parametrize(
    "text",
    ["qdrant://localhost", "qdrant:///x", "http://localhost/x", "elsewhere", "qdrant://h:x/y", ""],
)
def test_what_is_no_address_is_said(text: str) -> None:
    with pytest.raises(ConfigError):
        Address.parse(text)


def test_addresses() -> None:
    assert Address.parse(HERE) == Address("http://localhost:6333", "library", True)
    there = Address.parse("qdrant+https://[2001:db8::1]/notes")
    assert there == Address("https://[2001:db8::1]:6333", "notes", False)


def test_offline_permits_no_server_beyond_this_machine() -> None:
    with pytest.raises(EgressError):
        qdrant.connect(Address.parse("qdrant://vectors.example/x"), Egress(offline=True))


@pytest.fixture
def answers() -> Iterator[Callable[[int, object], str]]:
    """A server that gives the same answer to everything."""
    running: list[HTTPServer] = []

    def start(status: int, body: object) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        running.append(HTTPServer(("127.0.0.1", 0), Handler))
        Thread(target=running[-1].serve_forever, daemon=True).start()
        return f"qdrant://127.0.0.1:{running[-1].server_port}/library"

    yield start
    for one in running:
        one.shutdown()
        one.server_close()


def test_server_that_fails_or_is_not_there_is_one_clear_error(
    home: Path, answers: Callable[[int, object], str]
) -> None:
    for address in (answers(500, {"status": "broken"}), "qdrant://127.0.0.1:9/library"):
        library = Library(paths.database_file(), bags())
        fill(library, 1)
        with pytest.raises(EgressError):
            library.move(Opener(address))
        assert sources(library, "number0 boiler") == ["note 0"]
        library.close()


def test_every_request_needs_the_permit(answers: Callable[[int, object], str]) -> None:
    address = Address.parse(answers(200, {"result": {"exists": True}}))
    told: list[Passage] = []
    egress = Egress(record=told.append)
    egress.is_inside = lambda origin, purpose: False  # type: ignore[method-assign]
    client = qdrant.connect(address, egress)
    assert client.collection_exists("library")
    assert [(p.purpose, p.allowed) for p in told] == [("vectors", True)]
    egress.inspector = lambda sent: Sensitivity.PRIVATE
    with pytest.raises(Exception, match="private text"):
        client.collection_exists("library")
    assert [p.reason for p in told] == ["", "seen"]
    client.close()
