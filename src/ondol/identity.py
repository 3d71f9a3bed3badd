"""The device's own key pair: Ed25519 (RFC 8032), made once, kept in the one database.

With it a device signs what it asks of home and the checkpoints of its ledger. The private key never
leaves the table ``identity``, so that a locked library locks it too; a backup carries it along. The
name of a key is its JWK thumbprint (RFC 7638 and RFC 8037), as other programs would compute it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from ondol import database
from ondol.database import Connection

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PUBLIC_KEY_BYTES = 32
_P = (1 << 255) - 19
_Y8 = int.from_bytes(
    bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little"
)
# Also in the encodings that are not reduced: p stands for 0 and p + 1 for 1.
_SMALL_ORDER_Y = frozenset({0, 1, _P - 1, _P, _P + 1, _Y8, _P - _Y8})
SIGNATURE_BYTES = 64
MOST_KNOWN = 16

_known: list[tuple[tuple[bytes, bytes, bytes], ...]] = [()]
"""The last signatures that were made in this process."""


class Identity:
    """Who this device is, and the pen it signs with. Never shows or prints its private key."""

    def __init__(self, private_key: Ed25519PrivateKey) -> None:
        self._private_key = private_key
        self.public_key: bytes = private_key.public_key().public_bytes_raw()
        self.device_id: str = thumbprint(self.public_key)

    @classmethod
    def open(cls, connection: Connection) -> Self:
        """The identity in this database, made now if there is none.

        Works inside a transaction and outside of one; two processes that open a new library at once
        get the same key. Raises ``StorageError`` when it cannot be kept.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        secret = _read(connection)
        if secret is None:
            new = Ed25519PrivateKey.generate().private_bytes_raw()
            if connection.in_transaction:
                _keep(connection, new)
            else:
                with database.transaction(connection):
                    _keep(connection, new)
            secret = _read(connection)
            assert secret is not None
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def sign(self, data: bytes) -> bytes:
        """The signature of ``data``: 64 bytes, always the same for the same data."""
        signature = self._private_key.sign(data)
        # Another tuple each time: who looks at it in another thread looks at a whole one.
        _known[0] = ((self.public_key, signature, data), *_known[0][: MOST_KNOWN - 1])
        return signature


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the holder of ``public_key`` (32 bytes) signed ``data``. Never raises: a key or a
    signature that is none is a "no", and so is a key of small order, for which anybody can sign.
    One that was made here a moment ago is not reckoned again: the head of a ledger is looked at
    with each entry."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if (public_key, signature, data) in _known[0]:
        return True
    if has_small_order(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


def has_small_order(public_key: bytes) -> bool:
    """Whether ``public_key`` is one of the points of order 1, 2, 4 or 8: a signature under such a
    key holds for many texts, or for all of them (Brendel et al. 2020, eprint 2020/1244, table 5).
    """
    if len(public_key) != PUBLIC_KEY_BYTES:
        return False
    # The sign of x is the highest bit; both signs of such a y are of small order.
    return (int.from_bytes(public_key, "little") & (1 << 255) - 1) in _SMALL_ORDER_Y


def thumbprint(public_key: bytes) -> str:
    """The name of a public key: 43 characters of base64url."""
    x = _base64url(public_key)
    # The members of RFC 7638 in its order, without a space.
    jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    return _base64url(hashlib.sha256(jwk.encode("ascii")).digest())


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _read(connection: Connection) -> bytes | None:
    row = connection.execute("SELECT private_key FROM identity").fetchone()
    return None if row is None else bytes(row[0])


def _keep(connection: Connection, secret: bytes) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO identity (id, private_key, created_at) VALUES (1, ?, ?)",
        (secret, datetime.now(UTC).isoformat(timespec="seconds")),
    )
