"""What ``ondol up --phone`` shows: where to point the phone's camera."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ondol.cli.output import Output
from ondol.cli.qr import draw
from ondol.errors import OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.cli.remote import Server


def invite(server: Server, output: Output) -> dict[str, Any] | None:
    """Open the running server's door for phones, and get a code that lets one in. Where that cannot
    be, it says why: the server itself is up."""
    try:
        server.open_phone_door()
        shown = server.pairing()
    except OndolError as error:
        output.warn(" ".join(filter(None, (error.message, error.hint))))
        return None
    return {name: shown[name] for name in ("url", "code", "fingerprint", "expires_at")}


def show(invitation: Mapping[str, Any], output: Output) -> None:
    """The address, and as a code for the phone's camera."""
    from ondol.server.door.pairing import CODE_SECONDS

    output.line(invitation["url"])
    if output.quiet:
        return
    if sys.stdout.isatty():
        output.line(draw(invitation["url"]))
    output.note(t("phone.open_on_phone", minutes=CODE_SECONDS // 60))
    output.note(t("phone.trust_hint"))
    output.note(t("phone.fingerprint", fingerprint=invitation["fingerprint"]))
