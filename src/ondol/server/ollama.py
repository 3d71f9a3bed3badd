"""Ollama's endpoints for text: chat and generate (docs/api.md of ollama/ollama).

Streaming is the default, one JSON object a line; durations are nanoseconds on the last one.
Errors are ``{"error": "…"}``. The other ``/api`` routes are in ``ollama_embed``, ``ollama_models``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.engine.keep_alive import parse_keep_alive
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Flag, JsonRoute, Lenient, json_response
from ondol.server.generation import (
    Count,
    FittingChat,
    Real,
    Stop,
    alternatives,
    cannot,
    find_able,
    limit_of,
    role_of,
    seed_of,
    stops,
)
from ondol.server.ollama_reply import (
    ChatShape,
    GenerateShape,
    Reply,
    Shape,
    error_line,
    head,
    recall,
)
from ondol.server.streaming import NDJSON, in_thread, stream, whole
from ondol.server.verdict import HERE, Chat
from ondol.types import Engine, GenerateOptions, Message, Token

if TYPE_CHECKING:
    from ondol.models.store import Model

KeepAlive = float | str | None


class Options(Lenient):
    """Everything else that Ollama ever had is accepted and ignored."""

    num_ctx: Annotated[int, Field(ge=1, le=1_048_576)] | None = None
    num_predict: Count | None = None
    temperature: Real | None = None
    top_k: Count | None = None
    top_p: Real | None = None
    min_p: Real | None = None
    typical_p: Real | None = None
    repeat_last_n: Count | None = None
    repeat_penalty: Real | None = None
    presence_penalty: Real | None = None
    frequency_penalty: Real | None = None
    seed: int | None = None
    stop: Stop = None


class ModelRequest(Lenient):
    """``name`` is what old clients write."""

    model: str | None = None
    name: str | None = None

    @property
    def asked(self) -> str:
        return self.model or self.name or ""


class GenerationRequest(ModelRequest):
    stream: bool | None = None
    format: str | dict[str, Any] | None = None
    options: Options | None = None
    keep_alive: KeepAlive = None
    think: bool | str | None = None
    truncate: bool | None = None
    logprobs: Flag = False
    top_logprobs: int | None = None
    ondol: Flag = False


class ChatMessage(Lenient):
    role: str = ""
    content: str | None = None
    images: list[Any] | None = None


class ChatRequest(GenerationRequest):
    wanted: Literal["here", "home"] = "here"
    messages: list[ChatMessage] | None = None
    tools: list[Any] | None = None


class GenerateRequest(GenerationRequest):
    prompt: str | None = None
    suffix: str | None = None
    system: str | None = None
    template: str | None = None
    raw: Flag = False
    images: list[Any] | None = None
    context: list[Annotated[int, Field(ge=0, le=255)]] | None = None


def router(parts: Parts) -> APIRouter:
    """``/api/chat`` and ``/api/generate``."""
    routes = APIRouter(prefix="/api", tags=["ollama"], route_class=JsonRoute)

    @routes.post("/chat")
    async def chat(request: Request, body: ChatRequest) -> Response:
        """Answer a conversation."""
        if not body.messages:
            return await _load_or_unload(parts, body, ChatShape(body.asked))
        messages = _turns(body)
        start = _chat(body, messages)
        return await _generate(parts, request, body, ChatShape(body.asked), messages, start)

    @routes.post("/generate")
    async def generate(request: Request, body: GenerateRequest) -> Response:
        """Continue a prompt."""
        if not body.prompt:
            return await _load_or_unload(parts, body, GenerateShape(body.asked, None))
        messages = _messages(body)
        shape = GenerateShape(body.asked, None if body.raw else messages)
        start = _prompt(body, messages)
        return await _generate(parts, request, body, shape, messages, start)

    return routes


Start = Callable[[Engine, GenerateOptions], Iterator[Token]]


async def _generate(
    parts: Parts,
    request: Request,
    body: GenerationRequest,
    shape: Shape,
    messages: list[Message],
    start: Start,
) -> Response:
    model = await in_thread(lambda: _find(parts, body))
    _check_think(body, "thinking" in model.capabilities)
    options = _options(body)
    source = Chat(
        parts,
        model.name,
        messages,
        options,
        lambda wanted: start(parts.engine(model.name, **_loading(body)), wanted),
        body.wanted if isinstance(body, ChatRequest) else "here",
    )
    reply = Reply(shape, keep_thinking=body.think is not False)
    if body.ondol:
        reply.verdict = source.verdict
    if body.stream is False:
        return await whole(request, source, source.noted(reply.whole))
    return await stream(request, source, reply.lines(source), NDJSON, error_line, HERE)


async def _load_or_unload(parts: Parts, body: GenerationRequest, shape: Shape) -> Response:
    loading = _loading(body)
    is_unload = loading["keep_alive_seconds"] == 0

    def work() -> None:
        name = _find(parts, body).name
        if is_unload:
            # Its adapters go with it.
            parts.pool.stop(parts.adapters.resolve(name)[0].name)
        else:
            parts.engine(name, **loading).load()

    await in_thread(work)
    done = {"done": True, "done_reason": "unload" if is_unload else "load"}
    return json_response({**head(body.asked), **shape.delta("", ""), **done})


def _find(parts: Parts, body: GenerationRequest) -> Model:
    deed = t("server.deed_chat" if isinstance(body, ChatRequest) else "server.deed_generate")
    return find_able(parts, body.asked, "completion", deed)


def _loading(body: GenerationRequest) -> dict[str, Any]:
    return {
        "num_ctx": body.options.num_ctx if body.options else None,
        "keep_alive_seconds": parse_keep_alive(body.keep_alive),
    }


def _options(body: GenerationRequest) -> GenerateOptions:
    o = body.options or Options()
    return GenerateOptions(
        max_tokens=limit_of(o.num_predict),
        temperature=o.temperature,
        top_k=o.top_k,
        top_p=o.top_p,
        min_p=o.min_p,
        typical_p=o.typical_p,
        repeat_penalty=o.repeat_penalty,
        repeat_last_n=o.repeat_last_n,
        presence_penalty=o.presence_penalty,
        frequency_penalty=o.frequency_penalty,
        seed=seed_of(o.seed),
        stop=stops(o.stop),
        json_schema=_schema(body.format),
        logprobs=alternatives(body.logprobs, body.top_logprobs),
    )


def _schema(wanted: str | dict[str, Any] | None) -> dict[str, Any] | None:
    if isinstance(wanted, dict):
        return wanted
    if wanted == "json":
        return {"type": "object"}
    if wanted:
        raise UsageError(t("server.bad_format", format=wanted[:40]), param="format")
    return None


def _check_think(body: GenerationRequest, is_able: bool) -> None:
    if isinstance(body.think, str) and body.think not in ("low", "medium", "high", "max"):
        raise UsageError(t("server.bad_think", think=body.think[:40]), param="think")
    if body.think and not is_able:
        raise cannot(body.asked, t("server.deed_thinking"), "think")


def _turns(body: ChatRequest) -> list[Message]:
    if body.tools:
        raise cannot(body.asked, t("server.deed_tools"), "tools")
    messages = []
    for message in body.messages or []:
        if message.images:
            raise cannot(body.asked, t("server.deed_vision"), "messages")
        messages.append(Message(role_of(message.role), message.content or ""))
    return messages


def _chat(body: ChatRequest, messages: list[Message]) -> Start:
    if body.truncate is False:
        return lambda engine, options: engine.generate(messages, options)
    return lambda engine, options: FittingChat(engine, messages, options)


def _messages(body: GenerateRequest) -> list[Message]:
    if body.suffix:
        raise cannot(body.asked, t("server.deed_insert"), "suffix")
    if body.images:
        raise cannot(body.asked, t("server.deed_vision"), "images")
    if body.template and not body.raw:
        raise UsageError(t("server.no_templates"), param="template")
    messages = recall(body.context or [])
    if body.system:
        messages = [m for m in messages if m.role != "system"]
        messages.insert(0, Message("system", body.system))
    return [*messages, Message("user", body.prompt or "")]


def _prompt(body: GenerateRequest, messages: Sequence[Message]) -> Start:
    if body.raw:
        return lambda engine, options: engine.complete(body.prompt or "", options)
    if body.truncate is False:
        return lambda engine, options: engine.generate(messages, options)
    return lambda engine, options: FittingChat(engine, messages, options)
