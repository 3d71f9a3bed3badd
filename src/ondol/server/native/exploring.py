"""Ondol's own endpoints that look at how a model chooses its words: what else might have come at
each token, what the sampler cut, how several texts for one prompt agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.i18n import t
from ondol.lab.exploring.diversity import diversity
from ondol.lab.exploring.opening import vocabulary_of
from ondol.lab.exploring.sampler import Shape
from ondol.lab.exploring.session import Event, explored, gathered
from ondol.lab.exploring.watching import MOST_SHOWN, Sample
from ondol.parts import Parts
from ondol.server.asked import asked, reply
from ondol.server.body import Lenient, json_response
from ondol.server.generation import cannot
from ondol.server.native.collections import Text
from ondol.server.native.models import error_event, event
from ondol.server.streaming import SSE, Source, in_thread, stream, whole
from ondol.server.verdict import Chat
from ondol.types import GenerateOptions, Message, Token

MOST_SAMPLES = 8
MOST_TOKENS = 512
MOST_TEXTS = 16
USUAL = Shape()

Count = Annotated[int, Field(ge=0, lt=2**31)]
Share = Annotated[float, Field(ge=0, le=1)]
Prompt = Annotated[str, Field(min_length=1)]


class Explore(Lenient):
    """``prompt`` is a question, or the beginning of a plain text; the model goes on from ``begin``,
    which it is told that it has said. Of ``samples`` each has the next ``seed``."""

    prompt: Prompt
    model: Text | None = None
    mode: Literal["chat", "text"] = "chat"
    begin: str = ""
    samples: Annotated[int, Field(ge=1, le=MOST_SAMPLES)] = 1
    max_tokens: Annotated[int, Field(ge=1, le=MOST_TOKENS)] = 48
    temperature: Annotated[float, Field(ge=0, le=2)] = USUAL.temperature
    top_k: Count = USUAL.top_k
    top_p: Share = USUAL.top_p
    min_p: Share = USUAL.min_p
    seed: Count = 1
    alternatives: Annotated[int, Field(ge=1, le=MOST_SHOWN)] = 20
    stream: bool = True

    def messages(self) -> list[Message]:
        """The conversation that is gone on with."""
        said = [Message("assistant", self.begin)] if self.begin else []
        return [Message("user", self.prompt), *said]


class Agreement(Lenient):
    texts: Annotated[list[Annotated[str, Field(max_length=20_000)]], Field(max_length=MOST_TEXTS)]


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the two routes."""

    @routes.post("/explore")
    async def explore(request: Request, body: Explore) -> Response:
        """A text with what else might have come: events `token`…, `sample` after each text, and
        `summary`, how they differ and agree."""
        source = await in_thread(lambda: _explored(parts, request, body))
        if not body.stream:
            return await whole(request, source, lambda items: json_response(gathered(items)))
        events = (event(*item) for item in source)
        return await stream(request, source, events, SSE, error_event)

    @routes.post("/explore/agreement")
    async def agreement(body: Agreement) -> Response:
        """How texts that are given differ and agree."""
        return json_response(await in_thread(lambda: diversity(body.texts).json()))


def _explored(parts: Parts, request: Request, body: Explore) -> _Exploring:
    what = asked(parts, request, body.model or parts.config["models.chat"], t("server.deed_chat"))
    if what.where is not None:
        # Documents answer there in their own words.
        raise cannot(what.name, t("explore.deed"))
    shape = Shape(body.temperature, body.top_k, body.top_p, body.min_p)
    vocabulary = vocabulary_of(parts, what.model.name)
    samples = [
        Sample(shape, body.seed + number, vocabulary, body.alternatives)
        for number in range(body.samples)
    ]

    def start(given: GenerateOptions) -> Iterator[Token]:
        engine = parts.engine(what.model.name)
        if body.mode == "text":
            return engine.complete(body.prompt + body.begin, given)
        return engine.generate(body.messages(), given)

    def chat_of(sample: Sample) -> Chat:
        options = sample.options(body.max_tokens)
        return reply(parts, what, body.messages(), options, sample.watching(start), "here")

    return _Exploring(samples, chat_of)


class _Exploring(Source[Event]):
    """What ``explored`` tells, stopped from any thread with the reply that is being given."""

    def __init__(self, samples: list[Sample], chat_of: Callable[[Sample], Chat]) -> None:
        self._chats: list[Chat] = []
        self._chat_of = chat_of
        super().__init__(lambda: explored(samples, self._begin))

    def _begin(self, sample: Sample) -> Chat:
        chat = self._chat_of(sample)
        self._chats.append(chat)
        if self._stopped:
            chat.stop()
        return chat

    def _close(self) -> None:
        # Before our own generator, which may be waiting in one of them.
        for chat in self._chats:
            chat.stop()
        super()._close()
