"""The members who announced keys in a session: what each of them, and home, works out of that.

Shares travel in ChaCha20-Poly1305 (RFC 8439) under a key for one sender, one recipient and one
transcript, which encrypts one message only. Raises ``MaskingError``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from ondol.errors import MaskingError
from ondol.federated.masking import keys, rows, shares
from ondol.federated.masking.graph import Graph
from ondol.federated.masking.keys import ANNOUNCEMENT_BYTES, Announcement, Secrets
from ondol.federated.masking.session import Session
from ondol.i18n import t

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

SEALED_BYTES = 2 * shares.SHARE_BYTES + 16
_NONCE = bytes(12)


@dataclass(frozen=True, slots=True)
class Circle:
    """``shown`` are the announcements by node id; ``transcript`` stands for all of them."""

    session: Session
    transcript: bytes
    shown: Mapping[int, Announcement]
    graph: Graph

    @classmethod
    def read(cls, session: Session, all_keys: bytes, *, is_checked: bool = False) -> Self:
        """The circle of the keys that home relayed: each signed by its member for this session, no
        two the same, and of enough members. ``is_checked``: they were read before."""
        read = rows.split(all_keys, ANNOUNCEMENT_BYTES, session.roster, "keys")
        shown = {node: Announcement.of_bytes(row) for node, row in read.items()}
        if not is_checked:
            _check(session, shown)
        transcript = keys.transcript(session, all_keys)
        return cls(session, transcript, shown, Graph(transcript, shown, session.threshold))

    def split(
        self, secrets: Secrets, which: Literal["mask", "self_mask"], holders: Sequence[int]
    ) -> list[bytes]:
        """The shares of one of a member's secrets that ``holders`` get."""
        points = [self.graph.point(holder) for holder in holders]
        key = keys.derive(secrets.polynomials, self.transcript, which.encode())
        return shares.split(getattr(secrets, which), points, self.graph.threshold, key)

    def pair_mask(self, private: X25519PrivateKey, owner: int, other: int) -> bytes:
        """The key of the mask that ``owner``, whose private key it is, has in common with
        ``other``."""
        public = self.shown[other].mask
        return keys.pair_mask(private, public, self.transcript, owner, other)

    def seal(self, secrets: Secrets, sender: int, recipient: int, plain: bytes) -> bytes:
        """``plain`` (two shares) of the ``sender``, who holds ``secrets``, for ``recipient``."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        key = self._key(secrets, sender, recipient, other=recipient)
        # The only message under this key: the nonce may be zero.
        return ChaCha20Poly1305(key).encrypt(_NONCE, plain, self.transcript)

    def open(self, secrets: Secrets, sender: int, recipient: int, sealed: bytes) -> bytes:
        """What ``sender`` sealed for ``recipient``, who holds ``secrets``. Raises where it did not,
        or where it was shown other keys."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        key = self._key(secrets, sender, recipient, other=sender)
        try:
            return ChaCha20Poly1305(key).decrypt(_NONCE, sealed, self.transcript)
        except InvalidTag:
            raise MaskingError(
                t("federated_masking.unreadable_shares", node=sender), node=sender
            ) from None

    def agreement(self, survivors: bytes) -> bytes:
        """What each survivor signs: this set of survivors, and no other, in this session."""
        said = hashlib.sha256(survivors).digest()
        return keys.statement("survivors", self.session.digest, self.transcript, said)

    def _key(self, secrets: Secrets, sender: int, recipient: int, *, other: int) -> bytes:
        public = self.shown[other].share
        info = b"shares" + rows.id_bytes(sender) + rows.id_bytes(recipient)
        return keys.derive(keys.agree(secrets.share_key, public, other), self.transcript, info)


def _check(session: Session, shown: Mapping[int, Announcement]) -> None:
    if len(shown) < session.least:
        raise too_few(len(shown), session.least)
    for node, announcement in shown.items():
        announcement.check(session, node)
    public = [key for one in shown.values() for key in (one.mask, one.share)]
    if len(set(public)) < len(public):
        raise MaskingError(t("federated_masking.same_keys"))


def too_few(count: int, needed: int) -> MaskingError:
    """That the round is over: ``count`` members are left."""
    return MaskingError(t("federated_masking.too_few", count=count, needed=needed))
