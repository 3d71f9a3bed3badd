"""Home's side of one masked sum: it relays, and adds. Honest homes need nothing of this to be right
for the members' secrecy; it is what makes the sum exact whoever leaves, and says who was at fault.

Each relay is fixed by its first call: who answers late is out. A new adder that is given the same
answers says the same: after a kill the caller, who keeps the answers, asks it all again. Raises
``MaskingError`` where too few members are left.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ondol.errors import MaskingError
from ondol.federated.masking import keys, rows, shares, stream
from ondol.federated.masking.circle import SEALED_BYTES, Circle, too_few
from ondol.federated.masking.keys import Announcement
from ondol.federated.masking.session import Session
from ondol.i18n import t
from ondol.identity import SIGNATURE_BYTES, verify

if TYPE_CHECKING:
    import numpy as np
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    Vector = np.ndarray[Any, np.dtype[np.uint32]]


class Adder:
    """``refused`` says of members whose answers were not taken why, by node id."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.refused: dict[int, str] = {}
        self._keys = b""
        self._shares: dict[int, bytes] = {}
        self._survivors = b""
        self._signatures = b""

    def relay_keys(self, answers: Mapping[int, bytes]) -> bytes:
        """What every member who announced keys is asked ``shares`` with."""
        if not self._keys:
            good: dict[int, bytes] = {}
            seen: set[bytes] = set()
            for node, answer in self._expected(answers, self.session.roster):
                try:
                    shown = Announcement.of_bytes(answer)
                    shown.check(self.session, node)
                    shown.check_points(node)
                except MaskingError as error:
                    self.refused[node] = error.message
                    continue
                if {shown.mask, shown.share} & seen or shown.mask == shown.share:
                    self.refused[node] = t("federated_masking.same_keys")
                    continue
                seen |= {shown.mask, shown.share}
                good[node] = answer
            self._enough(good, self.session.least)
            self._keys = rows.join(good)
        return self._keys

    def relay_shares(self, answers: Mapping[int, bytes]) -> dict[int, bytes]:
        """What each member who sent shares is asked ``mask`` with: the shares that its neighbours
        encrypted for it."""
        circle = self._circle()
        if not self._shares:
            good: dict[int, bytes] = {}
            for node, answer in self._expected(answers, circle.shown):
                neighbours = circle.graph.neighbours(node)
                try:
                    sealed = rows.split(answer, SEALED_BYTES, neighbours, "shares")
                    if len(sealed) < len(neighbours):
                        raise rows.malformed("shares")
                except MaskingError as error:
                    self.refused[node] = error.message
                    continue
                good[node] = answer
            self._enough(good, self.session.least)
            self._shares = good
        sent = {
            node: rows.split(answer, SEALED_BYTES, circle.graph.neighbours(node), "shares")
            for node, answer in self._shares.items()
        }
        return {
            node: rows.join({n: sent[n][node] for n in circle.graph.neighbours(node) if n in sent})
            for node in sent
        }

    def ask_survivors(self, nodes: Iterable[int]) -> bytes:
        """What each of ``nodes``, whose masked vectors are here, is asked ``survivors`` with."""
        if not self._survivors:
            stayed = {
                node: b"" for node, _ in self._expected(dict.fromkeys(nodes, b""), self._shares)
            }
            self._enough(stayed, self.session.least)
            self._survivors = rows.join(stayed)
        return self._survivors

    @property
    def stayed(self) -> list[int]:
        """The members whose vectors the sum is of, ascending."""
        return list(rows.split(self._survivors, 0, self.session.roster, "survivors"))

    def ask_unmask(self, answers: Mapping[int, bytes]) -> bytes:
        """What each survivor is asked ``unmask`` with: the signatures of them all."""
        if not self._signatures:
            said = self._circle().agreement(self._survivors)
            good: dict[int, bytes] = {}
            for node, answer in self._expected(answers, self.stayed):
                if len(answer) == SIGNATURE_BYTES and verify(
                    self.session.roster[node], answer, said
                ):
                    good[node] = answer
                else:
                    self.refused[node] = t("federated_masking.unsigned", node=node)
            self._enough(good, self.session.threshold)
            self._signatures = rows.join(good)
        return self._signatures

    def sum(self, masked: Mapping[int, Vector], answers: Mapping[int, bytes]) -> Vector:
        """The sum modulo ``2**bits`` of the vectors of the members that stayed. ``masked`` holds
        what they answered to ``mask`` (looked up once each: it may read from a disk), ``answers``
        what came to ``unmask``, of ``threshold`` members or more."""
        circle = self._circle()
        stayed = self.stayed
        held = self._revealed(circle, answers)
        total = stream.words(self.session.length, self.session.bits)
        for node in stayed:
            total += stream.checked(masked[node], self.session.length, self.session.bits)
            stream.apply(total, self._self_mask(circle, node, held[node]), adds=False)
        for node in self._shares.keys() - set(stayed):
            private = self._mask_key(circle, node, held[node])
            for other in set(circle.graph.neighbours(node)) & set(stayed):
                # What ``other`` added is taken off, and the other way round.
                key = circle.pair_mask(private, node, other)
                stream.apply(total, key, adds=node < other)
        return stream.reduce(total, self.session.bits)

    def _circle(self) -> Circle:
        return Circle.read(self.session, self._keys, is_checked=True)

    def _expected(
        self, answers: Mapping[int, bytes], known: Collection[int]
    ) -> Iterable[tuple[int, bytes]]:
        for node in sorted(answers):
            if node in known:
                yield node, answers[node]
            else:
                self.refused.setdefault(node, t("federated_masking.late", node=node))

    def _enough(self, nodes: Collection[int], needed: int) -> None:
        if len(nodes) < needed:
            raise too_few(len(nodes), needed)

    def _revealed(
        self, circle: Circle, answers: Mapping[int, bytes]
    ) -> dict[int, dict[int, bytes]]:
        """For each member that sent shares: those of them that came, by the point of the holder."""
        held: dict[int, dict[int, bytes]] = {node: {} for node in self._shares}
        good = []
        for node, answer in self._expected(answers, self.stayed):
            owners = [n for n in circle.graph.holders(node) if n in held]
            try:
                revealed = rows.split(answer, shares.SHARE_BYTES, owners, "unmask")
                if len(revealed) < len(owners):
                    raise rows.malformed("unmask")
            except MaskingError as error:
                self.refused[node] = error.message
                continue
            good.append(node)
            for owner, share in revealed.items():
                held[owner][circle.graph.point(node)] = share
        self._enough(good, self.session.threshold)
        return held

    def _self_mask(self, circle: Circle, node: int, held: Mapping[int, bytes]) -> bytes:
        for secret in self._combined(circle, held):
            if keys.commit(self.session, secret) == circle.shown[node].commitment:
                return secret
        raise MaskingError(t("federated_masking.wrong_shares", node=node), node=node)

    def _mask_key(self, circle: Circle, node: int, held: Mapping[int, bytes]) -> X25519PrivateKey:
        for secret in self._combined(circle, held):
            private = keys.private_key(secret)
            if keys.public(private) == circle.shown[node].mask:
                return private
        raise MaskingError(t("federated_masking.wrong_shares", node=node), node=node)

    def _combined(self, circle: Circle, held: Mapping[int, bytes]) -> Iterable[bytes]:
        """What the shares give: of the first that are enough, and then of others, in case that one
        of their holders lies."""
        self._enough(held, circle.graph.threshold)
        points = sorted(held)
        for start in range(len(points)):
            some = (points[start:] + points[:start])[: circle.graph.threshold]
            if (secret := shares.combine({point: held[point] for point in some})) is not None:
                yield secret
            if len(points) == circle.graph.threshold:
                return
