"""A home's SuperLink: the port that the devices of its federations come to, and grids to ask them.

TLS with home's own certificate, which devices pin; each node is known by the key that its device
sent when it joined, and who has another one is turned away. It runs in a process of its own, which
is started again should it end; devices find their way back by themselves.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ondol.errors import FederationLinkError
from ondol.federated.flower.process import FlowerProcess
from ondol.federated.grid import Failure, Grid
from ondol.i18n import t

MODULE = "ondol.federated.flower.link_child"
ANSWER_SECONDS = 30.0
"""What the process may take beyond the time that devices have."""


class Link:
    """``certificate`` holds home's private key and certificate (PEM); port 0 is a free one. Keeps
    nothing but a log in ``folder``. Raises ``FederationSetupError`` and ``FederationLinkError``.
    Safe to use from several threads."""

    def __init__(self, folder: Path, certificate: Path, host: str, port: int = 0) -> None:
        self._folder = folder
        self._setup: dict[str, Any] = {
            "certificate": str(certificate.absolute()),
            "host": host,
            "port": port,
        }
        self._members: dict[str, dict[int, str]] = {}
        self._process: FlowerProcess | None = None
        self._is_closed = False
        self._lock = threading.RLock()
        self._running()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def port(self) -> int:
        """Where it listens; the same one for as long as the Link lives."""
        return int(self._setup["port"])

    def open(self, federation: str, members: Mapping[int, str]) -> Grid:
        """The devices of ``federation``: ``members`` are their nodes and node keys (PEM)."""
        with self._lock:
            self._members[federation] = dict(members)
            self._call("open", self._opened(federation))
        return _LinkGrid(self, federation)

    def admit(self, federation: str, node: int, node_key: str) -> None:
        """A device has joined. Another key takes the place of the one it had."""
        with self._lock:
            self._call("admit", {"federation": federation, "node": node, "key": node_key})
            self._members[federation][node] = node_key

    def dismiss(self, federation: str, node: int) -> None:
        """A device has left, or was put out: its next request is refused."""
        with self._lock:
            self._members[federation].pop(node, None)
            self._call("dismiss", {"federation": federation, "node": node})

    def close(self) -> None:
        """End the process; devices try again until home is back."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.close()

    def nodes(self, federation: str) -> Sequence[int]:
        """The devices that are there now."""
        told, _ = self._call("nodes", {"federation": federation})
        return [int(node) for node in told["nodes"]]

    def ask(
        self, federation: str, stage: str, bodies: Mapping[int, bytes], seconds: float
    ) -> dict[int, bytes | Failure]:
        """``Grid.ask`` of ``federation``."""
        head: dict[str, Any] = {"federation": federation, "stage": stage, "seconds": seconds}
        head["nodes"] = [[node, len(body)] for node, body in bodies.items()]
        told, answers = self._running().call(
            "ask", head, b"".join(bodies.values()), seconds=seconds + ANSWER_SECONDS
        )
        heard: dict[int, bytes | Failure] = {}
        at = 0
        for one in told["heard"]:
            if len(one) == 2:
                heard[one[0]] = answers[at : at + one[1]]
                at += one[1]
            else:
                heard[one[0]] = Failure(one[1], one[2])
        return heard

    def _call(self, name: str, head: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
        return self._running().call(name, head)

    def _running(self) -> FlowerProcess:
        """The process; a new one, which knows the same members, if it has ended."""
        with self._lock:
            if self._is_closed:
                raise FederationLinkError(t("federated_flower.closed"))
            if self._process is None or not self._process.is_alive:
                if self._process is not None:
                    self._process.close()
                self._process = FlowerProcess(MODULE, self._folder, self._setup)
                self._setup["port"] = self._process.told["port"]
                for federation in self._members:
                    self._process.call("open", self._opened(federation))
            return self._process

    def _opened(self, federation: str) -> dict[str, Any]:
        return {"federation": federation, "members": self._members[federation]}


class _LinkGrid:
    def __init__(self, link: Link, federation: str) -> None:
        self._link, self._federation = link, federation

    def nodes(self) -> Sequence[int]:
        return self._link.nodes(self._federation)

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        try:
            return self._link.ask(self._federation, stage, bodies, timeout_seconds)
        except FederationLinkError as error:
            # The process died in the middle of it: who was asked is asked again.
            return {node: Failure("gone", error.message) for node in bodies}
