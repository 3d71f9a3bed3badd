"""The open round as home holds it: each stage once, its answers on the disk before the next."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ondol.errors import MaskingError, RoundFailedError
from ondol.federated.coordinating import asking, checks, messages, sums
from ondol.federated.coordinating.asking import Check, Heard, Patience
from ondol.federated.coordinating.messages import UPDATE, Message
from ondol.federated.coordinating.state import OpenRound
from ondol.federated.grid import Grid
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import OnEvent, Ring
    from ondol.federated.masking.adder import Adder
    from ondol.federated.masking.session import Session


class Round:
    """One round: who is in it, and what they answered. Raises ``RoundFailedError``."""

    def __init__(
        self,
        plan: Plan,
        grid: Grid,
        opened: OpenRound,
        patience: Patience,
        *,
        on_event: OnEvent,
        wait: Callable[[float], None],
    ) -> None:
        self.plan, self.grid, self.opened = plan, grid, opened
        self.number = opened.number
        self._patience, self._on_event, self._wait = patience, on_event, wait
        self._began = time.monotonic()
        self.left_out: set[int] = set()
        if not opened.about.at:
            opened.note(at=datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def seconds(self) -> float:
        """Since this process took it up."""
        return time.monotonic() - self._began

    def ask(
        self,
        stage: str,
        bodies: Mapping[int, bytes],
        check: Check,
        *,
        need: int,
        name: str = "",
        is_training: bool = False,
    ) -> dict[int, bytes]:
        """The answers to ``stage``, from the disk if it is over. Raises where fewer than ``need``
        stand."""
        name = name or stage
        if (kept := self.opened.stage(name)) is not None:
            return kept[0]
        self._on_event("stage", {"round": self.number, "stage": name, "clients": len(bodies)})
        heard = asking.ask(
            self.grid,
            stage,
            bodies,
            need=need,
            check=check,
            patience=self._patience,
            most_seconds=self._patience.training if is_training else math.inf,
            wait=self._wait,
        )
        self.hear(name, heard)
        if len(heard.answers) < need:
            raise RoundFailedError(
                t("federated_rounds.too_few", stage=name, count=len(heard.answers), needed=need)
            )
        self.opened.keep_stage(name, heard.answers)
        return heard.answers

    def hear(self, name: str, heard: Heard, **fields: Any) -> None:
        """Note who was not heard in a stage, and how much was said."""
        about = self.opened.about
        self.opened.note(
            dropped={**{str(node): name for node in heard.dropped}, **about.dropped},
            refused={**{str(node): why for node, why in heard.refused.items()}, **about.refused},
            bytes_up=about.bytes_up + heard.bytes_up,
            bytes_down=about.bytes_down + heard.bytes_down,
            **fields,
        )

    def secret_sum(
        self,
        what: str,
        nodes: Sequence[int],
        roster: Mapping[int, bytes],
        *,
        length: int,
        vector: str,
    ) -> tuple[Ring, list[int]]:
        """The sum of ``what`` over those of ``nodes`` that stayed, and who they are."""
        try:
            session = sums.session(
                self.plan, self.number, what, nodes, roster, length=length, vector=vector
            )
            return SecretSum(self, what, session).total()
        except MaskingError as error:
            raise RoundFailedError(error.message) from error

    def refuse(self, reasons: Mapping[int, str]) -> None:
        """Note why answers were not taken."""
        refused = {str(node): why for node, why in reasons.items()}
        self.opened.note(refused={**refused, **self.opened.about.refused})

    def released(self) -> int:
        """Of how many devices something of an update may have left: those who trained, once they
        could be asked for it; 0 before."""
        is_secret = self.plan.aggregation == "secure"
        last = f"{UPDATE}-{messages.SHARES}" if is_secret else messages.TRAIN
        trained = self.opened.stage(messages.TRAIN)
        return len(trained[0]) if trained and self.opened.stage(last) is not None else 0


class SecretSum:
    """The five stages of one masked sum (``masking.Adder``), each fixed on the disk."""

    def __init__(self, held: Round, what: str, session: Session) -> None:
        from ondol.federated.masking.adder import Adder

        self._held, self._what, self.session = held, what, session
        self._adder: Adder = Adder(self.session)
        self._blames: dict[int, int] = {}

    def total(self) -> tuple[Ring, list[int]]:
        """The sum modulo 2**bits, and the nodes whose vectors are in it."""
        session, adder = self.session, self._adder
        least = session.least
        nodes = sorted(session.roster)
        keys = self._ask(messages.KEYS, _same(nodes, nodes=nodes), "reply", least)
        relay = adder.relay_keys(keys)
        shown = self._left(keys)
        shares = self._ask(messages.SHARES, _same(shown, relay=relay), "reply", least)
        bundles = adder.relay_shares(shares)
        asked = {node: {"relay": bundle} for node, bundle in bundles.items()}
        try:
            packed = self._ask(messages.MASK, asked, "masked", least)
        except RoundFailedError:
            self._leave_out(len(asked))
            raise
        stayed = adder.ask_survivors(packed)
        relays = _same(adder.stayed, relay=stayed)
        signed = self._ask(messages.SURVIVORS, relays, "reply", session.threshold)
        request = adder.ask_unmask(signed)
        relays = _same(adder.stayed, relay=request)
        revealed = self._ask(messages.UNMASK, relays, "reply", session.threshold)
        total = adder.sum(_Unpacked(packed, session), revealed)
        self._left(revealed)
        return total, adder.stayed

    def _ask(
        self, stage: str, asked: Mapping[int, Mapping[str, Any]], field: str, need: int
    ) -> dict[int, bytes]:
        held = self._held
        # What all are asked is written once: a thousand copies of a thousand keys are many.
        written = {
            id(fields): messages.write(held.plan, held.number, sum=self._what, **fields)
            for fields in asked.values()
        }
        bodies = {node: written[id(fields)] for node, fields in asked.items()}

        def check(node: int, body: bytes) -> None:
            message = Message(held.plan, body)
            checks.current(message, held.number)
            if field == "masked" and message.has("blamed"):
                self._blames[node] = message.integer("blamed")
                raise MaskingError(t("federated_rounds.blames", node=self._blames[node]))
            if field == "masked":
                _unpack(message.raw(field), self.session)
            else:
                message.raw(field)

        answers = held.ask(stage, bodies, check, need=need, name=f"{self._what}-{stage}")
        return {node: Message(held.plan, body).raw(field) for node, body in answers.items()}

    def _leave_out(self, asked: int) -> None:
        """Ask no more whom so many could not read that its doing was enough to stop the round:
        more than may be in league with each other (``Session.threshold``)."""
        for node, blames in Counter(self._blames.values()).items():
            if node in self.session.roster and blames > asked - self.session.threshold:
                self._held.refuse({node: t("federated_rounds.left_out")})
                self._held.left_out.add(node)

    def _left(self, answers: Mapping[int, bytes]) -> list[int]:
        """Those whose answers the adder took; of the others it says why not."""
        refused = self._adder.refused
        self._held.refuse(refused)
        return [node for node in sorted(answers) if node not in refused]


def _same(asked: Sequence[int], **fields: Any) -> dict[int, Mapping[str, Any]]:
    return {node: fields for node in asked}


class _Unpacked(dict[int, "Ring"]):
    """Masked vectors, spread out one at a time: a thousand of them would fill the memory."""

    def __init__(self, packed: Mapping[int, bytes], session: Session) -> None:
        super().__init__()
        self._packed, self._session = packed, session

    def __missing__(self, node: int) -> Ring:
        return _unpack(self._packed[node], self._session)


def _unpack(packed: bytes, session: Session) -> Ring:
    from ondol.federated.packing import unpack_bits

    return unpack_bits(packed, session.bits, session.length)
