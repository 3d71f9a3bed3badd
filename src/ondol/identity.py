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
SIGNATURE_BYTES = 64


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
        return self._private_key.sign(data)


def verify(public_key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the holder of ``public_key`` (32 bytes) signed ``data``. Never raises: a key or a
    signature that is none is a "no"."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


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
