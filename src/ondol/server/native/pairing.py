"""Ondol's own endpoints for phones: open the second door, pair a phone, take its key away.

What opens the door or shows a code answers only at this machine itself. Whoever has the code gets a
key; a phone sees and removes itself and no other.
"""

from __future__ import annotations

from dataclasses import asdict
from io import BytesIO
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol import database, paths
from ondol.errors import OndolError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.door.admission import DEVICE
from ondol.server.door.pairing import DeviceNotFoundError, Pairing
from ondol.server.door.phone import PhoneDoor
from ondol.server.door.security import check_at_this_machine
from ondol.server.native.models import Text
from ondol.server.streaming import in_thread

AUTHORITY_TYPE = "application/x-x509-ca-cert"


class DoorClosedError(OndolError):
    """No phone can come in: the door for them is not open."""

    code = "phone_door_closed"
    status = 409


class Door(Lenient):
    """Whether phones may come in, until the server ends (for longer: ``server.phone``)."""

    open: bool


class Code(Lenient):
    """``name`` is what the device is called in the list."""

    code: Annotated[Text, Field(max_length=64)]
    name: Annotated[str, Field(max_length=200)] = ""


def open_pairing() -> Pairing:
    """The pairing of this user's Ondol."""
    return Pairing(lambda: database.connect(paths.database_file()))


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes; the door and the pairing are the app's (``app.state``)."""

    @routes.get("/pairing")
    async def show(request: Request) -> Response:
        """A new one-time code with the address to open on the phone, as text and QR code; at this
        machine only."""
        check_at_this_machine(request)
        return json_response(await in_thread(lambda: _invitation(request)))

    @routes.patch("/pairing")
    async def turn(request: Request, body: Door) -> Response:
        """Open the door for phones, or close it; at this machine only."""
        check_at_this_machine(request)
        door = _door(request)
        await (door.open(request.app) if body.open else door.close())
        return json_response({"open": door.is_open})

    @routes.post("/pairing")
    async def pair(request: Request, body: Code) -> Response:
        """Give a code and get the key that this device sends from now on."""
        if not _door(request).is_open:
            raise DoorClosedError(t("phone.door_closed"), t("phone.door_closed_hint"))
        address = request.client.host if request.client else ""
        key, device = await in_thread(lambda: _pairing(request).pair(body.code, body.name, address))
        return json_response({"key": key, "device": asdict(device)}, 201)

    @routes.get("/pairing/certificate")
    async def certificate(request: Request) -> Response:
        """The certificate (DER) that a phone installs to trust this Ondol; needs no key."""
        issued = _door(request).issued
        if issued is None:
            raise DoorClosedError(t("phone.door_closed"), t("phone.door_closed_hint"))
        # Not as an attachment: iOS offers to install what it shows, not what it saves.
        named = {"Content-Disposition": 'inline; filename="ondol.crt"'}
        return Response(issued.authority, headers=named, media_type=AUTHORITY_TYPE)

    @routes.get("/pairing/devices")
    async def devices(request: Request) -> Response:
        """Who was let in; a phone sees only itself."""
        found = await in_thread(_pairing(request).devices)
        mine = _own(request)
        seen = [asdict(device) for device in found if mine in (None, device.id)]
        return json_response({"devices": seen, "this": mine})

    @routes.delete("/pairing/devices/{device}")
    async def revoke(request: Request, device: str) -> Response:
        """Take a device's key away, from its next request on; a phone can do so to itself."""
        if _own(request) not in (None, device):
            raise DeviceNotFoundError(t("phone.no_such_device"))
        await in_thread(lambda: _pairing(request).revoke(device))
        return json_response({"removed": device})


def _invitation(request: Request) -> dict[str, object]:
    import segno

    door = _door(request)
    if not (door.is_open and door.place and door.issued):
        return {"open": False}
    code, expires_at = _pairing(request).new_code()
    url = f"{door.place.url}/#/pair?code={code}"
    drawn = BytesIO()
    # Dark on light with its margin, also on a dark page: some cameras read nothing else.
    segno.make(url, error="m", micro=False).save(drawn, kind="svg", border=4, light="#fff", scale=4)
    return {
        "open": True,
        "url": url,
        "address": door.place.url,
        "code": code,
        "expires_at": expires_at,
        "qr_svg": drawn.getvalue().decode("ascii"),
        "fingerprint": door.issued.fingerprint,
    }


def _own(request: Request) -> str | None:
    """The device that asks, where it is not the owner at this machine or with the server's key."""
    device: str | None = request.scope.get(DEVICE)
    return device


def _door(request: Request) -> PhoneDoor:
    door: PhoneDoor = request.app.state.phone_door
    return door


def _pairing(request: Request) -> Pairing:
    pairing: Pairing = request.app.state.pairing
    return pairing
