"""What is shown of an invite to this home, or to a federation of it."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ondol.cli.output import Output, clean
from ondol.cli.qr import draw
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.homes.invite import Invite
    from ondol.parts import Parts


def show_invite(made: Invite, name: str, url: str, output: Output) -> None:
    """The code, and what to do with it."""
    from ondol.home.registry import INVITE_SECONDS
    from ondol.home.serving import running

    code, minutes = made.encode(), INVITE_SECONDS // 60
    if output.json:
        body = {"code": code, "url": url, "fingerprint": made.fingerprint.hex(), "name": name}
        output.emit(body | {"expires_in_seconds": INVITE_SECONDS})
        return
    if output.quiet:
        output.line(code)
        return
    if name:
        output.line(t("home.invite_for", name=clean(name), minutes=minutes, url=url))
    else:
        output.line(t("home.invite_for_any", minutes=minutes, url=url))
    output.line()
    output.line(f"  {code}")
    output.line()
    if sys.stdout.isatty():
        output.line(draw(code))
    output.note(t("federation_cli.invite_hint" if made.is_to_federation else "home.invite_hint"))
    if running() is None:
        output.note(t("home.not_running"))
    if urlsplit(url).hostname == "127.0.0.1":
        output.note(t("home.loopback", url=url))


def url_of(address: str, parts: Parts) -> str:
    """How devices reach this home: as the owner says, or as it looks from here."""
    from ondol.home.serving import reachable_url, running

    here = running()
    port = here.port if here else parts.config["home.port"]
    if not address:
        return reachable_url(here.host if here else parts.config["home.host"], port)
    try:
        parts_of = urlsplit(f"//{address}")
        host, port = parts_of.hostname, parts_of.port or port
        is_plain = not (parts_of.path or parts_of.query or parts_of.username)
    except ValueError:
        host, is_plain = None, False
    if not (host and is_plain and re.fullmatch(r"[A-Za-z0-9.:_-]+", host)):
        raise UsageError(
            t("home.bad_address", address=address), t("home.bad_address_hint"), param="address"
        )
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
