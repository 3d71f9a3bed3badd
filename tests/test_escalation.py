"""An unsure answer goes home: what the owner sees, and what happens when home lets them down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from ondol.ask import ask
from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EgressError, EngineError, StorageError
from ondol.prompt import NOT_IN_DOCUMENTS
from ondol.routing.policy import RoutingPolicy
from ondol.trust import Trust
from ondol.types import (
    Along,
    Answer,
    Completion,
    Confidence,
    Decision,
    Escalation,
    Evidence,
    GenerateOptions,
    HomeState,
    Label,
    Message,
    Quote,
    Route,
    Sensitivity,
    Support,
    Task,
    Token,
)
from tests.test_ask import QUOTES, ScriptedParts


@dataclass
class FixedJudge:
    """As sure as it is told to be."""

    probability: float | None
    seen: list[Completion] = field(default_factory=list)

    def judge(
        self,
        question: str,
        evidence: Evidence,
        given: Sequence[Quote],
        completion: Completion,
        *,
        model: str,
        task: Task = "grounded",
    ) -> Confidence:
        self.seen.append(completion)
        return Confidence(self.probability, {"mean_logprob": -0.1}, "fixed@1")

    def support(self, text: str, given: Sequence[Quote]) -> tuple[Support, ...]:
        return tuple(Support(0, len(text), quote.number, 1.0) for quote in given[:1])


@dataclass
class FixedLabels:
    sensitivity: Sensitivity
    remembered: list[tuple[str, Sensitivity]] = field(default_factory=list)
    changes: int = 0

    def label(self, question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        return Label(self.sensitivity, ("document",))

    def remember(self, text: str, sensitivity: Sensitivity) -> None:
        self.remembered.append((text, sensitivity))

    def hear(self, text: str, sensitivity: Sensitivity) -> None:
        self.remember(text, sensitivity)

    def stamp(self) -> object:
        return self.changes


@dataclass
class FixedHome:
    """A home that says ``words``, then fails where it is told to."""

    words: Sequence[str] = ("900", " a month", " [1].")
    failure: Exception | None = None
    asked: list[Sequence[Message]] = field(default_factory=list)
    closed: int = 0
    num_ctx: int | None = None

    def state(self) -> HomeState:
        return HomeState("attic", "qwen3:32b", available=True, num_ctx=self.num_ctx)

    def generate(
        self, messages: Sequence[Message], options: GenerateOptions, *, label: Label
    ) -> Iterator[Token]:
        self.asked.append(messages)
        try:
            for word in self.words:
                yield Token(word)
            if self.failure:
                raise self.failure
            yield Token("", finish_reason="stop")
        finally:
            self.closed += 1


@dataclass
class Ledger:
    finished: list[tuple[Answer, Decision, Label]] = field(default_factory=list)

    def start(self, task: Task) -> Ledger:
        return self

    def finish(
        self, answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        self.finished.append((answer, decision, label))
        return replace(answer, ledger_id=f"id{len(self.finished)}")


@dataclass
class House:
    """A house that is as sure as it is told, with a home in the attic."""

    probability: float | None = 0.3
    sensitivity: Sensitivity = Sensitivity.TRUSTED
    home: FixedHome = field(default_factory=FixedHome)
    reply: str = "1800 [3]."

    def __post_init__(self) -> None:
        self.judge = FixedJudge(self.probability)
        self.labels = FixedLabels(self.sensitivity)
        self.ledger = Ledger()
        policy = RoutingPolicy(lambda _: 0.8)
        trust = Trust(self.judge, self.labels, policy, self.home, self.ledger)
        self.parts = ScriptedParts(ScriptedEngine([self.reply]), trust=trust)

    def ask(self, **how: Any) -> tuple[list[object], Answer]:
        events = list(ask("What is the rent?", self.parts, **how))
        assert isinstance(events[-1], Answer)
        return list(events), events[-1]


def words(events: Sequence[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


def test_draft_is_streamed_first_then_home_takes_its_place_and_both_are_kept() -> None:
    house = House()
    events, answer = house.ask()
    at = next(i for i, event in enumerate(events) if isinstance(event, Escalation))
    escalation = events[at]
    assert isinstance(escalation, Escalation) and escalation.draft
    assert words(events[:at]) == "1800 [3]."
    assert words(events[at:]) == "900 a month [1]."
    assert (escalation.home, escalation.reasons) == ("attic", ("unsure",))
    assert (answer.text, answer.route, answer.model) == (
        "900 a month [1].", Route.HOME, "attic/qwen3:32b",
    )  # fmt: skip
    assert answer.draft and answer.draft.text == "1800 [3]."
    assert answer.draft.confidence == Confidence(0.3, {"mean_logprob": -0.1}, "fixed@1")
    assert answer.citations == (1,)


def test_sure_answer_stays_and_nobody_is_asked() -> None:
    house = House(probability=0.9)
    events, answer = house.ask()
    assert (answer.route, answer.reasons) == (Route.LOCAL, ("sure",))
    assert not any(isinstance(event, Escalation) for event in events)
    assert house.home.asked == []


def test_private_answer_stays_however_unsure() -> None:
    house = House(probability=0.01, sensitivity=Sensitivity.PRIVATE)
    _, answer = house.ask()
    assert answer.reasons == ("unsure", "private", "document")
    assert house.home.asked == []
    _, answer = house.ask(wanted="home")
    assert answer.route is Route.LOCAL
    assert answer.reasons == ("asked_home", "private", "document")
    assert house.home.asked == []


def test_what_an_adapter_of_ones_own_said_is_private_and_its_prompt_may_still_go_home() -> None:
    sure, unsure = House(probability=0.9), House(probability=0.3)
    for house in (sure, unsure):
        house.parts.is_personal = True
    _, answer = sure.ask()
    assert answer.route is Route.LOCAL and answer.sensitivity is Sensitivity.PRIVATE
    assert sure.labels.remembered == [("1800 [3].", Sensitivity.PRIVATE)]
    assert sure.ledger.finished[0][2].reasons == ("document", "adapter")
    _, answer = unsure.ask()
    assert answer.route is Route.HOME and answer.sensitivity is Sensitivity.TRUSTED
    # What home said may travel on; the draft, which the adapter said, may not.
    assert answer.draft and answer.draft.sensitivity is Sensitivity.PRIVATE
    assert unsure.labels.remembered == [
        (answer.text, Sensitivity.TRUSTED), (answer.draft.text, Sensitivity.PRIVATE),
    ]  # fmt: skip


def test_home_at_once_asks_no_model_here() -> None:
    house = House(probability=0.99)
    events, answer = house.ask(wanted="home")
    assert (answer.text, answer.draft, answer.reasons) == (
        "900 a month [1].", None, ("asked_home",),
    )  # fmt: skip
    assert house.judge.seen == []
    assert words(events) == answer.text


def test_home_is_given_all_the_evidence_and_the_device_only_its_share() -> None:
    house = House()
    house.parts.max_quotes = 1
    house.ask()
    (sent,) = house.home.asked
    assert all(quote.text in sent[-1].content for quote in QUOTES)


@pytest.mark.parametrize(
    "failure", [EngineError("the attic is dark"), EgressError("shut")], ids=["engine", "egress"]
)
def test_home_that_fails_in_the_middle_leaves_the_draft(failure: Exception) -> None:
    house = House(home=FixedHome(["90"], failure))
    _, answer = house.ask()
    assert (answer.text, answer.route) == ("1800 [3].", Route.LOCAL)
    assert answer.reasons == ("unsure", "home_failed", failure.code)  # type: ignore[attr-defined]
    assert house.ledger.finished[-1][1].route is Route.LOCAL


def test_home_that_was_asked_for_and_fails_leaves_the_device_to_answer_and_says_so() -> None:
    house = House(home=FixedHome(["90"], EngineError("the attic is dark")))
    events, answer = house.ask(wanted="home")
    assert (answer.text, answer.route) == ("1800 [3].", Route.LOCAL)
    assert answer.reasons == ("asked_home", "home_failed", EngineError.code)
    assert words(events) == "90\n1800 [3]."


@pytest.mark.parametrize("said", [NOT_IN_DOCUMENTS["en"], "[1]", ""])
def test_home_that_knows_no_better_does_not_take_an_answer_away(said: str) -> None:
    house = House(home=FixedHome([said]))
    _, answer = house.ask()
    assert (answer.text, answer.route) == ("1800 [3].", Route.LOCAL)
    assert "home_knew_no_better" in answer.reasons


def test_prompt_that_home_could_not_read_stays() -> None:
    for wanted in ("auto", "home"):
        house = House(home=FixedHome(num_ctx=20))
        _, answer = house.ask(wanted=wanted)
        assert answer.route is Route.LOCAL
        assert answer.reasons[-1] == "home_context_too_short"
        assert house.home.asked == []


def test_uncalibrated_model_sends_nothing() -> None:
    house = House(probability=None)
    _, answer = house.ask()
    assert answer.reasons == ("uncalibrated",)
    assert answer.confidence and answer.confidence.probability is None
    assert house.home.asked == []


def test_every_answer_stands_in_the_ledger_and_is_remembered_with_its_label() -> None:
    house = House()
    _, answer = house.ask()
    assert answer.ledger_id == "id1"
    assert answer.sensitivity is Sensitivity.TRUSTED
    assert house.labels.remembered == [
        ("900 a month [1].", Sensitivity.TRUSTED),
        ("1800 [3].", Sensitivity.TRUSTED),
    ]


def test_full_disk_takes_no_answer_away() -> None:
    house = House(probability=0.9)

    def finish(
        answer: Answer, decision: Decision, label: Label, along: Sequence[Along] = ()
    ) -> Answer:
        raise StorageError("The disk is full.")

    house.ledger.finish = finish  # type: ignore[method-assign]
    _, answer = house.ask()
    assert (answer.text, answer.ledger_id) == ("1800 [3].", None)
    assert answer.reasons == ("sure", "not_in_ledger")


def test_closing_while_home_speaks_stops_it() -> None:
    house = House()
    events = ask("What is the rent?", house.parts)
    for event in events:
        if isinstance(event, Escalation):
            break
    assert next(events) == Token("900")
    events.close()  # type: ignore[attr-defined]
    assert house.home.closed == 1


def test_judge_sees_the_probabilities_of_the_tokens() -> None:
    house = House()
    house.ask()
    (completion,) = house.judge.seen
    assert all(token.logprob is not None for token in completion.tokens if token.text)
    assert all(len(token.top) >= 5 for token in completion.tokens if token.text)
