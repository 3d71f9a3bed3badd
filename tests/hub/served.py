"""An ASGI app on loopback, in a thread, for clients that want a real server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from ondol.hub.serving import create_app

PATIENCE_SECONDS = 10


@contextmanager
def served(app: ASGIApp | Path) -> Iterator[str]:
    """The address of ``app``, or of the hub in that folder, while it is served."""
    asgi = create_app(app) if isinstance(app, Path) else app
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(asgi, log_level="critical", lifespan="off", ws="none")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            # The socket listens already: a request waits for the server, not the test.
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_SECONDS)
