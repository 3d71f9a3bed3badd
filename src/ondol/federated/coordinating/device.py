"""A device's side of a round.

Knows the plan, the learner and the pinned keys; nothing of what carries the messages. Every answer
is on disk before it is given, the same question gets the same bytes, and a round that is over is
not gone back to. Raises ``PlanMismatchError``, ``RoundRefusedError``, ``MalformedMessageError``,
``MaskingError``, and what the learner raises.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import paths
from ondol.errors import MaskingError, PlanMismatchError, RoundRefusedError
from ondol.federated.coordinating import messages, sums
from ondol.federated.coordinating.contributions import Contributions
from ondol.federated.coordinating.journal import Journal, alone, erase, erase_leftovers, keep
from ondol.federated.coordinating.learned import Learned
from ondol.federated.coordinating.messages import LOSS, UPDATE, Message
from ondol.federated.coordinating.secret import SecretPart
from ondol.federated.coordinating.shared import SharedVector
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import (
        Condition,
        Learner,
        Ring,
        Signer,
        Vector,
    )
    from ondol.federated.encoding import Randomness
    from ondol.federated.masking.kept import Memory

SECRET_STAGES = (
    *(messages.KEYS, messages.SHARES, messages.MASK),
    *(messages.SURVIVORS, messages.UNMASK),
)


class Participant:
    """One device in one federation. ``folder`` is its own; ``roster`` gives every member's pinned
    Ed25519 key by node. ``randomness`` is the system's, but where a rehearsal has to come out the
    same again; ``secrets`` gives where those of the sum of "update" or "loss" are kept (by default
    in ``folder``). Safe with several processes at once: they take turns."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        learner: Learner,
        signer: Signer,
        roster: Mapping[int, bytes],
        *,
        condition: Condition | None = None,
        randomness: Randomness | None = None,
        secrets: Callable[[str], Path | Memory] | None = None,
    ) -> None:
        from ondol.federated.entropy import SYSTEM

        self.folder, self.plan, self.learner = folder, plan, learner
        self.contributions = Contributions(folder)
        # A home that is no good one must not fill memory and disk with numbers that nobody needs.
        self._shared = SharedVector(folder, getattr(learner, "size", messages.MOST_LENGTH))
        self._signer, self._roster = signer, roster
        self._condition = condition or (lambda: None)
        self._randomness = randomness or SYSTEM
        self._secrets = secrets or (lambda what: folder / f"masking-{what}")

    @property
    def round(self) -> int:
        """The last round that this device took part in, or 0."""
        try:
            return int(json.loads(self._state.read_bytes())["round"])
        except FileNotFoundError:
            return 0

    def answer(self, stage: str, body: bytes) -> bytes:
        """The answer to one question of home."""
        message = Message(self.plan, body)
        with alone(self.folder):
            if message.round < self.round and stage != messages.READY:
                raise RoundRefusedError(t("federated_rounds.stale", round=message.round))
            said = self._answer(stage, message)
            if message.round == self.round:
                self.contributions.note(message.round, up=len(said), down=len(body))
            return said

    def _answer(self, stage: str, message: Message) -> bytes:
        if stage == messages.READY:
            return self._ready(message)
        if stage == messages.ADOPT:
            return self._adopt(message)
        if stage == messages.TRAIN:
            return self._train(message)
        if message.round != self.round:
            raise RoundRefusedError(t("federated_rounds.not_trained", round=message.round))
        if stage == messages.EVALUATE:
            return self._evaluate(message)
        if stage in SECRET_STAGES and self.plan.aggregation == "secure":
            return self._secret(stage, message)
        raise RoundRefusedError(t("federated_rounds.unknown_stage"))

    def _ready(self, message: Message) -> bytes:
        self._may_take_part()
        return self._said(
            message,
            base_sha256=self.learner.base_sha256,
            template_sha256=self.learner.template_sha256,
            holds=self._shared.digest(),
            last=self.round,
        )

    def _may_take_part(self) -> None:
        ours = (self.learner.base_sha256, self.learner.template_sha256)
        if ours != (self.plan.base_sha256, self.plan.template_sha256):
            raise PlanMismatchError(t("federated_rounds.other_base", model=self.plan.model))
        self._condition()
        if (length := self.contributions.length()) is not None:
            self._within_budget(length, self.plan.min_clients)

    def _within_budget(self, length: int, num_clients: int) -> None:
        """Before anything is sent: a budget that is looked at afterwards is none."""
        if not self.contributions.spending(self.plan, length).may_take_part(num_clients):
            budget = f"{self.plan.epsilon_budget:g}"
            raise RoundRefusedError(t("federated_rounds.budget", budget=budget))

    def _train(self, message: Message) -> bytes:
        if message.round > self.round:
            self._may_take_part()
            self._open(message.round)
        journal = self._journal(message.round)
        return journal.answer(messages.TRAIN, message.asked(), lambda: self._learn(message))

    def _learn(self, message: Message) -> bytes:
        vector = self._shared.of(message)
        folder = self._folder(message.round)
        learned = Learned.of_file(folder)
        is_of_now = learned is not None and learned.start == message.text("start")
        if learned is None or not is_of_now or not learned.may_be_sent(self.learner):
            before = self.contributions.loss_of(messages.digest(vector))
            learned = Learned.by(self.learner, message.round, vector, folder, before)
            learned.keep(folder)
        self.contributions.note(
            message.round,
            num_examples=learned.num_examples,
            loss_before=learned.loss_before,
        )
        if self.plan.aggregation == "secure":
            return self._said(message, start=learned.start)
        self._release(message.round, learned, 1)
        packed = self._packed(learned, message.round)
        return self._said(message, start=learned.start, length=learned.delta.size, update=packed)

    def _packed(self, learned: Learned, round: int) -> bytes:
        from ondol.federated.squeezing import squeeze_ints

        codec = sums.codec(self.plan, round, 1, learned.delta.size)
        return squeeze_ints(self.encoded(learned, round, 1), codec.bits)

    def encoded(self, learned: Learned, round: int, num_clients: int) -> Ring:
        """What of ``learned`` leaves this device, but for its masks."""
        return learned.encoded(self.plan, round, num_clients, self._randomness)

    def _secret(self, stage: str, message: Message) -> bytes:
        what = message.text("sum")
        if what not in messages.SUMS or (what == LOSS and not sums.sums_losses(self.plan)):
            raise RoundRefusedError(t("federated_rounds.unknown_stage"))
        learned = Learned.of_file(self._folder(message.round))
        if learned is None:
            raise RoundRefusedError(t("federated_rounds.not_trained", round=message.round))

        def ring(num_clients: int) -> Ring:
            if what == LOSS:
                return sums.encode_losses((self._loss_shared(message.round), learned.loss_local))
            if not learned.may_be_sent(self.learner):
                raise RoundRefusedError(t("federated_rounds.not_trained", round=message.round))
            self._release(message.round, learned, num_clients)
            return self.encoded(learned, message.round, num_clients)

        vector = learned.start if what == UPDATE else self._shared.digest()
        part = self._part(message.round, what, vector)
        journal = self._journal(message.round)
        work = partial(part.answer, stage, message, learned.delta.size, ring)
        try:
            said = journal.answer(f"{what}-{stage}", message.asked(), work)
        except MaskingError as error:
            if stage != messages.MASK or error.node is None:
                raise
            # Nothing was masked. Whose fault it is helps home to do without that device.
            return messages.write(self.plan, message.round, blamed=error.node)
        if stage == messages.UNMASK:
            # All five answers are kept; the secrets behind them are of no more use.
            part.forget()
        return said

    def _release(self, round: int, learned: Learned, num_clients: int) -> None:
        """Count what leaves before it does, whatever happens next."""
        length = learned.delta.size
        if not self.contributions.has_released(round):
            self._within_budget(length, num_clients)
        self.contributions.note(round, is_masked=True, length=length, num_clients=num_clients)

    def _evaluate(self, message: Message) -> bytes:
        vector = self._shared.of(message)
        journal = self._journal(message.round)
        work = partial(self._measured, message, vector)
        return journal.answer(messages.EVALUATE, message.asked(), work)

    def _measured(self, message: Message, vector: Vector) -> bytes:
        total, tokens = self.learner.evaluate(vector)
        loss = total / max(1, tokens)
        shared = messages.digest(vector)
        self.contributions.note(message.round, loss_shared=loss, shared=shared)
        if self.plan.aggregation == "secure" or not sums.sums_losses(self.plan):
            return self._said(message)
        learned = Learned.of_file(self._folder(message.round))
        local = learned.loss_local if learned else loss
        return self._said(message, losses=sums.encode_losses((loss, local)))

    def _loss_shared(self, round: int) -> float:
        one = self.contributions.of(round)
        if one is not None and one.loss_shared is not None:
            return one.loss_shared
        raise RoundRefusedError(t("federated_rounds.unknown_stage"))

    def _adopt(self, message: Message) -> bytes:
        vector, about = self._shared.of(message), message.json("about")

        def work() -> bytes:
            self.learner.adopt(vector, about)
            return self._said(message)

        journal = Journal(self.folder / "adopted")
        return journal.answer(f"{messages.ADOPT}-{message.round}", message.asked(), work)

    def _open(self, round: int) -> None:
        """Leave what came before: its secrets are erased, and it is never gone back to."""
        before = self.round
        kept = Learned.of_file(self._folder(before)) if before else None
        # Trained for a round that ended before anybody masked: good for the next one, unless the
        # next one learns another part of the vector.
        is_unsent = not self._journal(before).has(f"{UPDATE}-{messages.MASK}")
        is_unsent = is_unsent and self._is_alike(before, round)
        if kept is not None and is_unsent and kept.may_be_sent(self.learner):
            kept.keep(paths.ensure(self._folder(round)))
        for what in messages.SUMS:
            if before:
                # Of a session with somebody who has left since; the next one's keys erase it.
                with suppress(MaskingError):
                    self._part(before, what).forget()
        keep(self._state, json.dumps({"round": round}))
        erase_leftovers(self.folder)
        for folder in self.folder.glob("round-*"):
            if folder != self._folder(round):
                erase(folder)

    def _is_alike(self, before: int, round: int) -> bool:
        """Whether what was learned in one round can be sent in the other."""
        if self.plan.aggregation == "individual":
            return False
        return self.plan.strategy != "rolora" or before % 2 == round % 2

    def _part(self, round: int, what: str, vector: str = "") -> SecretPart:
        return SecretPart(
            self.plan,
            round,
            what,
            vector,
            self._signer,
            self._roster,
            folder=self._folder(round),
            secrets=self._secrets(what),
        )

    def _said(self, message: Message, **fields: Any) -> bytes:
        return messages.write(self.plan, message.round, **fields)

    def _journal(self, round: int) -> Journal:
        return Journal(self._folder(round))

    def _folder(self, round: int) -> Path:
        return self.folder / f"round-{round}"

    @property
    def _state(self) -> Path:
        return self.folder / "state.json"
