"""The state of Flower's SuperLink as a home needs it, and a Grid that works on it.

Flower's own in-memory state with four repairs. Nodes have the ids that Ondol's members have, and
belong to the federations that home admitted them to. A node that was killed and is back is asked
again what it had not answered. A reply is not waited for while its objects are on their way: one
slow device holds up nobody else. And a run ends with its process, not with a home that slept.
Home's coordinator keeps what must outlive a process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from flwr.app import Message, RecordDict
from flwr.app.message import remove_content_from_message
from flwr.common.constant import NOOP_FLWR_AID, SUPERLINK_NODE_ID
from flwr.server.superlink.linkstate import InMemoryLinkState
from flwr.supercore.constant import NodeStatus, TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.object_store.in_memory_object_store import InMemoryObjectStore
from flwr.supercore.run import Run
from flwr.superlink.federation import NoOpFederationManager

from ondol.federated.flower import bundle
from ondol.federated.flower.one_run import OneRun

OWNER = "home"
PATIENCE = 2
"""Flower's: how many heartbeats may be missed before a node counts as offline."""


class Federations(NoOpFederationManager):  # type: ignore[misc]
    """Which node belongs to which federation. Flower asks it before it delivers anything."""

    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, set[int]] = {}

    def exists(self, federation_id: str) -> bool:
        return federation_id in self.members

    def filter_nodes(self, node_ids: set[int], federation_id: str) -> set[int]:
        return node_ids & (self.members.get(federation_id, set()) | {SUPERLINK_NODE_ID})

    def has_node(self, node_id: int, federation_id: str) -> bool:
        return node_id in self.members.get(federation_id, set()) | {SUPERLINK_NODE_ID}


class HomeState(InMemoryLinkState):  # type: ignore[misc]
    """``on_mail`` is called with a node when there is something for it."""

    def __init__(self, on_mail: Callable[[int], None] = lambda node: None) -> None:
        self.federations = Federations()
        super().__init__(self.federations, InMemoryObjectStore())
        self.federations.linkstate = self
        self.on_mail = on_mail

    def admit(self, federation: str, node: int, public_key: bytes) -> None:
        """Know ``node`` by its key from here on. The same again changes nothing. Raises
        ``ValueError`` for another node's key."""
        with self.lock:
            known = self.get_node_id_by_public_key(public_key)
            if known not in (None, node):
                raise ValueError("another node's key")
            members = self.federations.members.setdefault(federation, set())
            if known is None:
                self.dismiss(federation, node)
            members.add(node)
            if known == node:
                return
            made = self.create_node(OWNER, OWNER, public_key, 0)
            self.nodes[node] = self.nodes.pop(made)
            self.nodes[node].node_id = node
            self.node_public_key_to_node_id[public_key] = node
            self.owner_to_node_ids[OWNER] = set(self.nodes)

    def dismiss(self, federation: str, node: int) -> None:
        """Know it no more: its next request is refused."""
        with self.lock:
            self.federations.members.get(federation, set()).discard(node)
            if (known := self.nodes.pop(node, None)) is not None:
                self.node_public_key_to_node_id.pop(known.public_key, None)
                self.owner_to_node_ids[OWNER] = set(self.nodes)

    def activate_node(self, node_id: int, heartbeat_interval: float) -> bool:
        """A node that was killed is back before anybody missed it: Flower would refuse it."""
        with self.lock:
            node = self.nodes.get(node_id)
            if node is not None and node.status == NodeStatus.ONLINE:
                node.online_until = time.time() + PATIENCE * heartbeat_interval
                node.heartbeat_interval = heartbeat_interval
            elif not super().activate_node(node_id, heartbeat_interval):
                return False
            for message_id, message in self.message_ins_store.items():
                is_open = message_id not in self.message_ins_id_to_message_res_id
                if message.metadata.dst_node_id == node_id and is_open:
                    message.metadata.delivered_at = ""
            return True

    def has_mail(self, node: int) -> bool:
        """Whether there is a question for ``node`` that it has not been told."""
        with self.lock:
            return any(
                message.metadata.dst_node_id == node and message.metadata.delivered_at == ""
                for message in self.message_ins_store.values()
            )

    def is_whole(self, message_id: str) -> bool:
        """Whether the reply to this question is here with all of its objects, or there is none."""
        with self.lock:
            reply = self.message_ins_id_to_message_res_id.get(message_id)
            if reply is None or reply not in self.object_store:
                return True
            tree = self.object_store.get_object_tree(reply)
            return all(self.object_store.get(one.object_id) for one in iterate_object_tree(tree))

    def _cleanup_expired_task_tokens_locked(self) -> None:
        """Flower ends the run of a ServerApp that was not heard for a minute. Ours is a thread of
        this process: it is silent when the whole machine sleeps, and goes on when that wakes."""

    def begin_run(self, federation: str) -> Run:
        """A run of ``federation`` that is under way for as long as this process lives."""
        self.federations.members.setdefault(federation, set())
        fab = self.store_fab(Fab(bundle.digest(), bundle.content(), {}))
        run_id = self.create_run(
            bundle.APP, bundle.VERSION, fab, {}, federation, None, NOOP_FLWR_AID,
            TaskType.SERVER_APP,
        )  # fmt: skip
        (run,) = self.get_run_info(run_ids=[run_id])
        assert run.primary_task_id is not None
        self.claim_task(run.primary_task_id)
        self.activate_task(run.primary_task_id)
        return run


class LinkGrid(OneRun):
    """Flower's Grid, without a way through HTTP to the same process."""

    def __init__(self, state: HomeState, run: Run) -> None:
        super().__init__(run, 0.1)
        self._state = state

    def get_node_ids(self) -> Iterable[int]:
        found: set[int] = self._state.get_nodes(self._run.run_id)
        return found

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        """The ids; "" for a node that is not there."""
        ids = []
        for message in messages:
            with no_object_id_recompute():
                message.metadata.__dict__["_message_id"] = message.object_id
                ids.append(self._push(message))
            self._state.on_mail(message.metadata.dst_node_id)
        return ids

    def _push(self, message: Message) -> str:
        state, run_id = self._state, self._run.run_id
        bare = remove_content_from_message(message)
        session = state.start_session(run_id)
        is_stored, missing = state.store_message_and_object_tree(
            bare, get_object_tree(message), session
        )
        if not is_stored:
            return ""
        objects = get_all_nested_objects(message)
        for object_id in missing:
            state.store_object(run_id, session, object_id, objects[object_id].deflate())
        return str(message.metadata.message_id)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        state = self._state
        asked = {one for one in message_ids if state.is_whole(one)}
        replies = state.get_message_res(asked, self._run.run_id) if asked else []
        found = []
        for reply in replies:
            found.append(reply if reply.has_error() else self._inflated(reply))
        self.forget(reply.metadata.reply_to_message_id for reply in replies)
        return found

    def _inflated(self, reply: Message) -> Message:
        store, reply_id = self._state.object_store, reply.metadata.message_id
        tree = store.get_object_tree(reply_id)
        contents = {one.object_id: store.get(one.object_id) for one in iterate_object_tree(tree)}
        whole = inflate_object_from_contents(reply_id, contents)
        whole.metadata.__dict__["_message_id"] = reply_id
        return whole

    def forget(self, message_ids: Iterable[str]) -> None:
        """These questions are over, answered or not: nothing of them is kept."""
        state = self._state
        with state.lock:
            for asked in list(message_ids):
                reply = state.message_ins_id_to_message_res_id.get(asked)
                state.delete_messages({asked})
                for one in (asked, reply):
                    if one is not None:
                        state.object_store.delete(one)


def no_records() -> RecordDict:
    """A Context's state: ours is the coordinator's."""
    return RecordDict()
