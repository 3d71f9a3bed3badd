"""What a member of a federation may try at home's link, with Flower's own client and a good key.
Run in Flower's environment: URL, node, another member's node, run's question; prints JSON."""

from __future__ import annotations

import datetime
import json
import ssl
import sys

import httpx
from flwr.app import ConfigRecord, Metadata, RecordDict
from flwr.app.message import make_message
from flwr.common.serde import message_to_proto
from flwr.proto.control_pb2 import RegisterNodeRequest
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import PullMessagesRequest, PushMessagesRequest, RegisterNodeFleetRequest
from flwr.proto.message_pb2 import ObjectTree
from flwr.proto.node_pb2 import Node
from flwr.supercore import date, telemetry
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.primitives.asymmetric import bytes_to_private_key, public_key_to_bytes
from flwr.supernode import node_auth_http_interceptor
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor


def main() -> None:
    asked = json.load(sys.stdin)
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    private = bytes_to_private_key(asked["key"].encode())
    client = FleetHttpClient(
        asked["url"],
        interceptors=[NodeAuthHttpInterceptor(private, private.public_key())],
        verify=trust,
    )
    mine, other = Node(node_id=asked["node"]), asked["other"]

    def reply(source: int, tree: ObjectTree | None = None) -> PushMessagesRequest:
        about = Metadata(1, "a" * 64, source, 1, "b" * 64, "", 0.0, 60.0, "query")
        message = make_message(metadata=about, content=RecordDict({"x": ConfigRecord({"a": 1})}))
        return PushMessagesRequest(
            node=mine,
            messages_list=[message_to_proto(message)],
            message_object_trees=[tree or get_object_tree(message)],
        )

    many = ObjectTree(object_id="c" * 64)
    many.children.extend(ObjectTree(object_id=f"{number:064x}") for number in range(2000))
    tries = {
        "as_another": lambda: client.PushMessages(reply(other)),
        "for_another": lambda: client.PullMessages(PullMessagesRequest(node=Node(node_id=other))),
        "too_many_objects": lambda: client.PushMessages(reply(asked["node"], many)),
        "register": lambda: client.RegisterNode(
            RegisterNodeFleetRequest(public_key=public_key_to_bytes(private.public_key()))
        ),
        "get_fab": lambda: client.GetFab(GetFabRequest(node=mine, hash_str="", run_id=1)),
        "control": lambda: client._unary_unary(
            path="/v1/control/register-node",
            rpc_method="",
            request=RegisterNodeRequest(),
            response_type=RegisterNodeRequest,
        ),
    }
    seen = {name: status(attack) for name, attack in tries.items()}
    node_auth_http_interceptor.now = lambda: date.now() - datetime.timedelta(hours=1)
    seen["old_signature"] = status(lambda: client.PullMessages(PullMessagesRequest(node=mine)))
    json.dump({"seen": seen, "telemetry": telemetry.FLWR_TELEMETRY_ENABLED}, sys.stdout)


def status(attack: object) -> int:
    try:
        attack()  # type: ignore[operator]
        return 200
    except httpx.HTTPStatusError as error:
        return error.response.status_code


if __name__ == "__main__":
    main()
