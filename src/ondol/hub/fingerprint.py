"""The fingerprint of a hub: what its operator shows and its owner compares, once.

It is the SHA-256 of the first root's signed part in canonical JSON (TUF specification 4.2), as TUF
signs it, so that nobody who adds a signature changes it. All that follows comes through the chain
of roots (TUF specification 5.3). Raises ``UsageError``; ``UntrustedError`` for what is no root.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re

from ondol.errors import UntrustedError, UsageError
from ondol.hub.targets import NAME
from ondol.i18n import t

PREFIX = "ONDOLHUB1-"
_LETTERS = re.compile(r"[A-Z2-7]{52}")


def fingerprint_of(root: bytes) -> str:
    """``ONDOLHUB1-`` and 52 letters of base32, for the bytes of ``1.root.json``."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    try:
        found: Metadata[Root] = Metadata[Root].from_bytes(root)
        if not isinstance(found.signed, Root) or found.signed.version != 1:
            raise UntrustedError(t("hub_client.no_root"), t("hub_client.no_root_hint"))
        signed = found.signed_bytes
    except (RepositoryError, ValueError, RecursionError) as error:
        raise UntrustedError(t("hub_client.no_root"), t("hub_client.no_root_hint")) from error
    letters = base64.b32encode(hashlib.sha256(signed).digest()).decode().rstrip("=")
    return PREFIX + letters


def name_in(root: bytes) -> str:
    """What a hub calls itself, as a name that a hub may have here; "" where that is none. ``root``
    was verified."""
    found = json.loads(root)["signed"].get("x-ondol-hub-name", "")
    slug = re.sub(r"[^a-z0-9]+", "-", str(found).lower()).strip("-")[:40].strip("-")
    return slug if NAME.fullmatch(slug) else ""


def normalised(text: str) -> str:
    """``text`` as ``fingerprint_of`` writes it: people write it in small letters and in groups."""
    plain = "".join(text.split()).upper()
    letters = plain.removeprefix(PREFIX).replace("-", "")
    if not plain.startswith(PREFIX) or not _LETTERS.fullmatch(letters):
        raise UsageError(
            t("hub_client.bad_fingerprint"),
            t("hub_client.bad_fingerprint_hint"),
            param="fingerprint",
        )
    return PREFIX + letters


def matches(one: str, other: str) -> bool:
    """Whether the two are the same, however they are written."""
    return hmac.compare_digest(normalised(one), normalised(other))
