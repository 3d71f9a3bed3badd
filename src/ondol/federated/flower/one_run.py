"""What every Grid of ours has in common: one run, and questions that are waited for together."""

from __future__ import annotations

import time
from collections.abc import Iterable

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid
from flwr.supercore.run import Run


class OneRun(Grid):  # type: ignore[misc]
    """A Grid of ``run``. Pushing and pulling are the subclass's; ``pause_seconds`` lie between two
    looks for replies."""

    def __init__(self, run: Run, pause_seconds: float) -> None:
        self._run, self._pause_seconds = run, pause_seconds

    def set_run(self, run: Run) -> None:
        self._run = run

    @property
    def run(self) -> Run:
        return self._run

    def create_message(
        self,
        content: RecordDict,
        message_type: str,
        dst_node_id: int,
        group_id: str,
        ttl: float | None = None,
    ) -> Message:
        """Flower's older way to write a message."""
        return Message(content, dst_node_id, message_type, ttl=ttl, group_id=group_id)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> list[Message]:
        """The replies that came within ``timeout`` seconds, as they came."""
        waiting, heard = set(self.push_messages(messages)) - {""}, []
        deadline = time.monotonic() + (timeout or float("inf"))
        while waiting and time.monotonic() < deadline:
            for reply in self.pull_messages(waiting):
                waiting.discard(reply.metadata.reply_to_message_id)
                heard.append(reply)
            time.sleep(self._pause_seconds)
        return heard
