"""Builds who watches over answers: the judge, the labels, the policy, the homes and the ledger.

The other half of ``parts``; nothing is opened before it is used. A question that the device is sure
of, and one about private documents, never reaches the homes at all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ondol import database, paths
from ondol.config import Config
from ondol.egress import Egress
from ondol.errors import LedgerEntryNotFoundError, LockedError, ModelError, StorageError
from ondol.once import Once
from ondol.trust import Trust
from ondol.types import (
    Confidence,
    GenerateOptions,
    Home,
    HomeState,
    Label,
    Labeller,
    Message,
    Sensitivity,
    Token,
)

if TYPE_CHECKING:
    from ondol.confidence.judge import CalibratedJudge
    from ondol.confidence.outcomes import Outcome, Outcomes
    from ondol.homes.client import Exchange
    from ondol.homes.homes import Homes
    from ondol.ledger.ledger import Ledger
    from ondol.models.adapters import AdapterStore
    from ondol.routing.inspection import Inspector
    from ondol.routing.policy import RoutingPolicy
    from ondol.routing.sensitivity import PromptLabeller
    from ondol.types import Recorder


def door(config: Config, find: Callable[[], Oversight]) -> Egress:
    """The door of a house: whoever watches over it is called when something is about to leave."""
    return Egress(
        offline=config["offline"],
        record=lambda passage: find().ledger.record(passage),  # noqa: PLW0108 (opened when needed)
        inspector=lambda request: find().inspector(request),
    )


class Oversight(Once):
    """One house's. ``adapters`` knows the models by name. Safe to use from several threads."""

    def __init__(
        self,
        config: Config,
        egress: Egress,
        adapters: Callable[[], AdapterStore],
    ) -> None:
        super().__init__()
        self._config = config
        self._egress = egress
        self._adapters = adapters

    def close(self) -> None:
        """Let go of the database."""
        with self._lock:
            for part in (self._built.pop(name, None) for name in ("ledger", "outcomes")):
                if part is not None:
                    part.close()
            for name in ("labels_database", "homes_database"):
                connection = self._built.pop(name, None)
                if connection is not None:
                    connection.close()
            for name in ("labeller", "homes", "recorder"):
                self._built.pop(name, None)

    @property
    def trust(self) -> Trust:
        """All of them, as an answer meets them."""
        return self.trust_for(redact=self._config["routing.redact"])

    def trust_for(self, *, redact: bool) -> Trust:
        """The same where personal data is, or is not, taken out of what goes home."""
        from ondol.routing.redaction import RedactingHome
        from ondol.routing.sensitivity import RedactingLabeller

        home: Home = _AnyHome(lambda: self.homes)
        labeller: Labeller | None = None
        # Where nothing can be remembered everything is private, and the owner still gets answers.
        with suppress(StorageError, LockedError):
            labeller = RedactingLabeller(self.labeller) if redact else self.labeller
        home = RedactingHome(home) if redact else home
        return Trust(self.judge, labeller, self.policy, home, self.recorder)

    @property
    def judge(self) -> CalibratedJudge:
        from ondol.confidence.judge import CalibratedJudge

        return self._once(
            "judge", lambda: CalibratedJudge(paths.data_dir() / "calibrators", self.identify)
        )

    @property
    def outcomes(self) -> Outcomes:
        from ondol.confidence.outcomes import Outcomes

        return self._once("outcomes", Outcomes.open)

    def thumb(self, id: str | None, right: bool | None) -> Outcome:
        """What ``Outcomes.thumb`` does; without an id of the latest answer in the ledger, so that
        nobody judges an earlier one when the latest was no model's."""
        if id is None:
            with suppress(LedgerEntryNotFoundError):
                id = self.ledger.get("last").id[:8]
        return self.outcomes.thumb(id, right)

    @property
    def ledger(self) -> Ledger:
        from ondol.ledger.ledger import Ledger

        return self._once("ledger", Ledger.open)

    @property
    def recorder(self) -> Recorder:
        return self._once("recorder", self._build_recorder)

    @property
    def labeller(self) -> PromptLabeller:
        return self._once("labeller", self._build_labeller)

    @property
    def inspector(self) -> Inspector:
        """The last look at what leaves, whatever it was labelled."""
        return self._once("inspector", self._build_inspector)

    @property
    def policy(self) -> RoutingPolicy:
        return self._once("policy", self._build_policy)

    @property
    def homes(self) -> Homes:
        """The owner's homes; those that are enrolled meanwhile, in any process, are among them."""
        return self._once("homes", self._build_homes)

    def identify(self, name: str) -> str:
        """The digest that ``confidence`` knows a model by, from the name that answers carry; that
        of the embedder for "", and "" for what is not installed here."""
        from ondol.confidence.calibrators import digest_of
        from ondol.models import scales

        try:
            found, scaled = scales.of(self._adapters(), name or self._config["models.embedding"])
        except ModelError:
            return ""
        weights = found.file("weights") or found.file("graph")
        digest = weights.digest if weights else found.digest
        return digest_of(digest, scales.digest(scaled))

    def threshold(self, confidence: Confidence) -> float | None:
        """From which probability on an answer judged by this calibrator may be kept; ``None`` where
        nothing meets the owner's target."""
        known = (calibrator for calibrator, _ in self.judge.calibrators.list())
        used = next((one for one in known if one.name == confidence.calibrator), None)
        target = float(self._config["routing.target_error"])
        choice = self.judge.choice(used, target) if used else None
        return choice.threshold if choice else None

    def reconsider(self) -> None:
        """The settings have changed: from the next answer on they hold. What was noticed of private
        text stays known."""
        with self._lock:
            for name in ("policy", "recorder"):
                self._built.pop(name, None)
            labeller: PromptLabeller | None = self._built.get("labeller")
            if labeller is not None:
                labeller.question_sensitivity = self._own_sensitivity()

    def _own_sensitivity(self) -> Sensitivity:
        return Sensitivity[self._config["routing.question_sensitivity"].upper()]

    def _build_recorder(self) -> Recorder:
        from ondol.confidence.outcomes import NotingRecorder
        from ondol.ledger.recording import LedgerRecorder

        recorder = LedgerRecorder.from_config(self.ledger, self._config)
        return NotingRecorder(recorder, self.identify)

    def _build_labeller(self) -> PromptLabeller:
        from ondol.retrieval.current_labels import CurrentLabels
        from ondol.retrieval.private_text import PrivateText
        from ondol.routing.sensitivity import PromptLabeller
        from ondol.routing.taint import Spoken

        connection, lock = self._once("labels_database", _connect), threading.RLock()
        find_private = PrivateText(connection, lock).find
        return PromptLabeller(
            Spoken(connection, lock),
            find_private,
            question_sensitivity=self._own_sensitivity(),
            label_now=CurrentLabels(connection, lock).strictest,
        )

    def _build_inspector(self) -> Inspector:
        from ondol.routing.inspection import Inspector

        return Inspector(self._holds_private)

    def _holds_private(self, text: str) -> bool:
        return self.labeller.holds_private(text)

    def _build_policy(self) -> RoutingPolicy:
        from ondol.routing.policy import RoutingPolicy, Values

        config = self._config
        values = Values(
            answer_krw=config["routing.answer_krw"],
            second_krw=config["routing.second_krw"],
            kwh_krw=config["ledger.tariff_krw_per_kwh"],
            home_accuracy=config["routing.home_accuracy"],
            abstain_below=config["routing.abstain_below"],
        )
        return RoutingPolicy(self.threshold, values)

    def _build_homes(self) -> Homes:
        from ondol.homes.homes import Homes

        homes = Homes.open(self._once("homes_database", _connect), self._egress, self._config)
        homes.record, homes.head = self._note_exchange, self._ledger_head
        homes.witness = self._compare_ledger
        return homes

    def _note_exchange(self, exchange: Exchange) -> None:
        """The counterpart of the entry "served" in home's own ledger."""
        from ondol.ledger.entries import Entry

        entry = Entry(
            "home",
            request=exchange.request_id,
            destination=exchange.url,
            reasons=(exchange.reason,) if exchange.reason else (),
            bytes_out=exchange.bytes_out,
            bytes_in=exchange.bytes_in,
            prompt_tokens=exchange.prompt_tokens,
            completion_tokens=exchange.completion_tokens,
            seconds=exchange.seconds,
        )
        self.ledger.append(entry)

    def _compare_ledger(self, url: str, seen: str) -> None:
        """A ledger that was cut back looks whole; a home that saw more of it can tell."""
        from ondol.ledger.witnesses import compare

        # What cannot be written down now is found the next time; home can still be asked.
        with suppress(StorageError, LockedError):
            compare(self.ledger, url, seen)

    def _ledger_head(self) -> str:
        head = self.ledger.head()
        return f"{head.count}:{head.hash.hex()}" if head else ""


class _AnyHome:
    """The homes, opened by the first answer that may go there."""

    def __init__(self, find: Callable[[], Homes]) -> None:
        self._find = find

    def state(self) -> HomeState | None:
        return self._find().state()

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        return self._find().generate(messages, options, label=label)


def _connect() -> Any:
    return database.connect(paths.database_file())
