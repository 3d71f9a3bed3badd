"""One federation that this device takes part in now: what answers home's questions, and the way to
home's rounds while there are any.

One process of a device at a time has it. Raises ``TrainingError`` where another one has, and what
the parts raise.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ondol import paths
from ondol.errors import TrainingError
from ondol.household import layouts, leaving
from ondol.household.device import Doing, FederatedDevice
from ondol.household.federations import Federation
from ondol.i18n import t
from ondol.models.locks import hold
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.flower.node import Node
    from ondol.federated.learning.strategies import Learning


class Presence:
    """``make`` as ``Learner`` has it; ``on_news`` is told that a round has begun, or that what came
    of the last one is here. ``close`` it."""

    def __init__(
        self,
        parts: Parts,
        one: Federation,
        make: Callable[[Path], Learning] | None = None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self._parts, self._one = parts, one
        self._device = FederatedDevice(parts, one.id, make, on_news)
        self._node: Node | None = None
        self._port: int | None = None
        self._locks = ExitStack()
        try:
            place = paths.ensure(leaving.folder(one.id)) / "node.lock"
            self._locks.enter_context(hold(place, _busy))
        except BaseException:
            self._device.close()
            raise

    @property
    def link(self) -> str:
        """How the way to home's rounds is (``flower.node``), or ""."""
        return self._node.condition.state if self._node is not None else ""

    @property
    def doing(self) -> Doing | None:
        """What it does in the round that is held now, as far as it knows."""
        return self._device.doing if self._node is not None else None

    def follow(self, port: int | None) -> None:
        """Be where the rounds are, or nowhere."""
        if port == self._port:
            return
        self._leave()
        if port is not None:
            self._come(port)
        self._port = port

    def _come(self, port: int) -> None:
        from ondol.federated.chunks import ChunkedDevice, longest
        from ondol.federated.flower.node import Node
        from ondol.federated.flower.node_key import NodeKey

        one, homes = self._one, self._parts.oversight.homes
        self._node = Node(
            ChunkedDevice(self._device, longest(layouts.layout_for(self._parts, one.plan).size)),
            leaving.folder(one.id) / "link",
            link_url(one.url, port),
            one.home.hex(),
            one.me.node,
            NodeKey.of(homes.identity, one.id),
            self._parts.egress,
        )

    def _leave(self) -> None:
        node, self._node, self._port = self._node, None, None
        if node is not None:
            node.close()

    def close(self) -> None:
        """Leave the rounds, and end what learns."""
        self._leave()
        self._device.close()
        self._locks.close()


def link_url(home: str, port: int) -> str:
    """Where the rounds are of the home at the address ``home``."""
    host = urlsplit(home).hostname or ""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def _busy() -> Any:
    raise TrainingError(t("household.taken_elsewhere"), t("household.taken_elsewhere_hint"))
