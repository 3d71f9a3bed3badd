"""What a device does for one sum that home sees nothing but the total of.

Five questions ("keys", "shares", "mask", "survivors", "unmask"), answered by ``masking.Member``.
Which members are in the sum is said once, with the first question, and kept: the others rely on it.
Raises ``MaskingError``, ``RoundRefusedError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import RoundRefusedError
from ondol.federated.coordinating import messages, sums
from ondol.federated.coordinating.journal import keep
from ondol.federated.coordinating.messages import Message
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Ring, Signer
    from ondol.federated.masking.kept import Memory
    from ondol.federated.masking.member import Member


class SecretPart:
    """A device's part in the sum of ``what`` in one round; ``vector`` is the digest of the shared
    vector that is spoken of. ``folder`` is the round's;
    ``secrets`` outlive rounds, so that no number is masked under twice."""

    def __init__(
        self,
        plan: Plan,
        round: int,
        what: str,
        vector: str,
        signer: Signer,
        roster: Mapping[int, bytes],
        *,
        folder: Path,
        secrets: Path | Memory,
    ) -> None:
        self._plan, self._round, self._what, self._vector = plan, round, what, vector
        self._signer, self._roster = signer, roster
        self._file = folder / f"{what}.session"
        self._secrets = secrets

    def answer(
        self, stage: str, message: Message, length: int, ring: Callable[[int], Ring]
    ) -> bytes:
        """The answer to ``stage``. ``length`` is how many numbers the update has; ``ring`` gives
        what is to be masked in a sum of so many, and is called once a round, unless it was killed
        before its masks were laid on."""
        if stage == messages.KEYS:
            return self._said(reply=self._begin(message, length).keys())
        member = self._member()
        relay = message.raw("relay")
        if stage == messages.SHARES:
            return self._said(reply=member.shares(relay))
        if stage == messages.MASK:
            return self._mask(member, relay, ring)
        if stage == messages.SURVIVORS:
            return self._said(reply=member.survivors(relay))
        return self._said(reply=member.unmask(relay))

    def forget(self) -> None:
        """Erase the sum's secrets: the round is over."""
        if self._file.exists():
            self._member().forget()
            self._file.unlink()

    def _begin(self, message: Message, length: int) -> Member:
        nodes = message.nodes("nodes")
        if self._signer.public_key not in {self._roster.get(node) for node in nodes}:
            raise RoundRefusedError(t("federated_rounds.not_chosen"))
        session = sums.session(
            self._plan,
            self._round,
            self._what,
            nodes,
            self._roster,
            length=length,
            vector=self._vector,
        )
        keep(self._file, json.dumps(session.json()))
        return self._member()

    def _member(self) -> Member:
        from ondol.federated.masking.member import Member
        from ondol.federated.masking.session import Session

        try:
            session = Session.of(json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            raise RoundRefusedError(t("federated_rounds.no_keys")) from None
        return Member(session, self._signer, frozenset(self._roster.values()), self._secrets)

    def _mask(self, member: Member, relay: bytes, ring: Callable[[int], Ring]) -> bytes:
        from ondol.federated.packing import pack_bits

        masked = member.masked()
        if masked is None:
            # What is wrong with the shares shows before privacy is spent and work is done.
            member.heard(relay)
            masked = member.mask(relay, ring(len(member.session.roster)))
        return self._said(masked=pack_bits(masked, member.session.bits))

    def _said(self, **fields: bytes) -> bytes:
        return messages.write(self._plan, self._round, **fields)
