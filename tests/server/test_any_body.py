"""Whatever is sent, the answer is JSON and no failure is the server's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from house import CHAT, EMBEDDING, House
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ondol.server import (
    native,
    native_collections,
    native_feedback,
    ollama,
    ollama_embed,
    ollama_models,
    openai_requests,
    rerank,
)

POSTS = [
    ("POST", "/api/chat"),
    ("POST", "/api/generate"),
    ("POST", "/api/embed"),
    ("POST", "/api/embeddings"),
    ("POST", "/api/show"),
    ("POST", "/api/copy"),
    ("DELETE", "/api/delete"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/completions"),
    ("POST", "/v1/embeddings"),
    ("POST", "/ondol/v1/ask"),
    ("POST", "/ondol/v1/search"),
    ("POST", "/v1/rerank"),
    ("POST", "/ondol/v1/collections"),
    ("PATCH", "/ondol/v1/collections/{collection}"),
    ("POST", "/ondol/v1/limits"),
    ("POST", "/ondol/v1/feedback"),
    ("DELETE", "/ondol/v1/documents"),
    ("DELETE", "/ondol/v1/loaded"),
]
FIELDS = sorted(
    {
        name
        for module in (
            ollama,
            ollama_embed,
            ollama_models,
            openai_requests,
            native,
            native_collections,
            native_feedback,
            rerank,
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


def check(house: House, method: str, path: str, content: bytes) -> None:
    with house.client() as client:
        response = client.request(method, path, content=content)
    assert response.status_code < 500, (response.status_code, response.text, content)
    if response.status_code != 200:
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
    # These reach out or read folders; their own tests feed them.
    elsewhere = {
        ("POST", "/api/pull"),
        ("POST", "/ondol/v1/models/pull"),
        ("POST", "/ondol/v1/documents"),
    }
    assert with_body == set(POSTS) | elsewhere
