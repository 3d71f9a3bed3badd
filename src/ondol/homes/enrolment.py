"""Joining a home with an invite, and leaving it."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ondol.errors import HomeError
from ondol.homes.client import INVITE_FIELD, KEY_FIELD, HomeClient
from ondol.homes.enrolled import Enrolment, shown
from ondol.homes.homes import Homes
from ondol.homes.invite import Invite
from ondol.i18n import t

ENROL = "/home/v1/enrol"
LEAVE = "/home/v1/leave"
LOOK = "/home/v1/federations/look"
TIMEOUT_SECONDS = 15.0
LONGEST_NAME = 64


def join(homes: Homes, invite: Invite, name: str = "") -> tuple[Enrolment, str]:
    """Enrol this device, as ``name`` or its host name: the home, and what home calls the device.

    Home's certificate must be the one that the invite says. Raises ``EgressError`` where it is
    another, ``InviteError`` for an invite that is no more, ``HomeUnreachableError``.
    """
    there = _there(invite)
    called = (name or platform.node() or "device")[:LONGEST_NAME]
    said = _say(homes, invite, ENROL, {"name": called})
    try:
        home_name = shown(str(said["home"])[:LONGEST_NAME], there.name)
        device_name = shown(str(said["device"]), name)
    except KeyError:
        raise HomeError(t("homes.garbled", home=there.name), t("homes.status_hint")) from None
    return homes.enrolments.add(home_name, invite.url, invite.fingerprint), device_name


def look(homes: Homes, invite: Invite) -> Mapping[str, Any]:
    """What the federation is that ``invite`` is to, as home says it; the invite stays good."""
    return _say(homes, invite, LOOK, {})


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


def _there(invite: Invite) -> Enrolment:
    return Enrolment(_host(invite.url), invite.url, invite.fingerprint, "")


def _say(homes: Homes, invite: Invite, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What home answers to a device that has an invite and may be a stranger."""
    return HomeClient(_there(invite), homes.identity, homes.egress).post(
        path,
        body,
        timeout_seconds=TIMEOUT_SECONDS,
        fields={
            INVITE_FIELD: base64.b64encode(invite.secret).decode("ascii"),
            KEY_FIELD: base64.b64encode(homes.identity.public_key).decode("ascii"),
        },
    )


def _host(url: str) -> str:
    return url.partition("://")[2]
