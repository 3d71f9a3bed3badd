"""How likely a given text is: token by token, and by the states of a whole window."""

from __future__ import annotations

import math
import threading
from dataclasses import replace

import numpy as np
import pytest

from ondol.engine.llama import LlamaEngine
from ondol.engine.pool import EnginePool, ModelSpec
from ondol.engine.scoring import Scored
from ondol.errors import UsageError
from ondol.lab.measuring.output_layer import OutputLayer, losses
from ondol.lab.measuring.process import telling_states
from ondol.types import GenerateOptions

pytestmark = pytest.mark.model

TEXT = "The capital of France is Paris, and the capital of Italy is Rome."


@pytest.fixture(scope="module")
def engine(pool: EnginePool) -> LlamaEngine:
    return pool.engine("smollm2:135m")


def test_what_the_model_says_itself_is_scored_as_it_said_it(engine: LlamaEngine) -> None:
    options = GenerateOptions(temperature=0.0, max_tokens=6, logprobs=3)
    prompt = engine.tokenize("The capital of France is")
    scored: list[Scored] = []
    said = [token for token in engine.echo(prompt, options, scored) if token.logprob is not None]
    assert [one.id for one in scored] == prompt
    assert scored[0].logprob is None and scored[0].top == ()
    assert b"".join(one.text for one in scored) == b"The capital of France is"
    whole = prompt + engine.tokenize("".join(token.text for token in said))
    again = engine.score_tokens(whole, top=3, first=len(prompt))
    assert [one.text.decode() for one in again] == [token.text for token in said]
    for one, token in zip(again, said, strict=True):
        assert one.logprob == pytest.approx(token.logprob, abs=0.05)
        # It was the likeliest, and its figure is the very one that stands among the likeliest.
        assert one.logprob == max(other.logprob for other in one.top)
        assert len(one.top) == 3


def test_a_prompt_is_scored_without_an_answer(engine: LlamaEngine) -> None:
    scored: list[Scored] = []
    options = GenerateOptions(temperature=0.0, max_tokens=0, logprobs=1)
    *tokens, last = engine.echo("The capital of France is Paris", options, scored)
    assert not tokens and last.finish_reason == "length" and last.usage is not None
    assert last.usage.completion_tokens == 0 and last.usage.prompt_tokens == len(scored)
    assert scored[-1].text == b" Paris" and math.exp(scored[-1].logprob or -99) > 0.2


def test_what_prompts_begin_with_is_scored_once(engine: LlamaEngine) -> None:
    known: dict[bytes, Scored] = {}
    first: list[Scored] = []
    second: list[Scored] = []
    options = GenerateOptions(temperature=0.0, max_tokens=0)
    list(engine.echo("Paris is a city in France", options, first, known))
    steps = len(known)
    list(engine.echo("Paris is a city in Spain", options, second, known))
    assert len(known) == steps + 1
    assert second[:-1] == first[:-1] and second[-1] != first[-1]


def test_a_token_that_ends_within_a_letter_has_a_probability(engine: LlamaEngine) -> None:
    tokens = engine.tokenize("서울은 한국의 수도")
    scored = engine.score_tokens(tokens, first=1)
    assert [one.id for one in scored] == tokens[1:]
    assert all(one.logprob is not None and one.logprob < 0 for one in scored)
    with pytest.raises(UnicodeDecodeError):
        [one.text.decode() for one in scored]


def test_scoring_ends_when_nobody_listens(engine: LlamaEngine) -> None:
    scored: list[Scored] = []
    prompt = engine.tokenize(TEXT * 20)
    generation = engine.echo(prompt, GenerateOptions(max_tokens=1), scored)
    threading.Timer(0.3, generation.close).start()
    *_, last = generation
    assert last.finish_reason == "cancelled" and not scored


@pytest.mark.parametrize("ids", [[1, 10**6, 2], [10**6, 2], [1, 2**31 - 1], [1, -1]])
def test_an_id_that_is_no_token_is_refused(
    pool: EnginePool, engine: LlamaEngine, ids: list[int]
) -> None:
    engine.load()
    before = pool.loaded()[0].pid
    with pytest.raises(UsageError):
        list(engine.echo(ids, GenerateOptions(max_tokens=0), []))
    assert pool.loaded()[0].pid == before


def test_states_say_what_forcing_says(make_pool, spec: ModelSpec, engine: LlamaEngine) -> None:
    tokens = engine.tokenize(TEXT)
    forced = [-(one.logprob or 0.0) for one in engine.score_tokens(tokens, first=1)]
    locate = lambda name: replace(telling_states(spec), name=name)  # noqa: E731
    states = make_pool(locate=locate, num_ctx=64, num_parallel=1).engine("states")
    found = losses(OutputLayer.read(spec.path), states.hidden_states(tokens)[:-1], tokens[1:])
    assert np.abs(found - forced).mean() < 0.15
    assert np.mean(found) == pytest.approx(np.mean(forced), abs=0.05)


def test_timings_count_what_was_asked(engine: LlamaEngine) -> None:
    prompt = engine.tokenize(TEXT)
    engine.timings(prompt, 0)
    anew = engine.timings(prompt, 5, is_anew=True)
    cached = engine.timings(prompt, 0)
    assert anew["prompt_n"] == len(prompt) and anew["predicted_n"] == 6
    assert cached["prompt_n"] < len(prompt)
    assert anew["prompt_ms"] > 0 and anew["predicted_ms"] > 0
