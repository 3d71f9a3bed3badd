"""The calls of one run that wait for their owner: whoever listens to the run says yes or no.

A call that nobody answers is refused in the end, and so is one whose run is stopped.
"""

from __future__ import annotations

import threading

from ondol.errors import CallNotFoundError
from ondol.i18n import t
from ondol.tooling import ToolUse

WAIT_SECONDS = 600.0


class Confirmations:
    """``always`` are the tools (server, tool) that were allowed for good in this conversation.
    Safe to use from several threads."""

    def __init__(self, always: set[tuple[str, str]]) -> None:
        self._always = always
        self._changed = threading.Condition()
        self._waiting: dict[str, ToolUse] = {}
        self._said: dict[str, bool] = {}
        self._is_closed = False

    def allow(self, use: ToolUse) -> bool:
        """Wait for what the owner says of ``use``, which they were shown."""
        with self._changed:
            if (use.server, use.tool) in self._always:
                return True
            self._waiting[use.id] = use
            self._changed.wait_for(lambda: use.id in self._said or self._is_closed, WAIT_SECONDS)
            self._waiting.pop(use.id, None)
            return self._said.pop(use.id, False)

    def answer(self, call: str, is_allowed: bool, *, always: bool = False) -> None:
        """The owner has said it; ``always`` holds for the tool and this conversation. Raises
        ``CallNotFoundError`` for a call that does not wait."""
        with self._changed:
            use = self._waiting.get(call)
            if use is None or call in self._said:
                raise CallNotFoundError(t("mcp.no_call"), t("mcp.no_call_hint"))
            self._said[call] = is_allowed
            if always and is_allowed:
                self._always.add((use.server, use.tool))
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody will answer any more."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
