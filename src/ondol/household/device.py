"""What answers home's questions on this device, and what its owner sees of it: each round's part in
the database, and an entry in the ledger for every update that was sent.

Raises what ``coordinating.device`` raises; what home is told of a device that does not take part is
that it does not, never why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ondol.errors import RoundRefusedError
from ondol.federated.members import keys_of
from ondol.household import layouts, leaving, readiness
from ondol.household.federations import Federation, Federations
from ondol.household.learner import Learner
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.federated.coordinating.device import Participant
    from ondol.federated.learning.strategies import Learning

KIND = "round"
"""Of entries in the ledger: an update was sent."""
PURPOSE = "federation"


class Doing(NamedTuple):
    """What a device does in ``round``: it learns, its update is added up with the others', the new
    shared adapter is measured, or it has done its share of a stage and ``waits``."""

    round: int
    what: Literal["learns", "adds", "measures", "waits"]


class FederatedDevice:
    """A ``grid.Device`` for the federation ``id``; ``make`` as ``Learner`` has it. ``on_news`` is
    told that a round has begun, or that what came of the last one is here. ``doing`` is for whoever
    watches. ``close`` it."""

    def __init__(
        self,
        parts: Parts,
        id: str,
        make: Callable[[Path], Learning] | None = None,
        on_news: Callable[[], None] = lambda: None,
    ) -> None:
        self.doing: Doing | None = None
        self._parts, self._id, self._on_news = parts, id, on_news
        self._learner = Learner(parts, id, make)

    def answer(self, stage: str, body: bytes) -> bytes:
        """The answer to one question; what it was is written down."""
        from ondol.federated.coordinating.messages import Message

        with Federations.open() as kept:
            one = kept.get(self._id)
            if one.state == "ended":
                raise RoundRefusedError(t("household.not_now"))
            number = Message(one.plan, body).round
            participant = self._participant(kept, one)
            self._check_remembered(kept, participant, number)
            self._remember_spent(kept, one, participant)
            try:
                said = self._seen(stage, number, lambda: participant.answer(stage, body))
            finally:
                if not kept.has(one.id):  # left meanwhile: nothing of it stays
                    leaving.erase(leaving.folder(one.id))
            self._note(kept, one, participant, number, said)
            return said

    def _seen(self, stage: str, number: int, work: Callable[[], bytes]) -> bytes:
        """The answer that ``work`` gives, with what goes on there for all to see."""
        from ondol.federated.coordinating.messages import ADOPT, EVALUATE, READY, TRAIN

        if stage == READY:
            return work()
        before, self.doing = self.doing, None
        if stage != ADOPT:
            now: Literal["learns", "adds", "measures"] = "adds"
            if stage in (TRAIN, EVALUATE):
                now = "learns" if stage == TRAIN else "measures"
            self.doing = Doing(number, now)
            if before is None or before.round != number:
                self._on_news()
        try:
            said = work()
        except BaseException:
            self.doing = None
            raise
        if stage == ADOPT:
            self._on_news()
        else:
            self.doing = Doing(number, "waits")
        return said

    def close(self) -> None:
        """End the process that learns."""
        self._learner.close()

    def _participant(self, kept: Federations, one: Federation) -> Participant:
        """Built anew for each question: members may have come since, and all else is on disk."""
        from ondol.federated.coordinating.device import Participant

        return Participant(
            leaving.folder(one.id),
            one.plan,
            self._learner,
            self._parts.oversight.homes.identity,
            keys_of(one.members),
            condition=lambda: self._may(kept, one),
        )

    def _may(self, kept: Federations, one: Federation) -> None:
        found = readiness.of(self._parts, one)
        if found.reasons:
            raise RoundRefusedError(t("household.not_now"))

    def _check_remembered(self, kept: Federations, participant: Participant, number: int) -> None:
        """A folder in memory is gone after a restart, and with it which round was the last: of a
        round that is in the database nothing is sent a second time."""
        last = max((each.number for each in kept.rounds(self._id) if each.took_part), default=0)
        if participant.round < last and number <= last:
            raise RoundRefusedError(t("household.not_now"))

    def _remember_spent(self, kept: Federations, one: Federation, participant: Participant) -> None:
        """What such a folder knew of the rounds that privacy was spent in is gone with it: they
        count all the same."""
        known = {each.number for each in participant.contributions.all() if each.is_masked}
        for each in kept.rounds(one.id):
            if each.took_part and each.number not in known:
                length = layouts.layout_for(self._parts, one.plan).length(each.number)
                participant.contributions.note(
                    each.number, is_masked=True, length=length, num_clients=one.plan.min_clients
                )

    def _note(
        self, kept: Federations, one: Federation, participant: Participant, number: int, said: bytes
    ) -> None:
        """Keep this device's part in the round beside home's record; once, when an update left, in
        the ledger too."""
        found = participant.contributions.of(number)
        if found is None or not kept.has(one.id):
            return
        before = kept.round(one.id, number)
        is_new = found.is_masked and not before.took_part
        mine = replace(
            before,
            took_part=before.took_part or found.is_masked,
            num_examples=found.num_examples,
            bytes_up=found.bytes_up,
            bytes_down=found.bytes_down,
            loss_before=found.loss_before,
            loss_after=found.loss_shared,
            digest=hashlib.sha256(said).hexdigest() if is_new else before.digest,
        )
        kept.note(one.id, mine)
        if is_new:
            spending = participant.contributions.spending(one.plan, found.length)
            kept.spend(one.id, spending.spent().json()["epsilon"])
            self._parts.ledger.append(
                Entry(
                    KIND,
                    reasons=(f"round:{number}", f"sha256:{mine.digest}"),
                    destination=one.url,
                    purpose=PURPOSE,
                    model=one.plan.model,
                    bytes_out=len(said),
                    bytes_in=found.bytes_down,
                    request=one.id,
                )
            )
