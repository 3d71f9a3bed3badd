"""Flower's Grid in this process, without Ray and without a network: the same ClientApp and the same
ServerApp as between machines, for a household's rehearsal and for tests.

Messages are copied on their way, as a network would: a ClientApp may change what it gets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from uuid import uuid4

from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.common.constant import ErrorCode
from flwr.serverapp import ServerApp
from flwr.supercore.run import Run

from ondol.federated.flower.client_app import make_client_app
from ondol.federated.flower.one_run import OneRun
from ondol.federated.flower.server_app import make_server_app
from ondol.federated.grid import Device, Grid

RUN_ID = 1


class InProcessFlower(OneRun):
    """``nodes`` answer with ``app``, ``workers`` of them at a time."""

    def __init__(self, app: ClientApp, nodes: Sequence[int], workers: int = 8) -> None:
        self._app, self._nodes = app, list(nodes)
        super().__init__(Run.create_empty(RUN_ID), 0.01)
        self._pool = ThreadPoolExecutor(workers, "client-app")
        self._asked: dict[str, Future[Message]] = {}

    def get_node_ids(self) -> list[int]:
        return list(self._nodes)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        names = []
        for message in messages:
            if message.metadata.dst_node_id not in self._nodes:
                names.append("")
                continue
            copy = deepcopy(message)
            copy.metadata.__dict__["_message_id"] = name = uuid4().hex
            self._asked[name] = self._pool.submit(self._answer, copy)
            names.append(name)
        return names

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        done = [name for name in message_ids if name in self._asked and self._asked[name].done()]
        return [deepcopy(self._asked.pop(name).result()) for name in done]

    def forget(self, message_ids: Iterable[str]) -> None:
        """Nobody waits for these any more."""
        for name in list(message_ids):
            if (asked := self._asked.pop(name, None)) is not None:
                asked.cancel()

    def close(self) -> None:
        """Wait for what is under way; nothing new begins."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        context = Context(
            run_id=RUN_ID, node_id=node, node_config={}, state=RecordDict(), run_config={}
        )
        try:
            return self._app(message, context)
        except Exception as error:
            failure = Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, type(error).__name__)
            return Message(failure, reply_to=message)


def run_in_process(
    devices: dict[int, Device], work: Callable[[Grid], None], workers: int = 8
) -> None:
    """Do ``work`` with ``devices``, through Flower's apps. Returns when the work is done."""
    grid = InProcessFlower(
        make_client_app(lambda context: devices[context.node_id]), list(devices), workers
    )
    app: ServerApp = make_server_app(work)
    try:
        context = Context(
            run_id=RUN_ID, node_id=1, node_config={}, state=RecordDict(), run_config={}
        )
        app(grid, context)
    finally:
        grid.close()
