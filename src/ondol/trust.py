"""Who may be trusted with an answer: how sure it is, how far it may travel, who gives it.

Sees only protocols. What is not there is on the safe side: without a judge an answer is
uncalibrated, without a labeller everything is private, without a policy or a home nothing is asked
elsewhere, without a recorder nothing is written down (an evaluation is no answer to the owner).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from ondol.errors import LockedError, StorageError
from ondol.types import (
    Answer,
    Completion,
    Confidence,
    Decision,
    Evidence,
    Heard,
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


def of_an_adapter(label: Label) -> Label:
    """The label of what an adapter says that has learned from its owner's own words: private,
    however far the prompt might travel. It may hold what it was taught."""
    return Label(Sensitivity.PRIVATE, tuple(dict.fromkeys((*label.reasons, "adapter"))))


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

    def stamp(self) -> object:
        """As long as it stays what it is, so does every label."""
        return self.labeller.stamp() if self.labeller else None

    def hear(self, text: str, label: Label) -> list[Heard]:
        """A text was given: from now on this process knows its label. ``close`` writes it down."""
        heard = self.labeller.hear(text, label.sensitivity) if self.labeller and text else None
        return [heard] if heard else []

    def close(
        self,
        recording: Recording | None,
        answer: Answer,
        decision: Decision,
        label: Label,
        heard: Sequence[Heard] | None = None,
        of_draft: Label | None = None,
    ) -> Answer:
        """The answer as the owner gets it: labelled, remembered for later turns, in the ledger, all
        in one transaction. ``heard`` is what ``hear`` said of it already, ``of_draft`` the label of
        its draft where that has another. One that cannot be written down is not lost for that; it
        says so ("not_in_ledger"), and where nobody remembers it, it is private in later turns."""
        level = (of_draft or label).sensitivity
        answer = replace(
            answer,
            sensitivity=label.sensitivity,
            draft=replace(answer.draft, sensitivity=level) if answer.draft else None,
        )
        try:
            if recording is None:
                self._remember(answer)
                return answer
            if heard is None:
                heard = self.hear(answer.text, label)
                if answer.draft is not None:
                    heard += self.hear(answer.draft.text, of_draft or label)
            answer = recording.finish(answer, decision, label, [one.write for one in heard])
        except (StorageError, LockedError):
            for one in heard or ():
                one.fail()
            # What was said keeps its label, also where only the ledger has no room for it.
            with suppress(StorageError, LockedError):
                self._remember(answer)
            return replace(answer, reasons=(*answer.reasons, "not_in_ledger"))
        for one in heard:
            one.done()
        return answer

    def _remember(self, answer: Answer) -> None:
        if self.labeller is not None:
            for one in (answer, answer.draft):
                if one is not None and one.text:
                    self.labeller.remember(one.text, one.sensitivity)

    def _home_state(self) -> HomeState | None:
        return None if self.home is None else self.home.state()
