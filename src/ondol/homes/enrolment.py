"""Joining a home with an invite, and leaving it."""

from __future__ import annotations

import base64
import platform
from contextlib import suppress

from ondol.errors import HomeError
from ondol.homes.client import INVITE_FIELD, KEY_FIELD, HomeClient
from ondol.homes.enrolled import Enrolment, shown
from ondol.homes.homes import Homes
from ondol.homes.invite import Invite
from ondol.i18n import t

ENROL = "/home/v1/enrol"
LEAVE = "/home/v1/leave"
TIMEOUT_SECONDS = 15.0
LONGEST_NAME = 64


def join(homes: Homes, invite: Invite, name: str = "") -> tuple[Enrolment, str]:
    """Enrol this device, as ``name`` or its host name: the home, and what home calls the device.

    Home's certificate must be the one that the invite says. Raises ``EgressError`` where it is
    another, ``InviteError`` for an invite that is no more, ``HomeUnreachableError``.
    """
    there = Enrolment(_host(invite.url), invite.url, invite.fingerprint, "")
    client = HomeClient(there, homes.identity, homes.egress)
    said = client.post(
        ENROL,
        {"name": (name or platform.node() or "device")[:LONGEST_NAME]},
        timeout_seconds=TIMEOUT_SECONDS,
        fields={
            INVITE_FIELD: base64.b64encode(invite.secret).decode("ascii"),
            KEY_FIELD: base64.b64encode(homes.identity.public_key).decode("ascii"),
        },
    )
    try:
        home_name = shown(str(said["home"])[:LONGEST_NAME], there.name)
        device_name = shown(str(said["device"]), name)
    except KeyError:
        raise HomeError(t("homes.garbled", home=there.name), t("homes.status_hint")) from None
    return homes.enrolments.add(home_name, invite.url, invite.fingerprint), device_name


def leave(homes: Homes, home: Enrolment) -> bool:
    """Forget ``home``, and have it forget us; whether it heard that."""
    heard = False
    with suppress(HomeError):
        HomeClient(home, homes.identity, homes.egress).post(
            LEAVE, {}, timeout_seconds=TIMEOUT_SECONDS
        )
        heard = True
    homes.enrolments.remove(home.name)
    return heard


def _host(url: str) -> str:
    return url.partition("://")[2]
