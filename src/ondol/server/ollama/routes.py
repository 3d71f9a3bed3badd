"""Ollama's endpoints for text: chat and generate (docs/api.md of ollama/ollama).

Streaming is the default, one JSON object a line; durations are nanoseconds on the last one.
Errors are ``{"error": "…"}``. The other ``/api`` routes are in the modules ``ollama_…``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.engine.keep_alive import parse_keep_alive
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models.go_template import is_own_template, jinja_of
from ondol.parts import Parts
from ondol.server.asked import Asked, asked, refuse, reply
from ondol.server.body import JsonRoute, json_response
from ondol.server.fitting import FittingChat, Forgotten
from ondol.server.generation import cannot
from ondol.server.ollama.documented import ChatBody, GenerateBody, streams
from ondol.server.ollama.reply import (
    ChatShape,
    GenerateShape,
    Reply,
    Shape,
    error_line,
    head,
    recall,
)
from ondol.server.ollama.requests import (
    ChatRequest,
    GenerateRequest,
    GenerationRequest,
    images_of,
    options_of,
    think_of,
    turns_of,
)
from ondol.server.streaming import NDJSON, in_thread, stream, whole
from ondol.types import Engine, GenerateOptions, Message, Token

Start = Callable[[Any, GenerateOptions], Iterator[Token]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is asked: ``start`` begins the generation, and counts in ``forgotten`` what it leaves
    out of ``messages``. ``ignored`` are the fields of the request that could not be used. What
    ``is_raw`` is no conversation, and goes to nobody else."""

    messages: list[Message]
    start: Start
    shape: Shape
    forgotten: Forgotten = field(default_factory=Forgotten)
    ignored: tuple[str, ...] = ()
    is_raw: bool = False


def router(parts: Parts) -> APIRouter:
    """``/api/chat`` and ``/api/generate``."""
    routes = APIRouter(prefix="/api", tags=["ollama"], route_class=JsonRoute)

    @routes.post("/chat", responses=streams(ChatBody))
    async def chat(request: Request, body: ChatRequest) -> Response:
        """Answer a conversation."""
        if not body.messages:
            return await _load_or_unload(parts, request, body, ChatShape(body.asked))
        return await _generate(parts, request, body, lambda what: _conversation(body, what))

    @routes.post("/generate", responses=streams(GenerateBody))
    async def generate(request: Request, body: GenerateRequest) -> Response:
        """Continue a prompt."""
        if not body.prompt:
            return await _load_or_unload(parts, request, body, GenerateShape(body.asked, None))
        return await _generate(parts, request, body, lambda what: _prompt(parts, body, what))

    return routes


async def _generate(
    parts: Parts, request: Request, body: GenerationRequest, read: Callable[[Asked], Prompt]
) -> Response:
    thinks = bool(think_of(body.think))

    def work() -> tuple[Asked, GenerateOptions, Prompt]:
        what = asked(parts, request, body.asked, _deed(body))
        _check_able(body, what, thinks)
        return what, options_of(body), read(what)

    what, options, prompt = await in_thread(work)
    loading = _loading(body)
    source = reply(
        parts,
        what,
        prompt.messages,
        options,
        lambda wanted: prompt.start(parts.engine(what.model.name, **loading), wanted),
        "here" if prompt.is_raw else body.wanted,
        loading,
    )
    written = Reply(prompt.shape, keep_thinking=body.think is not False)
    written.forgotten, written.ignored = prompt.forgotten, prompt.ignored
    if body.ondol:
        written.verdict = source.verdict
    if body.stream is False:
        response = await whole(request, source, source.noted(written.whole))
        return prompt.forgotten.noted(response)
    return await stream(request, source, written.lines(source), NDJSON, error_line, source.known)


async def _load_or_unload(
    parts: Parts, request: Request, body: GenerationRequest, shape: Shape
) -> Response:
    loading = _loading(body)
    is_unload = loading["keep_alive_seconds"] == 0

    def work() -> None:
        what = asked(parts, request, body.asked, _deed(body))
        if is_unload:
            parts.stop(what.model.name)
        else:
            parts.engine(what.model.name, **loading).load()

    await in_thread(work)
    done = {"done": True, "done_reason": "unload" if is_unload else "load"}
    return json_response({**head(body.asked), **shape.delta("", ""), **done})


def _deed(body: GenerationRequest) -> str:
    return t("server.deed_chat" if isinstance(body, ChatRequest) else "server.deed_generate")


def _loading(body: GenerationRequest) -> dict[str, Any]:
    return {
        "num_ctx": (body.options.num_ctx or None) if body.options else None,
        "keep_alive_seconds": parse_keep_alive(body.keep_alive),
    }


def _check_able(body: GenerationRequest, what: Asked, thinks: bool) -> None:
    """Refuse what the model that answers cannot do."""
    wants = {
        "thinking": (thinks, "think"),
        # Who answers from documents calls nothing, and what is offered to it is let be.
        "tools": (isinstance(body, ChatRequest) and bool(body.tools) and not what.where, "tools"),
        "vision": (_has_images(body), "images"),
        "insert": (isinstance(body, GenerateRequest) and bool(body.suffix), "suffix"),
    }
    for capability, (is_wanted, param) in wants.items():
        if is_wanted and capability not in what.model.capabilities:
            raise cannot(body.asked, t(f"server.deed_{capability}"), param)


def _has_images(body: GenerationRequest) -> bool:
    if isinstance(body, ChatRequest):
        return any(message.images for message in body.messages or ())
    return isinstance(body, GenerateRequest) and bool(body.images)


def _conversation(body: ChatRequest, what: Asked) -> Prompt:
    messages = turns_of(body.messages or ())
    return _fitting(body, messages, ChatShape(body.asked))


def _fitting(
    body: GenerationRequest, messages: list[Message], shape: Shape, ignored: tuple[str, ...] = ()
) -> Prompt:
    forgotten = Forgotten()

    def start(engine: Engine, options: GenerateOptions) -> Iterator[Token]:
        if body.truncate is False:
            return engine.generate(messages, options)
        return FittingChat(engine, messages, options, forgotten)

    return Prompt(messages, start, shape, forgotten, ignored)


def _prompt(parts: Parts, body: GenerateRequest, what: Asked) -> Prompt:
    refuse(what, raw=body.raw, suffix=body.suffix, template=body.template)
    prompt = body.prompt or ""
    bare = GenerateShape(body.asked, None)
    if body.raw:
        if body.template or body.system or body.context:
            raise UsageError(t("ollama.raw_alone"), param="raw")
        if not body.suffix:
            alone = [Message("user", prompt)]
            return Prompt(alone, lambda engine, o: engine.complete(prompt, o), bare, is_raw=True)
    if body.suffix:
        suffix = body.suffix
        between = [Message("user", f"{prompt}\n{suffix}")]
        return Prompt(
            between, lambda engine, o: engine.infill(prompt, suffix, o), bare, is_raw=True
        )
    if body.template and not is_own_template(jinja_of(parts.store, what.model), body.template):
        raise UsageError(t("server.no_templates"), param="template")
    before = recall(body.context or ())
    messages = list(before or ())
    if body.system:
        messages = [m for m in messages if m.role != "system"]
        messages.insert(0, Message("system", body.system))
    messages.append(Message("user", prompt, images=images_of(body.images, "body")))
    ignored = ("context",) if before is None else ()
    return _fitting(body, messages, GenerateShape(body.asked, messages), ignored)
