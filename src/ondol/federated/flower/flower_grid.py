"""``Grid`` over Flower's own: questions out, answers in, each device for itself."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from flwr.serverapp import Grid as FlowerOwnGrid

from ondol.federated.flower.messages import question, read_answer
from ondol.federated.grid import Failure

LOOK_SECONDS = 0.1


class FlowerGrid:
    """``flower`` is any Grid of Flower's: its SuperLink's, its simulation's, or one in this
    process. Safe to use from several threads as far as that one is."""

    def __init__(self, flower: FlowerOwnGrid) -> None:
        self._flower = flower

    def nodes(self) -> Sequence[int]:
        return sorted(self._flower.get_node_ids())

    def ask(
        self, stage: str, bodies: Mapping[int, bytes], timeout_seconds: float
    ) -> dict[int, bytes | Failure]:
        deadline = time.monotonic() + timeout_seconds
        run_id = self._flower.run.run_id
        heard: dict[int, bytes | Failure] = {}
        waiting: dict[str, int] = {}
        for node, body in bodies.items():
            # One by one: the whole of a large round would lie here twice.
            asked = question(run_id, node, stage, body, timeout_seconds)
            named = next(iter(self._flower.push_messages([asked])), "")
            if named:
                waiting[named] = node
            else:
                heard[node] = Failure("gone", "not there")
        while waiting:
            for reply in self._flower.pull_messages(list(waiting)):
                node_asked = waiting.pop(reply.metadata.reply_to_message_id, None)
                if node_asked is not None:
                    heard[node_asked] = read_answer(reply)
            if time.monotonic() >= deadline:
                break
            if waiting:
                time.sleep(LOOK_SECONDS)
        forget = getattr(self._flower, "forget", None)
        if forget is not None and waiting:
            with suppress(Exception):
                forget(waiting)
        return heard | {node: Failure("gone", "no answer in time") for node in waiting.values()}
