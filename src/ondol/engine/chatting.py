"""How a model is asked for its turn in a chat, by what its template can do.

A plain conversation goes to llama-server's chat endpoint. Where something has to hold (a call, a
schema after thoughts), the raw prompt does instead, step by step (``turn``); only families whose
calls look otherwise, and may call but need not, are left to llama-server's own parsers, and what
these find is checked.
"""

from __future__ import annotations

import base64
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ondol import chat_template
from ondol.chat_dialect import messages_body, tools_body
from ondol.chat_template import ChatTemplate
from ondol.engine.dialect import chat_body
from ondol.engine.images import check as check_images
from ondol.engine.json_only import json_only
from ondol.engine.native_calls import checked, with_readable_arguments, with_short_ids
from ondol.engine.request import Wire
from ondol.engine.states.heads import head_of
from ondol.engine.tool_prompt import choosing, told
from ondol.engine.turn import Opening, Turn
from ondol.types import GenerateOptions, Message, Token, Tool

if TYPE_CHECKING:
    import httpx2

CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True)
class Served:
    """What a running llama-server says of its model."""

    template: ChatTemplate
    sees: bool


# A process serves one model for all its life.
_served: WeakKeyDictionary[httpx2.Client, Served] = WeakKeyDictionary()


def chat(wire: Wire, messages: Sequence[Message]) -> Generator[Token]:
    """The tokens of the model's turn after ``messages``."""
    options = wire.options
    wire.head = head_of(messages, options)
    if _is_plain(messages, options):
        return wire.tokens(CHAT, chat_body(messages, options), constrained=False)
    template, offered = served_by(wire).template, _offered(options)
    if _step_by_step(template, options):
        found = Turn(wire, opening(wire, messages)).tokens()
        schema = options.json_schema
        return found if offered or schema is None else json_only(found, schema)
    body = chat_body((), replace(options, tools=())) | _conversation(wire, messages)
    if not offered and options.json_schema is not None:
        return json_only(wire.tokens(CHAT, body, constrained=True), options.json_schema)
    if not offered:
        return wire.tokens(CHAT, body, constrained=False)
    body["parallel_tool_calls"] = options.parallel_tool_calls
    found = wire.tokens(CHAT, body, constrained=True)
    return checked(found, offered, lambda tools: _insisting(wire, messages, tools))


def opening(wire: Wire, messages: Sequence[Message]) -> Opening:
    """The raw prompt of the model's turn, as its template writes it."""
    template = served_by(wire).template
    prompt = str(wire.ask("/apply-template", _conversation(wire, messages))["prompt"])
    images = [base64.b64encode(image).decode() for m in messages for image in m.images]
    return Opening(prompt, tuple(images), _thinks(prompt, template, wire.options))


def served_by(wire: Wire) -> Served:
    """What the process behind ``wire`` serves; asked once."""
    client = wire.loaded.client
    if client not in _served:
        props = wire.ask("/props")
        template = chat_template.read(str(props.get("chat_template") or ""))
        modalities = props.get("modalities") or {}
        _served[client] = Served(template, bool(modalities.get("vision")))
    return _served[client]


def _is_plain(messages: Sequence[Message], options: GenerateOptions) -> bool:
    """Whether it is the same for every template."""
    if _offered(options) or options.json_schema is not None or options.think is not None:
        return False
    return not any(m.role == "tool" or m.tool_calls or m.images for m in messages)


def _offered(options: GenerateOptions) -> Sequence[Tool]:
    return options.tools if options.tool_choice != "none" else ()


def _step_by_step(template: ChatTemplate, options: GenerateOptions) -> bool:
    if _offered(options):
        return not _is_left_to_server(template, options)
    return template.tags_thoughts and options.json_schema is not None


def _is_left_to_server(template: ChatTemplate, options: GenerateOptions) -> bool:
    held = options.json_schema is not None or options.tool_choice == "required"
    return template.tools == "other" and not held


def _conversation(wire: Wire, messages: Sequence[Message]) -> dict[str, Any]:
    """What llama-server renders: in the template's own words where it has them, else in ours."""
    options, served = wire.options, served_by(wire)
    template, offered = served.template, _offered(wire.options)
    check_images(messages, served.sees)
    body: dict[str, Any] = {}
    choosing_json = options.json_schema is not None and options.tool_choice == "auto"
    if template.tools == "tagged" or (
        template.tools and (not offered or _is_left_to_server(template, options))
    ):
        if offered:
            body["tools"] = tools_body(offered)
            messages = choosing(messages) if choosing_json else messages
        messages = with_readable_arguments(messages)
        messages = with_short_ids(messages) if template.short_ids else messages
    else:
        messages = told(messages, offered)
        messages = choosing(messages) if offered and choosing_json else messages
    body["messages"] = messages_body(messages)
    if words := _template_words(template, options):
        body["chat_template_kwargs"] = words
    return body


def _template_words(template: ChatTemplate, options: GenerateOptions) -> Mapping[str, Any]:
    """What a template that knows thoughts is told of them."""
    think = options.think
    if think is None or not template.thinks:
        return {}
    words = {"enable_thinking": bool(think), "thinking": bool(think)}
    if isinstance(think, str) and template.efforts:
        return {**words, "reasoning_effort": think}
    return words


def _thinks(prompt: str, template: ChatTemplate, options: GenerateOptions) -> bool:
    """Whether the turn begins with thoughts: the prompt has opened them, or the template's model
    does so by itself."""
    if not template.tags_thoughts or options.think is False:
        return False
    end = prompt.rstrip()
    if end.endswith("<think>"):
        return True
    return not end.endswith("</think>") and (bool(options.think) or template.switches)


def _insisting(wire: Wire, messages: Sequence[Message], tools: Sequence[Tool]) -> Generator[Token]:
    """One call of ``tools``, held to its schema."""
    held = replace(
        wire.options, tools=tuple(tools), tool_choice="required", parallel_tool_calls=False
    )
    again = Wire(wire.loaded, held, wire.cancellation)
    return Turn(again, replace(opening(again, messages), thinks=False)).tokens()
