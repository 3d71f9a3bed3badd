"""A device's SuperNode: it comes to its home's link, and brings each question to the device.

Flower's part runs in a process of its own that has no network and no files of ours: it asks us to
carry its requests (``relay``) and hands us what home asks. It loads no code that home sends, as
Flower's own SuperNode would: the run must name the bundle that this version of Ondol builds.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from ondol.egress import Egress
from ondol.errors import FederationLinkError, FederationSetupError, OndolError
from ondol.federated.flower import bundle
from ondol.federated.flower.node_key import NodeKey
from ondol.federated.flower.pipes import Head
from ondol.federated.flower.process import FlowerProcess
from ondol.federated.flower.relay import Relay
from ondol.federated.grid import Device

MODULE = "ondol.federated.flower.node_child"
LEAVE_SECONDS = 3.0
AGAIN_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)

State = Literal[
    "starting", "connected", "unreachable", "unknown_key", "other_version", "refused", "stopped"
]


@dataclass(frozen=True, slots=True)
class Condition:
    """How the link is. ``unknown_key``: home does not know this device (any more);
    ``other_version``: home runs another version of Ondol; ``refused``: our own door says no.
    ``reason`` is a code or a sentence, "" where there is nothing to say."""

    state: State
    reason: str = ""


class Node:
    """``node`` and ``key`` are those that home was told when the device joined; ``url`` and
    ``fingerprint`` are of the home's link. Runs in the background until it is closed, whatever
    happens to the link or to its own process; raises nothing for either: see ``condition``."""

    def __init__(
        self,
        device: Device,
        folder: Path,
        url: str,
        fingerprint: str,
        node: int,
        key: NodeKey,
        egress: Egress,
    ) -> None:
        self.condition = Condition("starting")
        self._device, self._folder = device, folder
        self._setup = {"node": node, "key": key.private_pem.decode("ascii")}
        self._relay = Relay(egress, url, fingerprint)
        self._stop, self._turn = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"node {node}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave the link. A question that the device works on is answered to nobody."""
        self._stop.set()
        self._thread.join()
        self._relay.close()
        self.condition = Condition("stopped")

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            try:
                self._live()
                tries = 0
            except (FederationLinkError, FederationSetupError) as error:
                self.condition = Condition("refused", error.message)
            self._stop.wait(AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)])
            tries += 1

    def _live(self) -> None:
        """The life of one process of Flower's."""
        self.condition = Condition("starting", self.condition.reason)
        setup = {**self._setup, "bundle": bundle.digest()}
        process = FlowerProcess(MODULE, self._folder, setup, self._serve)
        try:
            while process.is_alive and not self._stop.wait(0.2):
                pass
            with suppress(FederationLinkError):  # home finds out by itself, but later
                process.call("leave", seconds=LEAVE_SECONDS)
        finally:
            process.close()

    def _serve(self, name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        if name == "carry":
            return self._relay.carry(head, body)
        if name == "ask":
            return self._answer(str(head["stage"]), body)
        if name == "state":
            self.condition = Condition(head["state"], str(head.get("reason", "")))
            return {}, b""
        raise ValueError(name)

    def _answer(self, stage: str, body: bytes) -> tuple[Head, bytes]:
        try:
            with self._turn:
                return {}, self._device.answer(stage, body)
        except OndolError as error:
            return {"code": error.code, "reason": error.message}, b""
