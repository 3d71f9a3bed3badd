"""A chat's reply: the same tokens as before, and afterwards a line in the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import pytest

from ondol.chat import Reply
from ondol.engine.scripted import Said, ScriptedEngine
from ondol.routing.policy import RoutingPolicy
from ondol.trust import Trust
from ondol.types import (
    Evidence,
    GenerateOptions,
    Label,
    Message,
    Route,
    Sensitivity,
    Token,
    Tool,
    ToolCall,
    Wanted,
)
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


def test_label_is_known_with_the_last_token_and_the_ledger_written_after_it() -> None:
    house = House()
    reply = house.reply()
    while next(reply).finish_reason is None:
        assert house.labels.remembered == []
    assert house.labels.remembered == [("one two three", Sensitivity.TRUSTED)]
    assert house.ledger.finished == []
    assert next(reply, None) is None
    assert len(house.ledger.finished) == 1


@pytest.mark.parametrize("changes", [False, True])
def test_label_that_was_made_while_the_model_thought_holds_while_nothing_changes(
    changes: bool,
) -> None:
    house = House()

    class Thinking:
        """Does what is to be done meanwhile, and is told then that a document became private."""

        def __init__(self) -> None:
            self.tokens = house.engine.generate(TURNS, GenerateOptions())

        def meanwhile(self, work: Callable[[], None]) -> None:
            work()
            house.labels.sensitivity = Sensitivity.PRIVATE
            house.labels.changes += changes

        def __iter__(self) -> Iterator[Token]:
            return self

        def __next__(self) -> Token:
            return next(self.tokens)

    reply = Reply(lambda _: Thinking(), TURNS, GenerateOptions(), house.trust, "m")
    list(reply)
    assert reply.answer
    expected = Sensitivity.PRIVATE if changes else Sensitivity.TRUSTED
    assert reply.answer.sensitivity is expected
    assert house.labels.remembered == [("one two three", expected)]


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


CALL = ToolCall("call_1", "look_up", '{"name": "Kim"}')
OFFERED = GenerateOptions(tools=(Tool("look_up", "Find a person in the staff list."),))


def held(house: House, messages: list[Message], options: GenerateOptions) -> Reply:
    engine = house.engine
    reply = Reply(
        lambda given: engine.generate(messages, given), messages, options, house.trust, "m", "home"
    )
    list(reply)
    return reply


@pytest.mark.parametrize(
    ("messages", "options", "why"),
    [
        (TURNS, OFFERED, "tools"),
        ([*TURNS, Message("assistant", "", (CALL,)), Message("tool", "+82")], None, "tools"),
        ([Message("user", "What is this?", images=(b"x",))], None, "images"),
    ],
)
def test_what_has_tools_or_images_is_answered_here_whatever_is_wanted(
    messages: list[Message], options: GenerateOptions | None, why: str
) -> None:
    house = House()
    reply = held(house, messages, options or GenerateOptions())
    assert house.home.asked == [] and len(house.engine.requests) == 1
    assert reply.answer and reply.answer.route is Route.LOCAL
    assert reply.answer.reasons == ("asked_home", why)


def test_tools_that_may_not_be_called_do_not_keep_a_chat_here() -> None:
    house = House()
    none = GenerateOptions(tools=OFFERED.tools, tool_choice="none")
    reply = held(house, TURNS, none)
    assert reply.answer and reply.answer.route is Route.HOME


def test_calls_are_in_the_ledger_as_calls_and_judged_by_nobody() -> None:
    house = House()
    house.engine = ScriptedEngine([Said(tool_calls=(CALL,))])
    list(house.reply(OFFERED))
    ((answer, decision, _),) = house.ledger.finished
    assert answer.text == "" and answer.confidence is None
    assert decision.reasons == ("tool_calls",)
    assert answer.seconds.first_token is not None
    assert house.judge.seen == [] and house.labels.remembered == []


def test_results_and_descriptions_are_not_the_users_words() -> None:
    house = House()
    seen: list[tuple[str, list[Message]]] = []
    label = house.labels.label

    def watched(question, evidence, history=()):
        seen.append((question, list(history)))
        return label(question, evidence, history)

    house.labels.label = watched  # type: ignore[method-assign]
    talk = [*TURNS, Message("assistant", "", (CALL,)), Message("tool", "Kim: +82 10")]
    held(house, talk, OFFERED)
    ((question, history),) = seen
    assert question == ""
    roles = {message.content: message.role for message in history}
    assert roles["Say three words."] == "user"
    assert roles["Kim: +82 10"] == "tool"
    assert roles['{"name": "Kim"}'] == "assistant"
    assert any("staff list" in text and role == "system" for text, role in roles.items())


def test_answer_after_a_result_is_judged_by_what_the_user_asked() -> None:
    house = House()
    asked: list[str] = []
    judge = house.judge.judge

    def watched(question, *more, **named):
        asked.append(question)
        return judge(question, *more, **named)

    house.judge.judge = watched  # type: ignore[method-assign]
    talk = [*TURNS, Message("assistant", "", (CALL,)), Message("tool", "Kim: +82 10")]
    held(house, talk, OFFERED)
    assert asked == ["Say three words."]


@pytest.mark.parametrize("said_by_client", [False, True])
def test_home_is_told_what_the_owners_own_model_begins_with(said_by_client: bool) -> None:
    house = House()
    before = (Message("system", "You are a pirate."), Message("assistant", "Arr."))
    turns = [Message("system", "You are a poet."), *TURNS] if said_by_client else TURNS
    labelled: list[list[Message]] = []
    label = house.labels.label

    def noting(question: str, evidence: Evidence, history: Sequence[Message] = ()) -> Label:
        labelled.append(list(history))
        return label(question, evidence, history)

    house.labels.label = noting  # type: ignore[method-assign]
    start = partial(house.engine.generate, turns)
    options = GenerateOptions()
    list(Reply(start, turns, options, house.trust, "m", "home", before=before))
    assert house.home.asked == [turns if said_by_client else [*before, *turns]]
    # The owner wrote it: it travels as far as a question of the owner's.
    told = turns[:-1] if said_by_client else [replace(m, role="user") for m in before]
    assert labelled[0] == told
