"""The real model, through the real child process and its HTTP."""

import json
import threading

import numpy as np
import pytest

from ondol.engine.llama import refused
from ondol.engine.wire import Refused
from ondol.errors import ContextLengthError, EngineError, UsageError
from ondol.types import Completion, GenerateOptions, Message

MODEL = "smollm2:135m"
LONG = "The history of the town begins with a river and a mill. " * 40


@pytest.fixture(scope="module")
def engine(pool):
    return pool.engine(MODEL)


def gather(tokens) -> Completion:
    parts = tuple(tokens)
    text = "".join(t.text for t in parts)
    return Completion(text, parts, parts[-1].finish_reason, parts[-1].usage)


def answer(engine, question="Say hi", **options) -> Completion:
    return gather(engine.generate([Message("user", question)], GenerateOptions(**options)))


def slots(pool, model=MODEL):
    return pool._residents[model].client.get("/slots").json()


def busy(pool) -> int:
    return sum(slot["is_processing"] for slot in slots(pool))


def test_the_last_token_has_reason_and_usage_and_no_other(engine):
    done = answer(engine, max_tokens=4)
    assert done.finish_reason == "length"
    assert done.usage.completion_tokens == 4
    assert done.usage.prompt_tokens > 20
    assert done.usage.prompt_seconds > 0
    assert done.usage.completion_seconds > 0
    assert done.usage.total_seconds >= done.usage.load_seconds
    assert all(t.finish_reason is None and t.usage is None for t in done.tokens[:-1])


def test_a_raw_prompt_is_continued_without_a_template(engine):
    done = gather(engine.complete("The capital of France is", GenerateOptions(2, temperature=0)))
    assert done.text.startswith(" Paris")
    assert done.usage.prompt_tokens == 5


def test_the_template_is_the_models_own(engine):
    raw = engine.apply_template([Message("user", "Say hi")])
    assert "<|im_start|>user\nSay hi<|im_end|>" in raw
    assert "im_start" in engine.props()["chat_template"]
    chat = answer(engine, temperature=0, max_tokens=6)
    assert gather(engine.complete(raw, GenerateOptions(6, temperature=0))).text == chat.text


@pytest.mark.parametrize("way", ["chat", "raw"])
def test_logprobs_are_natural_logarithms_with_alternatives(engine, way):
    options = GenerateOptions(3, temperature=0, logprobs=4)
    done = gather(
        engine.generate([Message("user", "Count to three")], options)
        if way == "chat"
        else engine.complete("One, two,", options)
    )
    for token in done.tokens[:-1]:
        assert token.logprob <= 0
        assert len(token.top) == 4
        assert token.top[0].logprob == pytest.approx(token.logprob)  # greedy takes the best
        assert 0 < sum(np.exp([a.logprob for a in token.top])) <= 1 + 1e-6


def test_logprobs_without_alternatives_and_none_at_all(engine):
    tokens = answer(engine, max_tokens=2, logprobs=0).tokens[:-1]
    assert all(t.logprob <= 0 and t.top == () for t in tokens)
    assert all(t.logprob is None for t in answer(engine, max_tokens=2).tokens)


def test_a_seed_repeats_an_answer(engine):
    one, same, other = (
        answer(engine, "Tell a story", max_tokens=12, temperature=1.5, seed=seed).text
        for seed in (7, 7, 8)
    )
    assert one == same != other


def test_a_stop_text_ends_the_answer_and_is_not_part_of_it(engine):
    schema = {"enum": ["one two three"]}
    done = answer(engine, json_schema=schema, stop=("three",))
    assert done.text == '"one two '
    assert done.finish_reason == "stop"


@pytest.mark.parametrize("logprobs", [None, 1])
@pytest.mark.parametrize("way", ["chat", "raw"])
def test_a_schema_binds_and_characters_split_over_tokens_come_out_whole(engine, way, logprobs):
    text = "안녕하세요 🎉 café ∑"
    options = GenerateOptions(60, json_schema={"enum": [text]}, logprobs=logprobs)
    done = gather(
        engine.generate([Message("user", "x")], options)
        if way == "chat"
        else engine.complete("x", options)
    )
    assert json.loads(done.text) == text
    assert done.finish_reason == "stop"


def test_without_a_limit_an_answer_ends_with_the_model_or_the_context(make_pool):
    pool = make_pool(num_ctx=256, num_parallel=1)
    done = gather(pool.engine(MODEL).complete("1 2 3 4 5 6 7", GenerateOptions(temperature=0)))
    assert done.finish_reason in ("stop", "length")
    assert done.usage.prompt_tokens + done.usage.completion_tokens <= 256
    pool.close()


def test_no_tokens_asked_for_gives_none(engine):
    assert [t.text for t in answer(engine, max_tokens=0).tokens] == [""]


def test_a_repeated_prefix_comes_from_the_cache(engine):
    answer(engine, LONG[:1000], max_tokens=1)
    again = answer(engine, LONG[:1000], max_tokens=1).usage
    assert again.cached_tokens > 0.9 * again.prompt_tokens


def test_every_sampling_option_reaches_the_runtime(pool, engine):
    options = GenerateOptions(
        max_tokens=200, temperature=0.5, top_k=3, top_p=0.75, min_p=0.125, typical_p=0.5,
        repeat_penalty=1.25, repeat_last_n=32, presence_penalty=0.25, frequency_penalty=0.375,
        seed=11, stop=("zebra",),
    )  # fmt: skip
    with engine.generate([Message("user", "Tell a long story")], options) as tokens:
        next(tokens)
        (params,) = [s["params"] for s in slots(pool) if s["is_processing"]]
    for name in ("temperature", "top_k", "top_p", "min_p", "typical_p", "repeat_penalty",
                 "repeat_last_n", "presence_penalty", "frequency_penalty", "seed"):  # fmt: skip
        assert params[name] == pytest.approx(getattr(options, name)), name
    assert params["max_tokens"] == 200


def test_counting_takes_special_marks_for_plain_text(engine):
    assert engine.count_tokens("") == 0
    assert engine.count_tokens("hello world") == 2
    assert engine.count_tokens("<|im_end|>") > 1


def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(engine):
    tokens = engine.generate([Message("user", LONG * 10)], GenerateOptions())
    with pytest.raises(ContextLengthError) as caught:
        next(tokens)
    assert "1024" in caught.value.message
    assert str(engine.count_tokens(LONG * 10))[:2] in caught.value.message


@pytest.mark.parametrize("way", ["chat", "raw"])
def test_a_schema_that_makes_no_sense_is_refused(engine, way):
    options = GenerateOptions(json_schema={"type": "nonsense"})
    with pytest.raises(UsageError) as caught:
        gather(
            engine.generate([Message("user", "x")], options)
            if way == "chat"
            else engine.complete("x", options)
        )
    assert "nonsense" in caught.value.message


def test_closing_stops_the_generation(pool, engine, until):
    tokens = engine.generate([Message("user", "Tell a very long story")], GenerateOptions(900))
    next(tokens)
    assert busy(pool) == 1
    tokens.close()
    until(lambda: busy(pool) == 0)
    (used,) = [m.in_use for m in pool.loaded()]
    assert used == 0
    assert list(tokens) == []


def test_closing_from_another_thread_ends_a_wait_for_the_first_token(pool, engine, until):
    question = Message("user", "x" + LONG)  # nothing of it is cached
    tokens = engine.generate([question], GenerateOptions(900))
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(tokens))
    reader.start()
    until(lambda: busy(pool) == 1)
    tokens.close()
    reader.join(30)
    assert not reader.is_alive()
    assert seen[-1].finish_reason == "cancelled"
    until(lambda: busy(pool) == 0)


def test_a_generation_that_is_dropped_stops_too(pool, engine, until):
    tokens = engine.generate([Message("user", "Tell a very long story")], GenerateOptions(900))
    next(tokens)
    del tokens
    until(lambda: busy(pool) == 0)


def test_nothing_happens_before_the_first_token_is_asked_for(pool, engine):
    tokens = engine.generate([Message("user", "x")], GenerateOptions())
    assert busy(pool) == 0
    tokens.close()
    assert list(tokens) == []


def test_an_embedding_model_gives_unit_vectors(make_pool, spec):
    from dataclasses import replace

    pool = make_pool(
        locate=lambda name: replace(spec, kind="embedding", pooling="mean", num_ctx=512)
    )
    texts = ["the cat sat", "a cat was sitting", "stock markets fell", "", *["x"] * 40]
    vectors = pool.engine(MODEL).embed(texts)
    assert vectors.shape == (44, 576)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors[4], vectors[43], atol=1e-3)
    with pytest.raises(ContextLengthError) as caught:
        pool.engine(MODEL).embed(["word " * 600])
    assert "512" in caught.value.message
    assert pool.engine(MODEL).embed([]).shape == (0, 0)
    pool.close()


def test_a_chat_model_refuses_to_embed(engine):
    with pytest.raises(EngineError):
        engine.embed(["x"])


def test_every_refusal_is_a_sentence():
    told = refused(Refused(400, {"code": "context_length_exceeded", "message": "too long"}))
    assert isinstance(told, ContextLengthError)
    schema = "Unable to parse. Automatic parser generation failed: JSON schema error at #: no."
    told = refused(Refused(400, {"message": schema}))
    assert told.message.endswith("the request: JSON schema error at #: no.")
    assert isinstance(refused(Refused(500, {})), EngineError)
    assert isinstance(refused(Refused(422, {"message": "m"})), UsageError)


def test_a_given_reply_is_scored_as_the_model_would_have_said_it(engine):
    asked = [Message("user", "Say hi")]
    done = answer(engine, temperature=0, max_tokens=5, logprobs=1)
    expected = [token.logprob for token in done.tokens[:-1]]
    found = engine.score(asked, done.text)
    # Its end counts too: one token more.
    assert len(found) == len(engine.tokenize(done.text)) + 1
    assert found[:-1] == pytest.approx(expected, abs=1e-3)
    assert all(logprob <= 0 for logprob in found)


def test_letters_that_are_several_tokens_are_scored_byte_by_byte(engine):
    text = "봄이에요"
    found = engine.score([Message("user", "이름이 뭐야?")], text)
    assert len(found) == len(engine.tokenize(text)) + 1 > len(text) + 1
    assert all(-100 < logprob <= 0 for logprob in found)
