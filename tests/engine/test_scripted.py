import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.engine.scripted import ScriptedEngine
from ondol.errors import EngineBusyError, EngineCrashedError
from ondol.types import Engine, GenerateOptions, Message, Tool


def text_of(tokens) -> str:
    return "".join(token.text for token in tokens)


def ask(engine: Engine, question: str, **options):
    return list(engine.generate([Message("user", question)], GenerateOptions(**options)))


def test_it_is_an_engine():
    engine: Engine = ScriptedEngine()
    assert engine.model == "scripted"


def test_a_reply_is_chosen_by_what_the_prompt_says():
    engine = ScriptedEngine({r"capital of (\w+)": "Seoul.", "expire": "In 2031."})
    assert text_of(ask(engine, "When does it expire?")) == "In 2031."
    assert text_of(ask(engine, "The capital of Korea?")) == "Seoul."


def test_replies_are_given_in_turn_and_the_last_one_stays():
    engine = ScriptedEngine(["one", "two"])
    assert [text_of(ask(engine, "?")) for _ in range(3)] == ["one", "two", "two"]


def test_what_matches_nothing_is_echoed():
    assert text_of(ScriptedEngine().complete("to be  or\nnot ", GenerateOptions())) == (
        "to be  or\nnot "
    )


def test_the_last_token_alone_carries_reason_and_usage():
    *tokens, last = ask(ScriptedEngine(["a b c"]), "one two")
    assert last.finish_reason == "stop"
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (2, 3)
    assert all(t.finish_reason is None and t.usage is None for t in tokens)


def test_max_tokens_cuts_with_length():
    tokens = ask(ScriptedEngine(["a b c"]), "?", max_tokens=2)
    assert (text_of(tokens), tokens[-1].finish_reason) == ("a b", "length")


def test_a_stop_text_is_not_said():
    tokens = ask(ScriptedEngine(["one two END three"]), "?", stop=("END",))
    assert (text_of(tokens), tokens[-1].finish_reason) == ("one two ", "stop")


@given(st.text(max_size=60), st.integers(0, 8))
def test_logprobs_are_probabilities_and_always_the_same(reply, alternatives):
    def run():
        return ask(ScriptedEngine([reply]), "?", logprobs=alternatives)

    assert run() == run()
    for token in run()[:-1]:
        assert token.logprob <= 0
        assert len(token.top) == alternatives
        assert sum(math.exp(a.logprob) for a in token.top) <= 1


def test_without_logprobs_there_are_none():
    assert all(t.logprob is None and t.top == () for t in ask(ScriptedEngine(["a b"]), "?"))


def test_it_fails_when_told_to():
    engine = ScriptedEngine(["a b c"], fail_after=2)
    tokens = engine.generate([], GenerateOptions())
    assert next(tokens).text + next(tokens).text == "a b"
    with pytest.raises(EngineCrashedError):
        next(tokens)
    with pytest.raises(EngineBusyError):
        ask(ScriptedEngine(["a"], fail_after=0, error=EngineBusyError("full")), "?")


def test_closing_ends_the_iteration_and_requests_are_kept():
    engine = ScriptedEngine(["a b c"])
    tokens = engine.generate([Message("user", "hello")], GenerateOptions(seed=7))
    next(tokens)
    closer = threading.Thread(target=tokens.close)
    closer.start()
    closer.join()
    assert list(tokens) == []
    assert engine.requests[0].prompt == "hello"
    assert engine.requests[0].options.seed == 7


def test_the_stop_sequence_that_ended_an_answer_is_told() -> None:
    engine = ScriptedEngine(["one two END three"])
    asked = [Message("user", "count")]
    stopped = list(engine.generate(asked, GenerateOptions(stop=("###", " END"))))
    assert (stopped[-1].finish_reason, stopped[-1].stop_sequence) == ("stop", " END")
    ended = list(engine.generate(asked, GenerateOptions(stop=("###",))))
    assert (ended[-1].finish_reason, ended[-1].stop_sequence) == ("stop", None)


def test_the_tools_on_offer_count_as_read() -> None:
    engine, asked = ScriptedEngine(["yes"]), [Message("user", "a b c")]
    options = GenerateOptions(tools=(Tool("look", "Looks it up"),))
    read = engine.prompt_tokens(asked, options)
    assert len(read) > len(engine.prompt_tokens(asked)) == 3
    usage = list(engine.generate(asked, options))[-1].usage
    assert usage is not None and usage.prompt_tokens == len(read)
