"""An answer that is to be JSON: told as long as it may be, an error as soon as it cannot."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.engine.json_only import json_only
from ondol.errors import UsageError
from ondol.types import FinishReason, Token, Usage

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def pieces(text: str, finish: FinishReason = "stop", stop: str | None = None) -> list[Token]:
    last = Token("", finish_reason=finish, usage=Usage(), stop_sequence=stop)
    return [*(Token(letter) for letter in text), last]


@given(values, st.sampled_from(["", " ", "\n"]))
def test_json_passes_as_it_is(value: object, space: str) -> None:
    tokens = pieces(space + json.dumps(value) + space)
    assert list(json_only(tokens, {})) == tokens


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        ("Sure!", {}),
        ('{"a": 1', {}),
        ("", {}),
        ("5", {"type": "object"}),
        ("{}", {"type": "array"}),
    ],
)
def test_what_is_not_json_is_an_error(text: str, schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        list(json_only(pieces(text), schema))
    assert caught.value.param == "response_format"


def test_words_are_stopped_at_the_first() -> None:
    told: list[str] = []
    with pytest.raises(UsageError):
        told += [token.text for token in json_only(pieces("Certainly"), {})]
    assert told == []


@pytest.mark.parametrize(("finish", "stop"), [("length", None), ("cancelled", None), ("stop", "}")])
def test_what_was_cut_off_says_so_by_its_end(finish: FinishReason, stop: str | None) -> None:
    tokens = pieces('{"a": "on', finish, stop)
    assert list(json_only(tokens, {"type": "object"})) == tokens


def test_thoughts_are_no_json() -> None:
    tokens = [Token("Hm, well.", reasoning=True), *pieces("{}")]
    assert list(json_only(tokens, {"type": "object"})) == tokens
