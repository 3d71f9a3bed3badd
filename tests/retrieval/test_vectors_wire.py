"""What is sent to Qdrant is what its own description of its requests allows, over a real socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from ondol import paths
from ondol.errors import EgressError
from ondol.retrieval.library import Library
from ondol.retrieval.vectors.opening import Opener
from tests.retrieval.test_reembedding import bags, fill, sources

pytest.importorskip("qdrant_client")


@pytest.fixture
def address() -> Iterator[str]:
    command = [sys.executable, str(Path(__file__).with_name("qdrant_wire.py")), "local"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        yield f"qdrant://127.0.0.1:{int(server.stdout.readline())}/library"
        server.kill()


def test_library_moves_over_the_wire_lives_there_and_comes_back(home: Path, address: str) -> None:
    library = Library(paths.database_file(), bags())
    fill(library)
    verified = library.move(Opener(address))
    assert (verified.vectors, verified.scores) == (20, 8 * 20)
    assert sources(library, "number7 washing")[0] == "note 7"
    fill(library, 2, first=20)
    assert library.forget(matching="number7").documents == 1
    assert len(library._vectors.index) == 21
    library.close()
    again = Library(paths.database_file(), bags(), opener=Opener(address))
    assert sources(again, "number21 garden")[0] == "note 21"
    again.reembed("bag:40")
    assert sources(again, "number3 piano")[0] == "note 3"
    assert again.move(Opener()).vectors == 21
    again.leave(Opener(address))
    assert sources(again, "number3 piano")[0] == "note 3"
    again.close()


def test_server_that_refuses_says_why(home: Path, address: str) -> None:
    index = Opener(address).open("bag:24", 24).index
    with pytest.raises(EgressError, match="Vector dimension error"):
        index.add([1], np.zeros((1, 20), dtype=np.float32))
    assert len(index) == 0


@pytest.mark.parametrize(
    ("status", "said", "shown"),
    [
        (
            401,
            "Must provide an API key or an Authorization bearer token\n",
            "Must provide an API key",
        ),
        (502, "<html>\n<head><title>502 Bad Gateway</title></head></html>\n", "502"),
    ],
)
def test_who_refuses_in_plain_text_is_quoted_and_a_proxys_page_is_not(
    home: Path, status: int, said: str, shown: str
) -> None:
    class Refuses(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said.encode())

        do_PUT = do_POST = do_GET

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(EgressError, match=shown) as error:
            Opener(f"qdrant://127.0.0.1:{server.server_port}/library").open("bag:24", 24)
        server.shutdown()
    assert "<html>" not in error.value.message
