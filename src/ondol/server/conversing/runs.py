"""The runs of one server: one a conversation at a time, and for a while those that have ended.

Raises ``ConversationError`` families.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from ondol.ask import Event
from ondol.conversations.records import Message
from ondol.conversations.store import Conversations
from ondol.errors import AlreadyRunningError, RunNotFoundError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.conversing import attaching
from ondol.server.conversing.confirming import Confirmations
from ondol.server.conversing.remembering import Noted
from ondol.server.conversing.run import Run
from ondol.server.streaming import Source
from ondol.toolbox import Toolbox
from ondol.tooling import ToolUse

# Of runs that have ended so many can still be listened to, for so long.
ENDED_RUNS = 64
ENDED_SECONDS = 600.0


class Runs:
    """The runs of one server, and the conversations that they are in."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.RLock()
        self._runs: dict[str, Run] = {}
        self._always: dict[str, set[tuple[str, str]]] = {}
        self._toolbox: Toolbox | None = None
        self._has_recovered = False

    @property
    def conversations(self) -> Conversations:
        """From the first use on nothing runs in them but what runs here."""
        found = self._parts.kept.conversations
        with self._lock:
            if not self._has_recovered:
                found.turns.recover()
                attaching.recover(self._parts, found)
                self._has_recovered = True
        return found

    @property
    def toolbox(self) -> Toolbox:
        """The tools of the owner's MCP servers, for all conversations of this server."""
        parts = self._parts
        with self._lock:
            if self._toolbox is None:
                self._toolbox = Toolbox(
                    parts.kept.tool_servers, parts.egress, parts.ledger, parts.oversight.inspector
                )
            return self._toolbox

    def start(
        self,
        conversation: str,
        begin: Callable[[], tuple[Message | None, Message]],
        answer: Callable[[Message, Confirmations], Iterator[Event | ToolUse | Noted]],
    ) -> tuple[Run, Message | None]:
        """``begin`` writes down the question and the empty message that ``answer`` fills; the calls
        that it wants to make wait for confirmation. Raises ``AlreadyRunningError`` while another
        run is in the conversation."""
        with self._lock:
            if self.of(conversation) is not None:
                raise AlreadyRunningError(
                    t("conversations.already_running"), t("conversations.already_running_hint")
                )
            asked, message = begin()
            asked_for = Confirmations(self._always.setdefault(conversation, set()))
            source = Source(lambda: answer(message, asked_for))
            present, quotes = self._parts.library.holds, self._parts.num_quotes
            run = Run(self.conversations, message, source, quotes, present, asked_for)
            self._runs[run.id] = run
            self._tidy()
            run.start()
        return run, asked

    def get(self, id: str) -> Run:
        """Raises ``RunNotFoundError``."""
        with self._lock:
            self._tidy()
            found = self._runs.get(id)
        if found is None:
            raise RunNotFoundError(t("conversations.no_run"), t("conversations.no_run_hint"))
        return found

    def of(self, conversation: str) -> Run | None:
        """The run that is going on in a conversation."""
        with self._lock:
            runs = list(self._runs.values())
        own = (run for run in runs if run.conversation == conversation and not run.has_ended)
        return next(own, None)

    def leave(self, conversation: str) -> None:
        """Stop what runs in a conversation and forget what was heard there."""
        with self._lock:
            own = [run for run in self._runs.values() if run.conversation == conversation]
            for run in own:
                del self._runs[run.id]
            self._always.pop(conversation, None)
        for run in own:
            if not run.has_ended:
                run.stop()

    def close(self) -> None:
        """Stop everything; what was said is kept."""
        with self._lock:
            runs = list(self._runs.values())
            self._runs.clear()
            toolbox, self._toolbox = self._toolbox, None
        for run in runs:
            if not run.has_ended:
                run.stop()
        if toolbox is not None:
            toolbox.close()

    def _tidy(self) -> None:
        ended = [run for run in self._runs.values() if run.has_ended]
        too_many = ended[: max(0, len(ended) - ENDED_RUNS)]
        before = time.monotonic() - ENDED_SECONDS
        for run in (*too_many, *(run for run in ended if run.ended_at < before)):
            self._runs.pop(run.id, None)
