"""A chat's reply: the same tokens as before, and afterwards a line in the ledger."""

from __future__ import annotations

import pytest

from ondol.chat import Reply
from ondol.engine.scripted import ScriptedEngine
from ondol.routing.policy import RoutingPolicy
from ondol.trust import Trust
from ondol.types import GenerateOptions, Message, Route, Sensitivity, Wanted
from tests.test_escalation import FixedHome, FixedJudge, FixedLabels, Ledger

TURNS = [Message("user", "Say three words.")]


class House:
    def __init__(
        self, probability: float | None = 0.7, sensitivity: Sensitivity = Sensitivity.TRUSTED
    ) -> None:
        self.engine = ScriptedEngine(["one two three"])
        self.judge = FixedJudge(probability)
        self.labels = FixedLabels(sensitivity)
        self.ledger = Ledger()
        self.home = FixedHome()
        policy = RoutingPolicy(lambda _: 0.8)
        self.trust = Trust(self.judge, self.labels, policy, self.home, self.ledger)

    def reply(self, options: GenerateOptions | None = None, wanted: Wanted = "here") -> Reply:
        return Reply(
            lambda given: self.engine.generate(TURNS, given),
            TURNS,
            options or GenerateOptions(),
            self.trust,
            "m",
            wanted,
        )


def test_ended_reply_is_judged_labelled_and_in_the_ledger() -> None:
    house = House()
    reply = house.reply()
    assert "".join(token.text for token in reply) == "one two three"
    answer = reply.answer
    assert answer and answer.ledger_id == "id1"
    assert (answer.route, answer.model, answer.usage.completion_tokens) == (Route.LOCAL, "m", 3)
    assert answer.confidence and answer.confidence.probability == 0.7
    assert house.labels.remembered == [("one two three", Sensitivity.TRUSTED)]


@pytest.mark.parametrize(("asked", "alternatives"), [(None, 0), (0, 0), (2, 2), (7, 7)])
def test_client_gets_the_probabilities_it_asked_for_and_no_more(
    asked: int | None, alternatives: int
) -> None:
    words = [t for t in House().reply(GenerateOptions(logprobs=asked)) if t.text]
    assert all(len(token.top) == alternatives for token in words)
    assert all((token.logprob is None) == (asked is None) for token in words)


def test_judge_sees_them_whatever_the_client_asked() -> None:
    house = House()
    list(house.reply())
    (seen,) = house.judge.seen
    assert all(token.logprob is not None for token in seen.tokens if token.text)


def test_reply_that_is_cut_short_is_in_the_ledger_and_judged_by_nobody() -> None:
    house = House()
    reply = house.reply()
    next(reply)
    reply.close()
    reply.close()
    ((answer, decision, _),) = house.ledger.finished
    assert answer.text == "one"
    assert decision.reasons == ("cancelled",)
    assert answer.usage.completion_tokens == 1
    assert house.judge.seen == []


def test_reply_that_never_began_is_no_answer() -> None:
    house = House()
    house.reply().close()
    assert house.ledger.finished == []


def test_client_that_hangs_up_after_the_last_token_has_had_its_answer() -> None:
    house = House()
    reply = house.reply()
    while next(reply).finish_reason is None:
        pass
    reply.close()
    ((_, decision, _),) = house.ledger.finished
    assert decision.reasons == ()


def test_chat_pinned_to_home_is_answered_there() -> None:
    house = House()
    reply = house.reply(wanted="home")
    assert "".join(token.text for token in reply) == "900 a month [1]."
    assert house.engine.requests == []
    answer = reply.answer
    assert answer and (answer.route, answer.model) == (Route.HOME, "attic/qwen3:32b")
    assert answer.confidence is None


def test_private_chat_stays_though_it_is_pinned_to_home() -> None:
    house = House(sensitivity=Sensitivity.PRIVATE)
    reply = house.reply(wanted="home")
    assert "".join(token.text for token in reply) == "one two three"
    assert house.home.asked == []
    assert reply.answer and reply.answer.route is Route.LOCAL
    assert reply.answer.reasons == ("asked_home", "private", "document")


def test_nobody_watching_changes_nothing() -> None:
    engine = ScriptedEngine(["one two three"])
    reply = Reply(
        lambda wanted: engine.generate(TURNS, wanted), TURNS, GenerateOptions(), Trust(), "m"
    )
    assert "".join(token.text for token in reply) == "one two three"
    assert engine.requests[0].options.logprobs is None
    assert reply.answer and reply.answer.confidence is None
