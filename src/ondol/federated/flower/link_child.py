"""The process of a home's SuperLink. Run by ``link``; what it is told and says goes over its pipes.

It listens, and reaches out to nobody: the guard refuses every address but this machine's own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading

import uvicorn
from flwr.app import Context

from ondol.egress import guard
from ondol.federated.flower.link_app import Mail, create_app
from ondol.federated.flower.pipes import Head, Line
from ondol.federated.flower.server_app import make_server_app
from ondol.federated.flower.superlink import HomeState, LinkGrid, no_records
from ondol.federated.grid import Failure, Grid

START_SECONDS = 30.0


class Superlink:
    """One home's: an HTTPS server, and a ServerApp for each federation."""

    def __init__(self) -> None:
        self._mail = Mail()
        self._state = HomeState(self._mail.came)
        self._grids: dict[str, Grid] = {}
        self._lock = threading.Lock()

    def serve(self, name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        """One call of Ondol's."""
        if name == "setup":
            return {"port": self._listen(head)}, b""
        if name == "open":
            self._open(head["federation"])
            for node, key in head["members"].items():
                self._state.admit(head["federation"], int(node), key.encode("ascii"))
            return {}, b""
        if name == "admit":
            self._state.admit(head["federation"], head["node"], head["key"].encode("ascii"))
            return {}, b""
        if name == "dismiss":
            self._state.dismiss(head["federation"], head["node"])
            return {}, b""
        if name == "nodes":
            return {"nodes": list(self._grids[head["federation"]].nodes())}, b""
        if name == "ask":
            return self._ask(head, body)
        raise ValueError(name)

    def _listen(self, head: Head) -> int:
        family = socket.AF_INET6 if ":" in head["host"] else socket.AF_INET
        listener = socket.create_server((head["host"], head["port"]), family=family, backlog=512)
        config = uvicorn.Config(
            create_app(self._state, self._mail),
            ssl_certfile=head["certificate"],
            ssl_keyfile=head["certificate"],
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_keep_alive=60,
            limit_concurrency=4096,
        )
        server = uvicorn.Server(config)
        threading.Thread(
            target=lambda: asyncio.run(server.serve([listener])), name="superlink", daemon=True
        ).start()
        return int(listener.getsockname()[1])

    def _open(self, federation: str) -> None:
        with self._lock:
            if federation in self._grids:
                return
            run = self._state.begin_run(federation)
            is_ready = threading.Event()

            def work(grid: Grid) -> None:
                self._grids[federation] = grid
                is_ready.set()
                threading.Event().wait()  # for as long as this process lives

            app = make_server_app(work)
            context = Context(
                run_id=run.run_id, node_id=1, node_config={}, state=no_records(), run_config={}
            )
            threading.Thread(
                target=app, args=(LinkGrid(self._state, run), context), daemon=True
            ).start()
            is_ready.wait(START_SECONDS)

    def _ask(self, head: Head, body: bytes) -> tuple[Head, bytes]:
        bodies, at = {}, 0
        for node, size in head["nodes"]:
            bodies[node] = body[at : at + size]
            at += size
        heard = self._grids[head["federation"]].ask(head["stage"], bodies, head["seconds"])
        said, parts = [], []
        for node, answer in heard.items():
            if isinstance(answer, Failure):
                said.append([node, answer.code, answer.reason])
            else:
                said.append([node, len(answer)])
                parts.append(answer)
        return {"heard": said}, b"".join(parts)


def main() -> None:
    """Serve until standard input ends."""
    guard.install()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with what the parent reads
    logging.getLogger("flwr").setLevel(logging.WARNING)
    Line(sys.stdin.buffer, replies, Superlink().serve).run()
    os._exit(0)


if __name__ == "__main__":
    main()
