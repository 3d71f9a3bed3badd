"""The process of a device's SuperNode. Run by ``node``; it speaks to nobody but over its pipes.

Flower's own client of the Fleet API with a loop of ours. Flower's loop installs and runs the bundle
that home sends; this one asks only for the bundle's name and runs what it was started with. A
question is confirmed after it was answered, so that a device that was killed is asked again.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import httpx
from flwr.app import Context, Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import (
    ConfirmMessageReceivedRequest,
    ObjectTree,
    PullObjectRequest,
    PushObjectRequest,
)
from flwr.proto.node_pb2 import Node
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, public_key_to_bytes
from flwr.supernode import node_auth_http_interceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from ondol.egress import guard
from ondol.egress.native import deny_internet
from ondol.errors import OndolError
from ondol.federated.flower.carried import Carried
from ondol.federated.flower.client_app import make_client_app
from ondol.federated.flower.messages import MOST_OBJECTS, MOST_PARTS, PART_BYTES, answer
from ondol.federated.flower.pipes import Head, Line, LineError
from ondol.federated.grid import Failure

T = TypeVar("T")

HEARTBEAT_SECONDS = 60.0
"""What home is told; twice that without a sign, and the device counts as gone."""
BEAT_SECONDS = 20.0
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
"""Between tries of one request, and of finding home again."""


class AwayError(Exception):
    """Home does not answer, or not as itself; or does not know us (``state``)."""

    def __init__(self, state: str, reason: str) -> None:
        super().__init__(reason)
        self.state = state


class SaidNoError(OndolError):
    """What the device said instead of an answer."""


class Supernode:
    """The loop, and what it serves: ``setup``, and in the end ``leave``."""

    def __init__(self) -> None:
        self.line: Line | None = None
        self._client: FleetHttpClient
        self._node: Node
        self._known_runs: set[int] = set()
        self._app = make_client_app(lambda context: self)

    def serve(self, name: str, head: Head, body: bytes) -> tuple[Head, bytes]:
        """One call of Ondol's."""
        if name == "leave":
            self._client.DeactivateNode(DeactivateNodeRequest(node_id=self._node.node_id))
            return {}, b""
        if name != "setup":
            raise ValueError(name)
        private = bytes_to_private_key(head["key"].encode("ascii"))
        self._public = public_key_to_bytes(private.public_key())
        self._node, self._bundle = Node(node_id=head["node"]), head["bundle"]
        assert self.line is not None
        self._client = FleetHttpClient(
            "http://home",
            interceptors=[NodeAuthHttpInterceptor(private, private.public_key())],
        )
        # Flower's client cannot be given another transport.
        self._carried = Carried(self.line)
        self._client._client = httpx.Client(transport=self._carried, timeout=60.0)
        node_auth_http_interceptor.now = self._carried.now
        threading.Thread(target=self._run, name="supernode", daemon=True).start()
        return {}, b""

    def answer(self, stage: str, body: bytes) -> bytes:
        """The device's own (``Device.answer``); it may take as long as a training."""
        assert self.line is not None
        said, answered = self.line.call("ask", {"stage": stage}, body, seconds=None)
        if code := said.get("code"):
            refusal = SaidNoError(str(said.get("reason", "")))
            refusal.code = str(code)
            raise refusal
        return answered

    def _run(self) -> None:
        tries = 0
        while True:
            try:
                self._activate()
                tries = 0
                while True:
                    self._next()
            except AwayError as error:
                self._tell(error.state, str(error))
            except Exception as error:  # of Flower's own: found again from the beginning
                self._tell("unreachable", type(error).__name__)
            time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def _activate(self) -> None:
        told = self._once(
            lambda: self._client.ActivateNode(
                ActivateNodeRequest(public_key=self._public, heartbeat_interval=HEARTBEAT_SECONDS)
            )
        )
        if told.node_id != self._node.node_id:
            raise AwayError("unknown_key", "another node")
        if not getattr(self, "_is_beating", False):
            self._is_beating = True
            threading.Thread(target=self._beat, name="heart", daemon=True).start()
        self._tell("connected", "")

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            try:
                self._client.SendNodeHeartbeat(
                    SendNodeHeartbeatRequest(node=self._node, heartbeat_interval=HEARTBEAT_SECONDS)
                )
            except Exception:
                continue  # the loop itself finds out

    def _next(self) -> None:
        """Wait for a question, and answer it."""
        told = self._once(lambda: self._client.PullMessages(PullMessagesRequest(node=self._node)))
        if not told.messages_list:
            return
        bare, tree = message_from_proto(told.messages_list[0]), told.message_object_trees[0]
        run_id = bare.metadata.run_id
        until = time.time() + bare.metadata.ttl
        message = self._pulled(bare, tree, until)
        reply = self._said(message, run_id)
        self._push(reply, run_id, until)
        self._again(
            lambda: self._client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(
                    node=self._node, run_id=run_id, message_object_id=bare.metadata.message_id
                )
            ),
            until,
        )

    def _pulled(self, bare: Message, tree: ObjectTree, until: float) -> Message:
        names = list(dict.fromkeys(one.object_id for one in iterate_object_tree(tree)))
        if len(names) > MOST_OBJECTS:
            raise AwayError("refused", "too many objects")
        contents: dict[str, bytes] = {}
        left = MOST_PARTS * PART_BYTES + (1 << 20)  # what a body has, and its names
        for name in names:
            request = PullObjectRequest(
                node=self._node, run_id=bare.metadata.run_id, object_id=name
            )
            told = self._again(partial(self._client.PullObject, request), until)
            if not told.object_available:
                raise AwayError("unreachable", "the question is gone")
            if (left := left - len(told.object_content)) < 0:
                raise AwayError("refused", "too long a question")
            contents[name] = told.object_content
        whole = inflate_object_from_contents(tree.object_id, contents)
        if not isinstance(whole, Message):
            raise AwayError("refused", "no message")
        whole.metadata.__dict__["_message_id"] = tree.object_id
        return whole

    def _said(self, message: Message, run_id: int) -> Message:
        """The device's reply; none of it where home runs other code."""
        if run_id not in self._known_runs:
            told = self._once(
                lambda: self._client.GetRun(GetRunRequest(node=self._node, run_id=run_id))
            )
            if told.run.fab_hash != self._bundle:
                self._tell("other_version", told.run.fab_hash[:12])
                return answer(message, Failure("other_version", "another version of Ondol"))
            self._known_runs.add(run_id)
        context = Context(
            run_id=run_id,
            node_id=self._node.node_id,
            node_config={},
            state=RecordDict(),
            run_config={},
        )
        return self._app(message, context)

    def _push(self, reply: Message, run_id: int, until: float) -> None:
        with no_object_id_recompute():
            reply.metadata.__dict__["_message_id"] = reply.object_id
            objects, tree = get_all_nested_objects(reply), get_object_tree(reply)
        request = PushMessagesRequest(
            node=self._node,
            messages_list=[message_to_proto(remove_content_from_message(reply))],
            message_object_trees=[tree],
            clientapp_runtime_list=[0.0],
        )
        told = self._again(lambda: self._client.PushMessages(request), until)
        for name in told.objects_to_push:
            push = PushObjectRequest(
                node=self._node,
                run_id=run_id,
                session_id=told.session_id,
                object_id=name,
                object_content=objects[name].deflate(),
            )
            self._again(partial(self._client.PushObject, push), until)

    def _again(self, send: Callable[[], T], until: float) -> T:
        """``send``, and again while home cannot be reached, until the question is out of time."""
        tries = 0
        while True:
            try:
                return self._once(send)
            except AwayError as error:
                if error.state != "unreachable" or time.time() > until:
                    raise
            self._tell("unreachable", "")
            time.sleep(PAUSES[min(tries, len(PAUSES) - 1)])
            tries += 1

    def _once(self, send: Callable[[], T]) -> T:
        corrections = self._carried.corrections
        try:
            return send()
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            if status == 401 and self._carried.corrections != corrections:
                return self._once(send)  # signed with another time than home's
            if status in (401, 412):
                raise AwayError("unknown_key", str(status)) from error
            raise AwayError("unreachable" if status >= 500 else "refused", str(status)) from error
        except httpx.TransportError as error:
            is_refused = str(error) in ("egress_refused", "not_ours")
            raise AwayError("refused" if is_refused else "unreachable", str(error)) from error

    def _tell(self, state: str, reason: str) -> None:
        assert self.line is not None
        try:
            self.line.call("state", {"state": state, "reason": reason})
        except LineError:
            os._exit(0)  # nobody is there any more


def main() -> None:
    """Serve until standard input ends."""
    guard.install()
    deny_internet()
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not mix with what the parent reads
    logging.getLogger("flwr").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    supernode = Supernode()
    supernode.line = Line(sys.stdin.buffer, replies, supernode.serve)
    supernode.line.run()
    os._exit(0)


if __name__ == "__main__":
    main()
