"""Who may be trusted with an answer: how sure it is, how far it may travel, who gives it.

Sees only protocols. What is not there is on the safe side: without a judge an answer is
uncalibrated, without a labeller everything is private, without a policy or a home nothing is asked
elsewhere, without a recorder nothing is written down (an evaluation is no answer to the owner).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ondol.errors import LockedError, StorageError
from ondol.types import (
    Answer,
    Completion,
    Confidence,
    Decision,
    Evidence,
    Home,
    HomeState,
    Judge,
    Label,
    Labeller,
    Message,
    Policy,
    Quote,
    Recorder,
    Recording,
    Route,
    Sensitivity,
    Task,
    Wanted,
)

LOGPROBS = 5
"""Alternatives a token that a judge wants to see."""

STAYS = Decision(Route.LOCAL)


@dataclass(frozen=True, slots=True)
class Trust:
    """The judge, the labels, the policy, the owner's homes and the ledger."""

    judge: Judge | None = None
    labeller: Labeller | None = None
    policy: Policy | None = None
    home: Home | None = None
    recorder: Recorder | None = None

    def start(self, task: Task) -> Recording | None:
        """An answer begins."""
        return self.recorder.start(task) if self.recorder else None

    def label(self, question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        """How far everything that goes into the prompt may travel."""
        if self.labeller is None:
            return Label(Sensitivity.PRIVATE, ("unlabelled",))
        return self.labeller.label(question, evidence, history)

    def judged(
        self,
        answer: Answer,
        question: str,
        evidence: Evidence,
        given: Sequence[Quote],
        completion: Completion,
        task: Task = "grounded",
    ) -> Answer:
        """``answer`` with the probability that it is right and what supports its sentences."""
        if self.judge is None:
            return answer
        confidence = self.judge.judge(
            question, evidence, given, completion, model=answer.model, task=task
        )
        silent = answer.route is Route.ABSTAIN
        support = () if silent else self.judge.support(answer.text, given)
        return replace(answer, confidence=confidence, support=support)

    def decide(
        self,
        confidence: Confidence | None,
        label: Label,
        *,
        wanted: Wanted = "auto",
        task: Task = "grounded",
        answered: bool = True,
        prompt_tokens: int = 0,
    ) -> Decision:
        """Who is to answer; with nobody to decide, the device."""
        if self.policy is None:
            return STAYS
        return self.policy.choose(
            confidence,
            label,
            self._home_state,
            wanted=wanted,
            task=task,
            answered=answered,
            prompt_tokens=prompt_tokens,
        )

    def close(
        self,
        recording: Recording | None,
        answer: Answer,
        decision: Decision,
        label: Label,
    ) -> Answer:
        """The answer as the owner gets it: labelled, remembered for later turns, in the ledger.
        One that cannot be written down is not lost for that; it says so ("not_in_ledger"), and as
        nobody remembers it, it is private in later turns."""
        answer = replace(
            answer,
            sensitivity=label.sensitivity,
            draft=replace(answer.draft, sensitivity=label.sensitivity) if answer.draft else None,
        )
        try:
            self._remember(answer, label)
            return recording.finish(answer, decision, label) if recording else answer
        except (StorageError, LockedError):
            return replace(answer, reasons=(*answer.reasons, "not_in_ledger"))

    def _remember(self, answer: Answer, label: Label) -> None:
        if self.labeller is not None:
            for one in (answer, answer.draft):
                if one is not None and one.text:
                    self.labeller.remember(one.text, label.sensitivity)

    def _home_state(self) -> HomeState | None:
        return None if self.home is None else self.home.state()
