"""Calls read piece by piece: however the text is split, the same calls come out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.answering import calls_in
from ondol.engine.tool_parsing import CallReader, ChoiceReader, NotACall
from ondol.types import Token, ToolCallDelta

NAMES = ("get_weather", "get", "add")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
arguments = st.dictionaries(texts, values, max_size=4)
calls = st.tuples(st.sampled_from(NAMES), arguments)
spaces = st.sampled_from(["", " ", "\n  "])


@st.composite
def written(draw: st.DrawFn, call: tuple[str, dict[str, object]]) -> str:
    """A call as a model may write it, with white space where JSON lets it be."""
    name, given_arguments = call
    gap = draw(spaces)
    indent = draw(st.sampled_from([None, 1]))
    body = json.dumps(given_arguments, ensure_ascii=draw(st.booleans()), indent=indent)
    return f'{gap}{{{gap}"name"{gap}:{gap}"{name}",{gap}"arguments":{gap}{body}{gap}}}'


@st.composite
def split(draw: st.DrawFn, text: str) -> list[str]:
    """``text`` in pieces."""
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=12)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def joined(pieces: Iterable[ToolCallDelta]) -> list[tuple[str, object]]:
    found = calls_in([Token("", tool_call=piece) for piece in pieces])
    assert all(call.id.startswith("call_") for call in found)
    return [(call.name, json.loads(call.arguments)) for call in found]


@given(st.data())
def test_a_call_is_the_same_however_it_is_split(data: st.DataObject) -> None:
    call = data.draw(calls)
    reader = CallReader(0, NAMES)
    pieces = [p for part in data.draw(split(data.draw(written(call)))) for p in reader.feed(part)]
    assert joined(pieces) == [call]
    assert reader.done
    assert pieces[0].name == call[0] and not any(piece.name for piece in pieces[1:])


@given(st.data())
def test_a_call_or_an_answer_is_the_same_however_it_is_split(data: st.DataObject) -> None:
    call, answer, gap = data.draw(calls), data.draw(values), data.draw(spaces)
    listed = data.draw(written(call))
    text = data.draw(
        st.sampled_from(
            [
                f'{{{gap}"tool_calls"{gap}:{gap}[{listed}{gap}]{gap}}}',
                f'{{"answer": {json.dumps(answer)}{gap}}}',
            ]
        )
    )
    reader = ChoiceReader(NAMES)
    said = [piece for part in data.draw(split(text)) for piece in reader.feed(part)]
    assert reader.done
    if reader.call:
        assert joined(p for p in said if isinstance(p, ToolCallDelta)) == [call]
    else:
        assert json.loads("".join(p for p in said if isinstance(p, str))) == answer


def fed(text: str) -> Iterator[ToolCallDelta]:
    yield from CallReader(0, NAMES).feed(text)


@pytest.mark.parametrize(
    "text",
    [
        "Sure, I will.",
        '[{"name": "add"}]',
        '{"name": "unknown", "arguments": {}}',
        '{"arguments": {}' + " " * 1000,
        '{"name": "add", "arguments": {} oh',
    ],
)
def test_what_is_no_call_is_not_taken_for_one(text: str) -> None:
    with pytest.raises(NotACall):
        list(fed(text))


@pytest.mark.parametrize("text", ["Sure", '{"other": 1}', '{"tool_calls": {}}', "[]"])
def test_what_is_neither_calls_nor_an_answer_is_taken_for_none(text: str) -> None:
    with pytest.raises(NotACall):
        list(ChoiceReader(NAMES).feed(text))


def test_call_that_was_cut_off_is_no_call() -> None:
    tokens = [
        Token("", tool_call=piece)
        for piece in fed('{"name": "add", "arguments": {"a": 1, "text": "he said \\"')
    ]
    assert tokens and calls_in(tokens) == ()


def test_calls_before_the_one_that_was_cut_off_stand() -> None:
    tokens = [
        Token("", tool_call=ToolCallDelta(0, '{"a": 1}', "call_1", "add")),
        Token("", tool_call=ToolCallDelta(1, '{"a"', "call_2", "add")),
    ]
    assert [call.id for call in calls_in(tokens)] == ["call_1"]
