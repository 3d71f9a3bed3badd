"""Whatever is sent, the answer is JSON and no failure is the server's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from house import CHAT, EMBEDDING, House
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ondol.errors import EngineError
from ondol.lab.tuning.tuning import Tuning
from ondol.server.anthropic import requests as anthropic_requests
from ondol.server.native import activations as native_activations
from ondol.server.native import adapters as native_adapters
from ondol.server.native import collections as native_collections
from ondol.server.native import conversations as native_conversations
from ondol.server.native import engines as native_engines
from ondol.server.native import evaluations as native_evaluations
from ondol.server.native import exploring as native_exploring
from ondol.server.native import federations as native_federations
from ondol.server.native import feedback as native_feedback
from ondol.server.native import hubs as native_hubs
from ondol.server.native import memories as native_memories
from ondol.server.native import onboarding as native_onboarding
from ondol.server.native import personal as native_personal
from ondol.server.native import personas as native_personas
from ondol.server.native import pins as native_pins
from ondol.server.native import prompts as native_prompts
from ondol.server.native import publishing as native_publishing
from ondol.server.native import routes as native
from ondol.server.native import runs as native_runs
from ondol.server.native import samples as native_samples
from ondol.server.native import suggestions as native_suggestions
from ondol.server.native import tuning as native_tuning
from ondol.server.native import updates as native_updates
from ondol.server.ollama import create as ollama_create
from ondol.server.ollama import embed as ollama_embed
from ondol.server.ollama import models as ollama_models
from ondol.server.ollama import requests as ollama_requests
from ondol.server.ollama import routes as ollama
from ondol.server.openai import requests as openai_requests
from ondol.server.openai import rerank
from ondol.server.responses import requests as responses_requests

POSTS = [
    ("POST", "/api/chat"),
    ("POST", "/api/generate"),
    ("POST", "/api/embed"),
    ("POST", "/api/embeddings"),
    ("POST", "/api/show"),
    ("POST", "/api/copy"),
    ("POST", "/api/create"),
    ("POST", "/api/push"),
    ("DELETE", "/api/delete"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/v1/responses"),
    ("POST", "/v1/responses/input_tokens"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/ondol/v1/ask"),
    ("POST", "/ondol/v1/search"),
    ("POST", "/ondol/v1/explore"),
    ("POST", "/ondol/v1/explore/agreement"),
    ("POST", "/v1/rerank"),
    ("POST", "/ondol/v1/collections"),
    ("PATCH", "/ondol/v1/collections/{collection}"),
    ("POST", "/ondol/v1/limits"),
    ("POST", "/ondol/v1/feedback"),
    ("POST", "/ondol/v1/conversations"),
    ("PATCH", "/ondol/v1/conversations/{conversation}"),
    ("DELETE", "/ondol/v1/conversations"),
    ("POST", "/ondol/v1/conversations/{conversation}/runs"),
    ("POST", "/ondol/v1/runs/{run}/calls/{call}"),
    ("PUT", "/ondol/v1/messages/{message}/feedback"),
    ("POST", "/ondol/v1/prompts"),
    ("PATCH", "/ondol/v1/prompts/{prompt}"),
    ("DELETE", "/ondol/v1/documents"),
    ("DELETE", "/ondol/v1/loaded"),
    ("POST", "/ondol/v1/loaded"),
    ("DELETE", "/ondol/v1/models"),
    ("PATCH", "/ondol/v1/folders"),
    ("DELETE", "/ondol/v1/folders"),
    ("POST", "/ondol/v1/memories"),
    ("POST", "/ondol/v1/memories/import"),
    ("POST", "/ondol/v1/memories/suggestions"),
    ("POST", "/ondol/v1/memories/suggestions/{id}"),
    ("DELETE", "/ondol/v1/memories/suggestions"),
    ("POST", "/ondol/v1/memories/{id}/restore"),
    ("PUT", "/ondol/v1/personas/{name}"),
    ("POST", "/ondol/v1/pins"),
    ("POST", "/ondol/v1/pins/{name}/read"),
    ("POST", "/ondol/v1/keys"),
    ("PATCH", "/ondol/v1/memories/{id}"),
    ("DELETE", "/ondol/v1/memories"),
    ("POST", "/ondol/v1/personal/trainings"),
    ("POST", "/ondol/v1/evaluations"),
    ("PUT", "/ondol/v1/engines/serving"),
    ("POST", "/ondol/v1/tuning"),
    ("DELETE", "/ondol/v1/tuning"),
    ("POST", "/ondol/v1/personal/comparisons"),
    ("POST", "/ondol/v1/federations"),
    ("POST", "/ondol/v1/federations/look"),
    ("PUT", "/ondol/v1/federations/{federation}/consent"),
    ("POST", "/ondol/v1/hubs"),
    ("POST", "/ondol/v1/hubs/publish"),
    ("POST", "/ondol/v1/hubs/publish/look"),
    ("POST", "/ondol/v1/updates"),
    ("POST", "/ondol/v1/updates/check"),
    ("POST", "/ondol/v1/updates/pin"),
    ("POST", "/ondol/v1/updates/unpin"),
    ("POST", "/ondol/v1/updates/rollback"),
    ("POST", "/ondol/v1/sources"),
    ("POST", "/ondol/v1/activations/rollback"),
    ("POST", "/ondol/v1/adapters/merge"),
    ("POST", "/ondol/v1/adapters/compare"),
    ("DELETE", "/ondol/v1/samples"),
    ("PATCH", "/ondol/v1/onboarding"),
    ("PATCH", "/ondol/v1/settings"),
]
FIELDS = sorted(
    {
        name
        for module in (
            anthropic_requests,
            ollama,
            ollama_embed,
            ollama_models,
            ollama_create,
            ollama_requests,
            openai_requests,
            native,
            native_collections,
            native_activations,
            native_adapters,
            native_conversations,
            native_exploring,
            native_federations,
            native_feedback,
            native_hubs,
            native_memories,
            native_onboarding,
            native_personas,
            native_pins,
            native_personal,
            native_engines,
            native_evaluations,
            native_tuning,
            native_prompts,
            native_publishing,
            native_runs,
            native_suggestions,
            native_updates,
            native_samples,
            rerank,
            responses_requests,
        )
        for kind in vars(module).values()
        if hasattr(kind, "model_fields")
        for name in kind.model_fields
    }
)
LEAVES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 21),
    st.floats(),
    st.text(st.characters(), max_size=20),
    st.sampled_from([CHAT, EMBEDDING, "", "user", "json", "text", "5m", "true", "0", "/etc", "\0"]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from([*FIELDS, "role", "content", "type", "text"]), inner, max_size=4
        ),
    ),
    max_leaves=8,
)
PLAUSIBLE = {
    "model": st.sampled_from([CHAT, EMBEDDING, "x"]),
    "messages": st.just([{"role": "user", "content": "hi"}]),
    "prompt": st.just("hi"),
    "question": st.just("hi"),
    "query": st.just("hi"),
    "input": st.just("hi"),
}
BODIES = st.builds(
    lambda likely, wild: {**likely, **wild},
    st.fixed_dictionaries({}, optional=PLAUSIBLE),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4),
)


@pytest.fixture(autouse=True)
def no_real_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tuning would start one."""

    def refuse(self: Tuning, only: str = "") -> None:
        raise EngineError("pretended")

    monkeypatch.setattr(Tuning, "run", refuse)


def check(house: House, method: str, path: str, content: bytes) -> None:
    with house.client() as client:
        response = client.request(method, path, content=content)
    assert response.status_code < 500, (response.status_code, response.text, content)
    if not response.is_success:
        assert response.json()["error"]
    elif response.headers.get("content-type", "").startswith("application/json"):
        response.json()


@pytest.mark.parametrize(("method", "path"), POSTS)
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(body={"model": CHAT, "prompt": "\ud800"})
@example(body={"model": "\ud800", "messages": [{"role": "user", "content": "x"}]})
@example(body={"model": CHAT, "prompt": "x", "format": {"\udfff": 1}})
@example(body={"model": CHAT, "prompt": "x", "seed": 10**30, "options": {"seed": 10**30}})
@example(body={"model": CHAT, "prompt": "x", "options": {"temperature": float("nan")}})
@example(body={"model": CHAT, "prompt": "x", "keep_alive": float("inf")})
@example(body={"model": "../../etc/passwd", "source": "..", "destination": "/x"})
@example(body={"paths": ["/" + "x" * 3000]})
@given(body=BODIES)
def test_no_json_body_breaks_the_server(house: House, method: str, path: str, body) -> None:
    check(house, method, path, json.dumps(body).encode())


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"\0",
        b'{"model": NaN}',
        b'{"model": 1e999}',
        b"[" * 100_000,
        b'{"format": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}",
        b'{"a": ' + b"9" * 10_000 + b"}",
        b'{"model": "\\ud800"}',
        b'{"model": "\xed\xa0\x80"}',
        '{"model": "\ud800"}'.encode("utf-16", "surrogatepass"),
        b'"text"',
        b"null",
        b"7",
        b"<xml/>",
    ],
)
@pytest.mark.parametrize(("method", "path"), POSTS)
def test_what_is_hardly_json_is_a_400(house: House, method: str, path: str, content) -> None:
    with house.client() as client:
        response = client.request(method, path, content=content)
    # A route that knows no field of the body looks for what its path names.
    assert response.status_code in (400, 404, 422), response.text
    assert response.json()["error"]


def test_every_route_that_takes_a_body_is_tried(house: House) -> None:
    with house.client() as client:
        document = client.get("/openapi.json").json()
    with_body = {
        (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if "requestBody" in operation
    }
    # These reach out, read folders or open a door; their own tests feed them.
    elsewhere = {
        ("POST", "/v1/audio/transcriptions"),
        ("POST", "/api/pull"),
        ("POST", "/ondol/v1/models/pull"),
        ("POST", "/ondol/v1/documents"),
        ("POST", "/ondol/v1/folders"),
        ("POST", "/ondol/v1/pulls"),
        ("POST", "/ondol/v1/sync"),
        ("PATCH", "/ondol/v1/pairing"),
        ("POST", "/ondol/v1/pairing"),
    }
    assert with_body == set(POSTS) | elsewhere
