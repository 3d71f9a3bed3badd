"""An invite: where home is, how to know it again, and a secret that opens it once.

Written as letters and digits only, so that it can be read out, typed, and put into a small QR code
(its alphanumeric mode). Upper and lower case, spaces and hyphens do not matter.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from ondol.errors import UsageError
from ondol.i18n import t

PREFIX = "ONDOL1"
FEDERATION_PREFIX = "ONDOLF1"
FINGERPRINT_BYTES = 32
SECRET_BYTES = 16
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True, repr=False)
class Invite:
    """``url`` is home's address, ``fingerprint`` the SHA-256 of its certificate (DER). One that
    ``is_to_federation`` enrols the device at home, and makes it a member of a federation there."""

    url: str
    fingerprint: bytes
    secret: bytes
    is_to_federation: bool = False

    def encode(self) -> str:
        """The code, as ``decode`` reads it."""
        content = self.fingerprint + self.secret + self.url.encode("ascii")
        prefix = FEDERATION_PREFIX if self.is_to_federation else PREFIX
        packed = base64.b32encode(content + _check(content, prefix)).decode("ascii").rstrip("=")
        return prefix + packed

    @property
    def secret_hash(self) -> bytes:
        """What home keeps of the secret: random as it is, nothing can be guessed from its hash."""
        return hashlib.sha256(self.secret).digest()


def decode(code: str) -> Invite:
    """The invite that ``code`` says. Raises ``UsageError`` for one that was cut or mistyped."""
    letters = re.sub(r"[\s-]", "", code).upper()
    is_to_federation = letters.startswith(FEDERATION_PREFIX)
    prefix = FEDERATION_PREFIX if is_to_federation else PREFIX
    packed = letters.removeprefix(prefix)
    try:
        if packed == letters:
            raise ValueError
        raw = base64.b32decode(packed + "=" * (-len(packed) % 8))
        content, check = raw[:-_CHECK_BYTES], raw[-_CHECK_BYTES:]
        url = content[FINGERPRINT_BYTES + SECRET_BYTES :].decode("ascii")
        if check != _check(content, prefix) or not url.startswith("https://"):
            raise ValueError
    except (ValueError, binascii.Error):
        raise UsageError(t("homes.bad_code"), t("homes.bad_code_hint"), param="code") from None
    secret = content[FINGERPRINT_BYTES : FINGERPRINT_BYTES + SECRET_BYTES]
    return Invite(url, content[:FINGERPRINT_BYTES], secret, is_to_federation)


def _check(content: bytes, prefix: str) -> bytes:
    kind = b"" if prefix == PREFIX else prefix.encode("ascii")
    return hashlib.sha256(kind + content).digest()[:_CHECK_BYTES]
