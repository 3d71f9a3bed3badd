"""Schemas that would hold the engine up are refused before; one that still does ends its process,
not the patience of everybody else."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.engine import llama
from ondol.engine.patterns import MOST_WAYS, cost
from ondol.engine.schemas import check
from ondol.engine.wire import Stalled, _spoken
from ondol.errors import EngineTimeoutError, UsageError
from ondol.types import GenerateOptions, Message

QUESTION = [Message("user", "Say aaaaaaaaaaaaaaaaaaaaaaaaa")]
# Measured with the default model: more than 25 seconds for one token.
NASTY = {"type": "string", "pattern": "^" + "a?" * 300 + "$"}


def text(pattern: str) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern}


def doubled(times: int) -> dict[str, Any]:
    """2 ** ``times`` ways to say the same, in a few lines."""
    known: dict[str, Any] = {"a0": {"type": "string"}}
    for n in range(times):
        known[f"a{n + 1}"] = {"anyOf": [{"$ref": f"#/$defs/a{n}"}] * 2}
    return {"$defs": known, "$ref": f"#/$defs/a{times}"}


def nested(times: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "string"}
    for _ in range(times):
        found = {"type": "array", "items": found}
    return found


@pytest.mark.parametrize(
    "schema",
    [
        text("^((a{0,100}){0,100}){0,100}$"),
        text("^" + "a?" * 300 + "$"),
        text("^" + "(a*b?)" * 40 + "$"),
        text("^" + "(" * 60 + "a" + ")*" * 60 + "$"),
        text("^((a{90}){90}){90}$"),
        text("(" * 5000),
        {"type": "object", "properties": {"x": {"items": text("^(a{0,40}){0,40}$")}}},
        {"type": "object", "patternProperties": {"^(a?){99}$": {"type": "string"}}},
        {"anyOf": [text("^" + f"{letter}?" * 40 + "$") for letter in "abc"]},
        {"allOf": [{"anyOf": [text("^a$"), text("^b$")]}] * 12},
        doubled(25),
        {"enum": ["x" * 20 + str(n) for n in range(2000)]},
        {"type": "object", "properties": {f"p{n}": {} for n in range(1000)}},
        {"enum": ["x" * 100_000]},
        nested(200),
    ],
)
def test_schema_that_can_be_followed_in_too_many_ways_is_refused(schema: dict[str, Any]) -> None:
    started = time.process_time()
    with pytest.raises(UsageError) as caught:
        check(schema)
    assert caught.value.param == "response_format"
    assert caught.value.hint
    assert time.process_time() - started < 5  # to count the ways is no such work itself


@pytest.mark.parametrize(
    "schema",
    [
        text(r"^[a-zA-Z0-9._%+-]+@[a-zA-Z0-9.-]+\.[a-zA-Z]{2,}$"),
        text(r"^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$"),
        text(r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d(Z|[+-]\d\d)$"),
        text(r"^((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)$"),
        text(r"^(?:[a-z]+ )*[a-z]+[.!?]$"),
        text("^.{1,2000}$"),
        {"type": "string", "minLength": 1, "maxLength": 100_000},
        {"enum": [f"country {n}" for n in range(250)]},
        {
            "$defs": {"node": {"properties": {"left": {"$ref": "#/$defs/node"}}}},
            "type": "object",
            "properties": {"tree": {"$ref": "#/$defs/node"}, "other": {"$ref": "elsewhere"}},
            "required": ["tree"],
        },
        {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": ["string", "null"]}}},
        {"properties": {"pattern": {"enum": ["(a*)*"]}, "$ref": {"type": "string"}}},
        {"type": "nonsense", "anyOf": "nonsense", "properties": [], "pattern": 5},
        {},
        None,
    ],
)
def test_ordinary_schema_is_taken(schema: dict[str, Any] | None) -> None:
    check(schema)


def test_words_that_a_place_does_not_take_are_named() -> None:
    with pytest.raises(UsageError, match="pattern"):
        check({"items": [text("a")]}, refused=("pattern",))
    check({"properties": {"pattern": {}}}, refused=("pattern",))
    with pytest.raises(UsageError, match="1 kB"):
        check({"enum": ["x" * 1024]}, longest_bytes=1024)


_PIECES = st.recursive(
    st.sampled_from(["a", "[^b-d]", r"\d", ".", "[]x]"]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner, min_size=2, max_size=3).map("|".join).map("({})".format),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{3}", "{2,5}", "{4,}"])).map(
            lambda both: f"(?:{both[0]}){both[1]}"
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(_PIECES)
def test_every_expression_has_a_cost_that_repeating_it_does_not_lower(pattern: str) -> None:
    re.compile(pattern)
    once = cost(pattern)
    assert once.ways >= 1 <= once.steps
    repeated = cost(f"(?:{pattern}){{0,100}}")
    assert repeated.ways > once.ways
    assert repeated.steps >= 100 * (once.steps - 1)
    assert cost(f"({pattern}|{pattern})").ways >= 2 * once.ways - 1


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab()[]{}|*+?\\,19^$-", max_size=60))
def test_what_is_no_expression_has_a_cost_too(pattern: str) -> None:
    assert cost(pattern).ways >= 1
    assert cost("(" + pattern + ")" * 3).ways >= 1


def test_what_is_a_little_slow_is_within_bounds() -> None:
    """Measured: 0.3 s for a token at 60 optional characters, 1.5 s at 40 times 40."""
    assert cost("a?" * 60).ways <= MOST_WAYS < cost("(a{0,40}){0,40}").ways


def test_sign_of_life_is_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 10.0, 30.0, 50.0, 75.0, 105.0])
    monkeypatch.setattr("ondol.engine.wire.time.monotonic", lambda: next(clock))
    parts = _spoken(iter([b"data: {}\n\n", b":\n\n", b"data: {}\n\n", b":\n\n", b":\n\n"]), 50)
    heard = []
    with pytest.raises(Stalled):
        heard.extend(iter(parts))
        raise AssertionError("it never ended")
    assert next(clock, None) is None


def test_model_refuses_before_it_is_even_loaded(make_pool) -> None:
    pool = make_pool()
    with pytest.raises(UsageError):
        next(pool.engine("m").generate(QUESTION, GenerateOptions(json_schema=NASTY)))
    assert pool.loaded() == []


def follow(pool, **options: Any):
    return pool.engine("m").generate(QUESTION, GenerateOptions(64, temperature=0, **options))


def said(pool) -> str:
    return "".join(token.text for token in follow(pool))


def test_schema_that_slips_through_ends_its_process_and_the_next_answer_comes(
    make_pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama, "check_schema", lambda schema: None)
    pool = make_pool(schema_timeout_seconds=3)
    pool.load("m")
    before = pool.loaded()[0].pid
    with pytest.raises(EngineTimeoutError, match="3 seconds") as caught:
        list(follow(pool, json_schema=NASTY))
    assert "schema_timeout_seconds" in caught.value.hint
    assert said(pool)
    assert pool.loaded()[0].pid != before


@pytest.mark.slow
def test_who_leaves_before_does_not_leave_a_model_that_hangs(
    make_pool, monkeypatch: pytest.MonkeyPatch, until
) -> None:
    monkeypatch.setattr(llama, "check_schema", lambda schema: None)
    pool = make_pool(schema_timeout_seconds=6)
    pool.load("m")
    before = pool.loaded()[0].pid
    tokens = follow(pool, json_schema=NASTY)
    next(tokens)  # the quotation mark; after that it is lost in thought
    time.sleep(1)  # Who leaves before it is lost leaves a model that hears of it and answers on.
    tokens.close()
    until(lambda: all(model.pid != before for model in pool.loaded()), 200)
    assert said(pool)


def test_who_leaves_an_ordinary_schema_leaves_the_model_as_it_is(make_pool, until) -> None:
    pool = make_pool(schema_timeout_seconds=120)
    pool.load("m")
    before = pool.loaded()[0]
    tokens = follow(pool, json_schema={"type": "string", "minLength": 500})
    next(tokens)
    tokens.close()
    until(lambda: not any("look" in thread.name for thread in threading.enumerate()), 120)
    assert replace(pool.loaded()[0], size_bytes=0, expires_at=None) == replace(
        before, size_bytes=0, expires_at=None
    )
