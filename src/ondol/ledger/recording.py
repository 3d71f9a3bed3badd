"""Follows one answer from the question on, and writes it down when it is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ondol.ledger.cost import Pricing
from ondol.ledger.energy import EnergyMeter
from ondol.ledger.ledger import Ledger
from ondol.types import Along, Answer, Cost, Decision, Label, Task

if TYPE_CHECKING:
    from ondol.config import Config


class LedgerRecorder:
    """A ``types.Recorder`` over a ledger. Nothing is opened before an answer is finished."""

    def __init__(self, ledger: Ledger, meter: EnergyMeter, pricing: Pricing) -> None:
        self.ledger, self.meter, self.pricing = ledger, meter, pricing

    @classmethod
    def from_config(cls, ledger: Ledger, config: Config) -> LedgerRecorder:
        """With the owner's figures, and the best meter of this machine."""
        meter = EnergyMeter.of_this_machine(config["ledger.watts_per_core"])
        return cls(ledger, meter, Pricing.from_config(config))

    def start(self, task: Task) -> AnswerRecording:
        """An answer begins; from now on what it takes is measured."""
        return AnswerRecording(self, task)


class AnswerRecording:
    """A ``types.Recording``."""

    def __init__(self, recorder: LedgerRecorder, task: Task) -> None:
        self._recorder, self._task = recorder, task
        self._span = recorder.meter.start()

    def finish(
        self, answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        """``answer`` with its ``ledger_id`` and its cost."""
        recorder, pricing = self._recorder, self._recorder.pricing
        energy = recorder.meter.finish(self._span)
        usage = answer.usage
        price = pricing.cloud(usage.prompt_tokens, usage.completion_tokens)
        cost = Cost(
            energy_joules=energy.joules,
            energy_source=energy.source,
            here_krw=pricing.here_krw(energy.joules, answer.seconds.total),
            cloud_krw=price.krw if price else None,
        )
        answer = replace(answer, cost=cost)
        id = recorder.ledger.append_answer(
            answer, decision, label, task=self._task, energy=energy, price=price, along=along
        )
        return replace(answer, ledger_id=id)
