"""A prompt's own log-probabilities, as lm-evaluation-harness asks for them."""

from __future__ import annotations

import math
from typing import Any

import openai
import pytest
from house import CHAT, REPLY, House
from test_real_model import openai_client, real

from ondol.server.openai.echoed import MOST_TOKENS

__all__ = ["openai_client", "real"]

LIKELIHOOD: dict[str, Any] = {
    "model": CHAT,
    "temperature": 0,
    "max_tokens": 1,
    "logprobs": 1,
    "echo": True,
    "seed": 1234,
}


def post(house: House, **fields: Any) -> Any:
    with house.client() as client:
        return client.post("/v1/completions", json={**LIKELIHOOD, **fields})


def test_the_prompts_tokens_come_before_the_answers(house: House) -> None:
    (choice,) = post(house, prompt="Keep it warm", max_tokens=50).json()["choices"]
    logprobs = choice["logprobs"]
    assert choice["text"] == "Keep it warm" + REPLY
    assert logprobs["tokens"][:3] == ["Keep", " it", " warm"]
    assert "".join(logprobs["tokens"]) == choice["text"]
    assert logprobs["token_logprobs"][0] is None and logprobs["top_logprobs"][0] is None
    assert len({len(part) for part in logprobs.values()}) == 1
    for token, offset in zip(logprobs["tokens"], logprobs["text_offset"], strict=True):
        assert choice["text"][offset:].startswith(token)
    for own, top in zip(logprobs["token_logprobs"][1:], logprobs["top_logprobs"][1:], strict=True):
        assert own in top.values()


def test_nothing_may_be_asked_for_after_the_prompt(house: House) -> None:
    told = post(house, prompt=["Keep it", "Let it go"], max_tokens=0).json()
    assert [choice["text"] for choice in told["choices"]] == ["Keep it", "Let it go"]
    assert [len(choice["logprobs"]["tokens"]) for choice in told["choices"]] == [2, 3]


def test_without_logprobs_only_the_text_is_echoed(house: House) -> None:
    (choice,) = post(house, prompt="Keep it", logprobs=None).json()["choices"]
    assert choice["text"].startswith("Keep it") and choice["logprobs"] is None


@pytest.mark.parametrize(
    ("fields", "param", "word"),
    [
        ({"stream": True}, "stream", "one piece"),
        ({"prompt": "word " * (MOST_TOKENS + 1)}, "prompt", str(MOST_TOKENS)),
        ({"prompt": ["word " * (MOST_TOKENS // 2)], "n": 3}, "prompt", str(MOST_TOKENS)),
        ({"max_tokens": 0, "logprobs": None}, "max_tokens", "max_tokens"),
    ],
)
def test_what_is_too_much_is_said(house: House, fields: Any, param: str, word: str) -> None:
    answer = post(house, **{"prompt": "x", **fields})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
    assert word in answer.json()["error"]["message"]


@pytest.mark.model
def test_the_harness_finds_the_likelier_of_two_endings(real: House) -> None:
    with real.client() as client:
        ids = client.post("/v1/completions", json={**LIKELIHOOD, "prompt": "x"})
        assert ids.status_code == 200
    found = []
    for ending in (" Paris", " seven"):
        answer = post(real, prompt="The capital of France is" + ending)
        (choice,) = answer.json()["choices"]
        # lm_eval: what comes after the context, but for the one token that was generated.
        own = choice["logprobs"]["token_logprobs"][5:-1]
        tops = choice["logprobs"]["top_logprobs"][5:-1]
        is_greedy = all(a == max(b.values()) for a, b in zip(own, tops, strict=True))
        found.append((sum(own), is_greedy))
        assert answer.json()["usage"]["prompt_tokens"] == 6
        assert answer.json()["usage"]["completion_tokens"] == 1
    assert found[0][0] > found[1][0] + 2
    assert found[0][1] and not found[1][1]


@pytest.mark.model
def test_token_ids_are_scored_as_they_are(real: House, openai_client: openai.OpenAI) -> None:
    engine = real.parts.engine(CHAT)
    ids = [engine.tokenize("The capital of France is Paris"), engine.tokenize("서울은")]
    told: Any = openai_client.completions.create(**{**LIKELIHOOD, "prompt": ids})
    for choice, prompt in zip(told.choices, ids, strict=True):
        assert len(choice.logprobs.tokens) == len(prompt) + 1
        known = (choice.logprobs.token_logprobs or [])[1:-1]
        assert known and all(math.isfinite(one) for one in known)
    # A piece of a letter is written as OpenAI writes it.
    assert any("bytes:\\x" in text for text in told.choices[1].logprobs.tokens)


@pytest.mark.model
@pytest.mark.parametrize("prompt", [[999_999_999], [[1, 2], [5, 49_152, 6]], [2**31 - 1]])
@pytest.mark.parametrize("echo", [False, True])
def test_ids_that_are_no_tokens_are_said_with_their_field(
    real: House, prompt: Any, echo: bool
) -> None:
    fields = LIKELIHOOD if echo else {"model": CHAT, "max_tokens": 1}
    with real.client() as client:
        answer = client.post("/v1/completions", json={**fields, "prompt": prompt})
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (400, "prompt"), error
    worst = max(id for id in (prompt if isinstance(prompt[0], int) else prompt[1]))
    assert f"prompt: {worst} is not a token" in error["message"]


@pytest.mark.model
def test_a_bias_for_no_token_is_said_with_its_field(real: House) -> None:
    body = {"model": CHAT, "prompt": "x", "max_tokens": 1, "logit_bias": {"999999999": 1}}
    with real.client() as client:
        answer = client.post("/v1/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "logit_bias")
