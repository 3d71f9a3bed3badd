"""Calls that llama-server found in the words of a family of models, checked before they are told.

Its parsers know many formats, and some are read without a grammar. So each call is held back until
it is whole; one that does not fit its tool's schema is not passed on, but made anew under
constraint. Pure but for what ``again`` does.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace

from ondol.types import FinishReason, Message, Token, Tool, ToolCall, ToolCallDelta, Usage

ID_LENGTH = 9

Again = Callable[[Sequence[Tool]], Iterable[Token]]


def checked(tokens: Iterable[Token], tools: Sequence[Tool], again: Again) -> Generator[Token]:
    """``tokens`` with whole calls of ``tools``; ``again`` makes one call of those that it gets."""
    known = {tool.name: tool for tool in tools}
    found: dict[int, ToolCall] = {}
    told = 0
    wrong: list[str] = []

    def settle(upto: int | None) -> Generator[Token]:
        """The calls before number ``upto`` are whole now."""
        nonlocal told
        for index in sorted(i for i in found if upto is None or i < upto):
            call = found.pop(index)
            if fits(call, known):
                yield from _whole(told, call)
                told += 1
            else:
                wrong.append(call.name)

    last = Token("", finish_reason="stop", usage=Usage())
    for token in tokens:
        if token.finish_reason:
            last = token
        elif (piece := token.tool_call) is None:
            yield token
        else:
            before = found.get(piece.index, ToolCall("", "", ""))
            name, arguments = before.name or piece.name, before.arguments + piece.arguments
            found[piece.index] = ToolCall("", name, arguments)
            yield from settle(piece.index)
    if last.finish_reason not in ("length", "cancelled"):
        yield from settle(None)
    if not wrong or last.finish_reason == "cancelled":
        finish: FinishReason = last.finish_reason or "stop"
        yield replace(last, finish_reason="tool_calls" if told and finish == "stop" else finish)
        return
    for token in again([known[wrong[0]]] if wrong[0] in known else tools):
        if token.tool_call:
            yield replace(token, tool_call=replace(token.tool_call, index=told))
        elif token.finish_reason:
            yield replace(token, usage=_added(last.usage, token.usage))
        else:
            yield token


def fits(call: ToolCall, tools: dict[str, Tool]) -> bool:
    """Whether ``call`` is one of ``tools`` and its arguments fit."""
    from jsonschema import SchemaError  # type: ignore[import-untyped]
    from jsonschema.validators import validator_for  # type: ignore[import-untyped]
    from referencing.exceptions import Unresolvable

    tool = tools.get(call.name)
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return False
    if tool is None or not isinstance(arguments, dict):
        return False
    schema = {"type": "object", **tool.parameters}
    try:
        return bool(validator_for(schema)(schema).is_valid(arguments))
    except (SchemaError, Unresolvable, RecursionError):
        return True  # a schema that nobody can check is its author's word


def with_short_ids(messages: Sequence[Message]) -> list[Message]:
    """``messages`` whose calls have ids of nine letters and digits, the only ones that the
    templates of Mistral take."""
    return [
        replace(
            message,
            tool_calls=tuple(replace(call, id=_short(call.id)) for call in message.tool_calls),
            tool_call_id=_short(message.tool_call_id) if message.tool_call_id else "",
        )
        for message in messages
    ]


def with_readable_arguments(messages: Sequence[Message]) -> list[Message]:
    """``messages`` whose calls have objects for arguments, as templates expect: what a client sent
    instead becomes the one property of such an object."""
    return [
        replace(message, tool_calls=tuple(_readable(call) for call in message.tool_calls))
        for message in messages
    ]


def _readable(call: ToolCall) -> ToolCall:
    try:
        value = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        value = call.arguments
    if isinstance(value, dict):
        return replace(call, arguments=call.arguments or "{}")
    return replace(call, arguments=json.dumps({"input": value}))


def new_id() -> str:
    """An id for a call, as OpenAI's begin."""
    return f"call_{secrets.token_hex(12)}"


def _short(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:ID_LENGTH]


def _whole(index: int, call: ToolCall) -> Generator[Token]:
    yield Token("", tool_call=ToolCallDelta(index, "", new_id(), call.name))
    yield Token("", tool_call=ToolCallDelta(index, call.arguments or "{}"))


def _added(first: Usage | None, second: Usage | None) -> Usage:
    a, b = first or Usage(), second or Usage()
    return replace(
        a,
        completion_tokens=a.completion_tokens + b.completion_tokens,
        prompt_seconds=a.prompt_seconds + b.prompt_seconds,
        completion_seconds=a.completion_seconds + b.completion_seconds,
        total_seconds=a.total_seconds + b.total_seconds,
    )
