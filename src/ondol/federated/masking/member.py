"""A device's side of one masked sum: five answers, each of which it gives for one question only.

Asked again with the same bytes, also after it was killed, a member answers the same bytes; asked
with others it refuses. What home says is believed only as far as other members signed it or could
encrypt it. Raises ``MaskingError``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ondol.errors import MaskingError
from ondol.federated.masking import rows, stream
from ondol.federated.masking.circle import SEALED_BYTES, Circle, too_few
from ondol.federated.masking.kept import Disk, Kept, Store
from ondol.federated.masking.keys import Announcement, Secrets, announce
from ondol.federated.masking.session import SMALLEST_SUM, Session
from ondol.federated.masking.shares import SHARE_BYTES
from ondol.i18n import t
from ondol.identity import SIGNATURE_BYTES, verify

if TYPE_CHECKING:
    import numpy as np

    Vector = np.ndarray[Any, np.dtype[np.uint32]]


class Signer(Protocol):
    """The device's key that was pinned when it enrolled (``ondol.identity.Identity``)."""

    public_key: bytes

    def sign(self, data: bytes) -> bytes: ...


class Member:
    """``pinned`` are the keys of all devices that enrolled, this one's among them; ``folder`` is
    the device's for this federation (a ``Memory`` in simulations). In the order of the protocol:
    ``keys``, ``shares``, ``mask``, ``survivors``, ``unmask``; then ``forget``."""

    def __init__(
        self, session: Session, identity: Signer, pinned: Collection[bytes], folder: Path | Store
    ) -> None:
        self.session = session
        self._identity = identity
        self._kept = Kept(Disk(folder) if isinstance(folder, Path) else folder, session)
        for node, key in session.roster.items():
            if key not in pinned:
                raise MaskingError(t("federated_masking.stranger", node=node), node=node)
        mine = [node for node, key in session.roster.items() if key == identity.public_key]
        if not mine:
            raise MaskingError(t("federated_masking.absent"))
        self.node = mine[0]

    def keys(self) -> bytes:
        """This member's public keys for this session, signed."""
        return self._announcement(self._secrets(makes=True)).to_bytes()

    def shares(self, all_keys: bytes) -> bytes:
        """Both secrets in shares, each encrypted for the neighbour that holds it. ``all_keys`` is
        what home relayed of everybody's ``keys``."""
        secrets = self._secrets()
        circle = Circle.read(self.session, all_keys)
        mine = circle.shown.get(self.node)
        if mine != self._announcement(secrets):
            raise MaskingError(t("federated_masking.not_mine"))
        self._kept.settle("keys", all_keys)
        holders = circle.graph.holders(self.node)
        both = zip(
            circle.split(secrets, "mask", holders),
            circle.split(secrets, "self_mask", holders),
            strict=True,
        )
        return rows.join(
            {
                holder: circle.seal(secrets, self.node, holder, mask + self_mask)
                for holder, (mask, self_mask) in zip(holders, both, strict=True)
                if holder != self.node
            }
        )

    def heard(self, bundle: bytes) -> Mapping[int, bytes]:
        """The shares in ``bundle``, by who sent them. Raises what ``mask`` would, before there is
        anything to mask: noise that was drawn and a round's training are not had twice."""
        circle = self._circle()
        received = self._open(circle, self._secrets(), bundle)
        if len(received) + 1 < (needed := max(circle.graph.threshold, SMALLEST_SUM)):
            raise too_few(len(received) + 1, needed)
        return received

    def mask(self, bundle: bytes, vector: Vector) -> Vector:
        """``vector`` (``length`` integers from 0 to ``2**bits - 1``) plus this member's own mask
        and those that it has in common with each neighbour who sent shares. ``bundle`` is what home
        relayed of those."""
        secrets, circle = self._secrets(), self._circle()
        received = self.heard(bundle)
        total = stream.checked(vector, self.session.length, self.session.bits)
        self._kept.settle("bundle", bundle)
        stream.apply(total, secrets.self_mask, adds=True)
        for other in received:
            key = circle.pair_mask(secrets.mask_key, self.node, other)
            stream.apply(total, key, adds=self.node < other)
        self._kept.claim_round()
        masked = stream.reduce(total, self.session.bits)
        self._kept.settle("masked", masked.astype("<u4").tobytes())
        return masked

    def masked(self) -> Vector | None:
        """The vector that was masked in this session before, if one was."""
        import numpy as np

        said = self._kept.read("masked")
        return None if said is None else np.frombuffer(said, "<u4").astype(np.uint32)

    def survivors(self, request: bytes) -> bytes:
        """This member's signature under the set of members whose vectors home has; under one set
        only. Without signatures home could tell each member another set, and put together from
        their shares a sum of fewer vectors than any of them agreed to."""
        self._secrets()  # Not in a session that is over.
        circle = self._circle()
        stayed = rows.split(request, 0, circle.shown, "survivors")
        received = self._sealed(circle, self._kept.must("bundle"))
        neighbours = set(circle.graph.neighbours(self.node)) & stayed.keys()
        if self.node not in stayed or not neighbours <= received.keys():
            raise MaskingError(t("federated_masking.survivors"))
        if len(stayed) < self.session.least:
            raise too_few(len(stayed), self.session.least)
        self._kept.must("masked")
        self._kept.settle("survivors", request)
        return self._identity.sign(circle.agreement(request))

    def unmask(self, request: bytes) -> bytes:
        """The share of the own mask of each neighbour that stayed, and of the common masks of each
        that left: for no member both. ``request`` carries the signatures of the survivors."""
        secrets = self._secrets()
        circle = self._circle()
        request_of_survivors = self._kept.must("survivors")
        stayed = rows.split(request_of_survivors, 0, circle.shown, "survivors")
        signatures = rows.split(request, SIGNATURE_BYTES, stayed, "unmask")
        said = circle.agreement(request_of_survivors)
        for node, signature in signatures.items():
            if not verify(self.session.roster[node], signature, said):
                raise MaskingError(t("federated_masking.unsigned", node=node), node=node)
        if len(signatures) < self.session.threshold:
            raise too_few(len(signatures), self.session.threshold)
        received = self._open(circle, secrets, self._kept.must("bundle"))
        (mine,) = circle.split(secrets, "self_mask", [self.node])
        revealed = {self.node: mine}
        for other, both in received.items():
            mask, self_mask = both[:SHARE_BYTES], both[SHARE_BYTES:]
            revealed[other] = self_mask if other in stayed else mask
        return rows.join(revealed)

    def forget(self) -> None:
        """Erase this session's secrets from the disk: the round is over."""
        self._kept.forget()

    def _secrets(self, *, makes: bool = False) -> Secrets:
        return Secrets.of(self._kept.seed(makes=makes), self.session)

    def _announcement(self, secrets: Secrets) -> Announcement:
        return announce(self.session, self.node, secrets, self._identity.sign)

    def _circle(self) -> Circle:
        # Checked when it was kept.
        return Circle.read(self.session, self._kept.must("keys"), is_checked=True)

    def _sealed(self, circle: Circle, bundle: bytes) -> Mapping[int, bytes]:
        return rows.split(bundle, SEALED_BYTES, circle.graph.neighbours(self.node), "shares")

    def _open(self, circle: Circle, secrets: Secrets, bundle: bytes) -> Mapping[int, bytes]:
        sealed = self._sealed(circle, bundle)
        return {
            sender: circle.open(secrets, sender, self.node, box) for sender, box in sealed.items()
        }
