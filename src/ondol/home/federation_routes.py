"""What a device asks home about federations: what an invite is to, how one stands, and that it is
gone. Rounds themselves do not come here: Flower carries them (``federated.flower``).

A device sees plans, keys and rounds of the federations that it belongs to; of other devices only
their public keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.errors import UsageError
from ondol.federated.flower.node_key import is_public_key
from ondol.home.admission import DEVICE, Gate, field_bytes, request_of
from ondol.home.federations import Coordination
from ondol.home.registry import Device
from ondol.homes.client import INVITE_FIELD, KEY_FIELD
from ondol.homes.invite import SECRET_BYTES, Invite
from ondol.i18n import t
from ondol.identity import PUBLIC_KEY_BYTES
from ondol.server.body import JsonRoute, Lenient, json_response
from ondol.server.streaming import in_thread

LONGEST_NODE_KEY = 1024


class LookRequest(Lenient):
    """Nothing but the signed fields."""


class NodeRequest(Lenient):
    node_key: Annotated[str, Field(min_length=1, max_length=LONGEST_NODE_KEY)]


def routes(gate: Gate, name: str, note: Callable[[str, Device], None]) -> APIRouter:
    """Those of the home called ``name``; ``note`` is told of members that go."""
    found = APIRouter(route_class=JsonRoute, prefix="/home/v1/federations")
    registry = gate.registry

    @found.post("/look")
    async def look(request: Request, body: LookRequest) -> Response:
        """What an invite is to; it stays good."""
        raw = await request.body()
        signed = request_of(request.scope, request.headers)
        public_key = field_bytes(signed, KEY_FIELD, PUBLIC_KEY_BYTES)
        invite = Invite("", gate.fingerprint, field_bytes(signed, INVITE_FIELD, SECRET_BYTES))

        def told() -> dict[str, Any]:
            gate.check_newcomer(signed, raw, public_key)
            one = registry.federations.get(registry.invited_to(invite))
            return {"home": name, **_told(gate, one, 0)}

        return json_response(await in_thread(told))

    @found.get("/{id}")
    async def federation(request: Request, id: str, after: int = 0) -> Response:
        """How it stands, with the rounds after ``after``."""
        device: Device = request.scope[DEVICE]

        def told() -> dict[str, Any]:
            registry.federations.member(id, device.id)
            return _told(gate, registry.federations.get(id), after)

        return json_response(await in_thread(told))

    @found.post("/{id}/node")
    async def node(request: Request, id: str, body: NodeRequest) -> Response:
        """Keep the key that the device's Flower node signs with."""
        device: Device = request.scope[DEVICE]

        def keep() -> None:
            registry.federations.member(id, device.id)
            if not is_public_key(body.node_key):
                told = t("server.bad_field", field="node_key", reason="P-384, PEM")
                raise UsageError(told, param="node_key")
            registry.federations.set_node_key(id, device.id, body.node_key)

        await in_thread(keep)
        return json_response({"kept": True})

    @found.post("/{id}/leave")
    async def leave(request: Request, id: str) -> Response:
        """Let the device that asks take part no more."""
        device: Device = request.scope[DEVICE]

        def go() -> None:
            registry.federations.member(id, device.id)
            registry.federations.leave(id, device.id)
            note("federation", device)

        await in_thread(go)
        return json_response({"left": True})

    return found


def _told(gate: Gate, one: Coordination, after: int) -> dict[str, Any]:
    federations = gate.registry.federations
    return {
        "federation": one.json(),
        "members": [member.json() for member in federations.roster(one.id)],
        "rounds": federations.rounds(one.id, after),
    }
