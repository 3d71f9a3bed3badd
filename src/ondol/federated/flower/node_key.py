"""The key by which a home's SuperLink knows a device of one federation.

Flower authenticates its nodes by ECDSA keys, Ondol's devices have Ed25519 ones: so that there is no
second secret to keep, this one is made from a signature of the device's identity (RFC 8032: the
same data is always signed the same way) by HKDF (RFC 5869). Another federation gets another key:
two homes cannot tell by it that they know the same device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

LABEL = b"ondol federation node key 1\n"
# A byte less than P-384's order has: every such number is a private key.
_SECRET_BYTES = 47


class Signer(Protocol):
    """``ondol.identity.Identity``."""

    def sign(self, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class NodeKey:
    """``public_key`` (PEM) is what home is told when the device joins; ``private_pem`` never leaves
    the device."""

    public_key: str
    private_pem: bytes

    def __repr__(self) -> str:
        return "NodeKey(…)"

    @classmethod
    def of(cls, identity: Signer, federation: str) -> Self:
        """The key of ``identity`` in ``federation``: the same one each time."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives import serialization as form
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        signature = identity.sign(LABEL + federation.encode())
        secret = HKDF(hashes.SHA256(), _SECRET_BYTES, None, LABEL).derive(signature)
        key = ec.derive_private_key(int.from_bytes(secret) + 1, ec.SECP384R1())
        public = key.public_key().public_bytes(
            form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo
        )
        private = key.private_bytes(
            form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption()
        )
        return cls(public.decode("ascii"), private)


def is_public_key(text: str) -> bool:
    """Whether ``text`` is a key that a home may admit: P-384, in the form of ``public_key``."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    if len(text) > 1024:
        return False
    try:
        key = form.load_pem_public_key(text.encode("ascii"))
    except ValueError:
        return False
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp384r1":
        return False
    # Written in one way only: else one key would pass for two.
    written = key.public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    return written == text.encode("ascii")
