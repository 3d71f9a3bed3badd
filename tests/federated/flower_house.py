"""A home's link and three devices, each with a process of Flower's, on loopback."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from ondol.egress import Egress, Passage
from ondol.errors import RoundRefusedError
from ondol.federated.flower.link import Link
from ondol.federated.flower.node import Node
from ondol.federated.flower.node_key import NodeKey
from ondol.home import certificate
from tests.federated.rounds import Household


class Told:
    """A device that can be made to think, and remembers what it was asked."""

    def __init__(self, participant: object) -> None:
        self._participant = participant
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()

    def answer(self, stage: str, body: bytes) -> bytes:
        self.asked.append(stage)
        self.may_answer.wait(60)
        if stage == "echo":
            return body[::-1]
        if stage == "busy":
            raise RoundRefusedError("Somebody works here.", "")
        if stage == "broken":
            raise RuntimeError("what the owner wrote last night")
        answered: bytes = self._participant.answer(stage, body)  # type: ignore[attr-defined]
        return answered


class FlowerHouse:
    """``household`` in three devices and a home, all in this process but Flower."""

    def __init__(self, folder: Path) -> None:
        self.household = Household(folder, count=3)
        self.federation = self.household.plan.federation
        self.keys = [NodeKey.of(one, self.federation) for one in self.household.identities]
        self.devices = [Told(one) for one in self.household.devices().values()]
        self.members = {
            node: key.public_key for node, key in zip(self.household.nodes, self.keys, strict=True)
        }
        self.passages: list[Passage] = []
        self.certificate = certificate.ensure(folder / "certificate")
        self.fingerprint = self.certificate.fingerprint.hex()
        self.folder, self._stack = folder, ExitStack()

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        self.link = enter(Link(self.folder / "link", self.certificate.file, "127.0.0.1"))
        self.grid = self.link.open(self.federation, self.members)
        self.url = f"https://127.0.0.1:{self.link.port}"
        self.egress = Egress(record=self._record)
        self.nodes = [enter(self.node(number)) for number in range(3)]
        self.wait_for(lambda: len(self.grid.nodes()) == 3)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def node(self, number: int) -> Node:
        """Device ``number``'s way to home."""
        return Node(
            self.devices[number],
            self.folder / f"node-{number}",
            self.url,
            self.fingerprint,
            self.household.nodes[number],
            self.keys[number],
            self.egress,
        )

    def kill(self, module: str, number: int = 0) -> None:
        """SIGKILL for Flower's process of the link, or of node ``number``."""
        where = str(self.folder / ("link" if module == "link_child" else f"node-{number}"))
        for child in psutil.Process().children():
            try:
                is_meant = child.cmdline()[-1].endswith(module) and child.cwd() == where
            except (psutil.Error, IndexError):  # one that has ended, perhaps another test's
                continue
            if is_meant:
                child.kill()
                child.wait(30)

    def wait_for(self, holds: Callable[[], bool], seconds: float = 90) -> None:
        """Return when ``holds``; fails after ``seconds``."""
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, [node.condition for node in self.nodes]
            time.sleep(0.05)

    def _record(self, passage: Passage) -> str:
        self.passages.append(passage)
        return f"entry-{len(self.passages)}"
