"""A member's keys for one session: all derived from one seed, so that a process that was killed has
them again, and announced under the Ed25519 key that was pinned when its device enrolled.

Two X25519 pairs (RFC 7748): ``mask`` agrees on the masks of two members, and goes to home in shares
when its owner drops out; ``share`` encrypts shares and is never given away. ``self_mask`` seeds the
mask of one member alone, and goes to home in shares when its owner stays. HKDF is RFC 5869's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

from ondol.errors import MaskingError
from ondol.federated.masking.rows import id_bytes, malformed
from ondol.federated.masking.session import Session
from ondol.i18n import t
from ondol.identity import SIGNATURE_BYTES, verify

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

SECRET_BYTES = 32
ANNOUNCEMENT_BYTES = 3 * SECRET_BYTES + SIGNATURE_BYTES
_ANY_SECRET = bytes(SECRET_BYTES)
_DOMAIN = b"ondol federated masking 1, "


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a member shows of its keys: both public keys, a commitment to ``self_mask``, and its
    signature over them, the session and its node id."""

    mask: bytes
    share: bytes
    commitment: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        """``ANNOUNCEMENT_BYTES`` bytes."""
        return self.mask + self.share + self.commitment + self.signature

    @classmethod
    def of_bytes(cls, data: bytes) -> Self:
        """What ``to_bytes`` wrote. Raises ``MaskingError`` for another size."""
        if len(data) != ANNOUNCEMENT_BYTES:
            raise malformed("keys")
        size = SECRET_BYTES
        return cls(data[:size], data[size : 2 * size], data[2 * size : 3 * size], data[3 * size :])

    def check(self, session: Session, node: int) -> None:
        """Raises ``MaskingError`` unless ``node`` signed this for this session."""
        said = _announced(session, node, self.to_bytes()[:-SIGNATURE_BYTES])
        if not verify(session.roster[node], self.signature, said):
            raise MaskingError(t("federated_masking.forged", node=node), node=node)

    def check_points(self, node: int) -> None:
        """Raises ``MaskingError`` for a key of small order. Members notice when they use it; home,
        before all of them do."""
        for key in (self.mask, self.share):
            agree(private_key(_ANY_SECRET), key, node)


@dataclass(frozen=True, repr=False)
class Secrets:
    """The private side, of one seed (32 random bytes) for one session."""

    mask: bytes
    share: bytes
    self_mask: bytes
    polynomials: bytes

    @classmethod
    def of(cls, seed: bytes, session: Session) -> Self:
        """All of a member's secrets."""
        names = (b"mask", b"share", b"self mask", b"polynomials")
        return cls(*(derive(seed, session.digest, name) for name in names))

    @cached_property
    def mask_key(self) -> X25519PrivateKey:
        """``mask``, ready to agree with many."""
        return private_key(self.mask)

    @cached_property
    def share_key(self) -> X25519PrivateKey:
        """``share``, ready to agree with many."""
        return private_key(self.share)


def announce(
    session: Session, node: int, secrets: Secrets, sign: Callable[[bytes], bytes]
) -> Announcement:
    """What ``node`` shows of its ``secrets``; ``sign`` is its Ed25519 key's."""
    shown = public(secrets.mask_key), public(secrets.share_key), commit(session, secrets.self_mask)
    return Announcement(*shown, sign(_announced(session, node, b"".join(shown))))


def commit(session: Session, self_mask: bytes) -> bytes:
    """What binds a member to the 32 random bytes of its ``self_mask`` and says nothing about them:
    with it home notices shares that are wrong."""
    return hashlib.sha256(statement("commitment", session.digest, self_mask)).digest()


def transcript(session: Session, all_keys: bytes) -> bytes:
    """What stands for the keys that all members were shown. It is in every key and every encryption
    that follows: members to whom home showed different keys cannot read each other's shares."""
    return hashlib.sha256(statement("transcript", session.digest, all_keys)).digest()


def _announced(session: Session, node: int, shown: bytes) -> bytes:
    return statement("keys", session.digest, id_bytes(node), shown)


def statement(about: str, *parts: bytes) -> bytes:
    """Bytes to sign or hash that mean one thing only. All parts but the last have fixed sizes."""
    return _DOMAIN + about.encode() + b"\0" + b"".join(parts)


def derive(secret: bytes, salt: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), SECRET_BYTES, salt, _DOMAIN + info).derive(secret)


def private_key(secret: bytes) -> X25519PrivateKey:
    """An X25519 private key; any 32 bytes are one."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(secret)


def public(private: X25519PrivateKey) -> bytes:
    """Its public key."""
    return private.public_key().public_bytes_raw()


def pair_mask(
    private: X25519PrivateKey, public_key: bytes, salt: bytes, one: int, other: int
) -> bytes:
    """The key of the mask of two members: the same from both sides."""
    first, second = sorted((one, other))
    info = b"pair mask" + id_bytes(first) + id_bytes(second)
    return derive(agree(private, public_key, other), salt, info)


def agree(private: X25519PrivateKey, public_key: bytes, other: int) -> bytes:
    """X25519's secret with the ``public_key`` of member ``other``; only for ``derive``."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    try:
        return private.exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError:
        # A point of small order: the secret would be zero, and known to all (RFC 7748, 6.1).
        raise MaskingError(t("federated_masking.unsafe_key", node=other), node=other) from None
