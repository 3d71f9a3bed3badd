"""What the owner keeps beside documents, opened when it is first used and closed with the house."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ondol.once import Once

if TYPE_CHECKING:
    from ondol.connections.clients import Clients
    from ondol.connections.servers import ToolServers
    from ondol.conversations.responses import Responses
    from ondol.conversations.store import Conversations
    from ondol.memory.memories import Memories
    from ondol.models.activations import Activations
    from ondol.models.adapters import AdapterStore
    from ondol.models.private_adapters import PrivateAdapters
    from ondol.place import Placed
    from ondol.samples.store import Samples

P = TypeVar("P", bound="Placed")


class Kept(Once):
    """One house's. Safe to use from several threads. ``adapters`` gives those that are
    installed."""

    def __init__(self, adapters: Callable[[], AdapterStore]) -> None:
        super().__init__()
        self._adapters = adapters

    @property
    def activations(self) -> Activations:
        from ondol.models.activations import Activations
        from ondol.place import Place

        return self._once("activations", lambda: Activations(Place.in_file(), self._adapters))

    @property
    def private_adapters(self) -> PrivateAdapters:
        from ondol.models.private_adapters import PrivateAdapters

        return self._once("private_adapters", PrivateAdapters.open)

    @property
    def memories(self) -> Memories:
        from ondol.memory.memories import Memories

        return self._once("memories", lambda: _with_states(Memories.open()))

    @property
    def clients(self) -> Clients:
        from ondol.connections.clients import Clients

        return self._once("clients", Clients.open)

    @property
    def tool_servers(self) -> ToolServers:
        from ondol.connections.servers import ToolServers

        return self._once("tool_servers", lambda: _with_states(ToolServers.open()))

    @property
    def conversations(self) -> Conversations:
        from ondol.conversations.store import Conversations

        return self._once("conversations", lambda: _with_states(Conversations.open()))

    @property
    def responses(self) -> Responses:
        from ondol.conversations.responses import Responses

        return self._once("responses", lambda: _with_states(Responses.open()))

    @property
    def samples(self) -> Samples:
        from ondol.retrieval.language_codes import language_code
        from ondol.routing import personal_data
        from ondol.samples.screening import Screen
        from ondol.samples.store import Samples

        screen = Screen(personal_data.find, language_code)
        return self._once("samples", lambda: Samples.open(screen=screen))

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            parts = list(self._built.values())
            self._built.clear()
        for part in parts:
            part.close()


def _with_states(kept: P) -> P:
    """``kept``, of which something stands in prompts: where it is erased, so is what models may
    have made of those."""
    from ondol.engine.states.folder import erase_unpinned

    kept.place.on_erase = erase_unpinned
    return kept
