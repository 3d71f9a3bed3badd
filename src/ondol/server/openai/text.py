"""``/v1/completions``: prompts that are continued as they are, without a chat template.

Several prompts, and several answers to each, are choices of one reply. ``suffix`` asks for what
stands between two texts. Token ids are read in the model's own vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.chat import Start
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.asked import asked, refuse, reply
from ondol.server.generation import cannot, logprobs_of
from ondol.server.openai.choices import Choices
from ondol.server.openai.documented import COMPLETION
from ondol.server.openai.echoed import Echo, Prompt, echoes, wants_scores
from ondol.server.openai.options import biased, choices_of, numbered, text_options
from ondol.server.openai.reply import Reply, error_event
from ondol.server.openai.requests import CompletionRequest
from ondol.server.streaming import SSE, in_thread, stream, whole
from ondol.server.verdict import Chat
from ondol.types import GenerateOptions, Message, Token

if TYPE_CHECKING:
    from ondol.server.asked import Asked

MOST_PROMPTS = 128


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the one route."""

    @routes.post("/completions", responses=COMPLETION)
    async def completions(request: Request, body: CompletionRequest) -> Response:
        """Continue a prompt; no chat template is applied."""

        def prepare() -> tuple[Choices, list[str], list[Echo]]:
            what = asked(parts, request, body.model or "", t("server.deed_generate"))
            refuse(what, suffix=body.suffix, echo=body.echo, logit_bias=body.logit_bias)
            if body.suffix and "insert" not in what.model.capabilities:
                raise cannot(body.model or "", t("server.deed_insert"), "suffix")
            options, each = text_options(body), choices_of(body)
            prompts = _prompts(body, lambda: parts.engine(what.model.name))
            scored = []
            if wants_scores(body):
                given = _given(body)
                scored = echoes(body, given, each, parts.engine(what.model.name).count_tokens)
            chats = [
                _chat(
                    parts,
                    what,
                    body,
                    prompt,
                    numbered(options, number),
                    scored[place * each + number] if scored else None,
                )
                for place, prompt in enumerate(prompts)
                for number in range(each)
            ]
            return Choices(lambda: chats), prompts, scored

        source, prompts, scored = await in_thread(prepare)
        each = choices_of(body)
        shape = TextReply(
            body.model or "",
            echo=[p for p in prompts for _ in range(each)] if body.echo else (),
            scored=scored,
            has_logprobs=body.logprobs is not None,
            has_usage=body.has_usage,
            choices=len(prompts) * each,
            each=each,
        )
        if body.ondol:
            shape.verdict = source.verdict
        if not body.stream:
            return await whole(request, source, source.noted(shape.whole))
        return await stream(request, source, shape.events(source), SSE, error_event, source.known)


def _chat(
    parts: Parts,
    what: Asked,
    body: CompletionRequest,
    prompt: str,
    options: GenerateOptions,
    echo: Echo | None,
) -> Chat:
    start = _start(parts, what, body, prompt, echo)
    return reply(parts, what, [Message("user", prompt)], options, start)


def _start(
    parts: Parts, what: Asked, body: CompletionRequest, prompt: str, echo: Echo | None
) -> Start:
    def start(wanted: GenerateOptions) -> Iterator[Token]:
        engine: Any = parts.engine(what.model.name)
        wanted = biased(wanted, body.logit_bias, engine)
        if echo is not None:
            return echo.start(engine, wanted)
        if body.suffix:
            infilled: Iterator[Token] = engine.infill(prompt, body.suffix, wanted)
            return infilled
        continued: Iterator[Token] = engine.complete(prompt, wanted)
        return continued

    return start


def _prompts(body: CompletionRequest, engine: Callable[[], Any]) -> list[str]:
    listed = _given(body)
    if len(listed) > MOST_PROMPTS:
        raise UsageError(t("openai.too_many_prompts", most=MOST_PROMPTS), param="prompt")
    return [one if isinstance(one, str) else _text_of(engine(), one) for one in listed]


def _text_of(engine: Any, ids: Sequence[int]) -> str:
    try:
        return str(engine.detokenize(ids))
    except UsageError as error:
        told = t("server.bad_field", field="prompt", reason=error.message)
        raise UsageError(told, error.hint, param="prompt") from None


def _given(body: CompletionRequest) -> Sequence[Prompt]:
    """The prompts as they were given, texts or token ids."""
    given: Any = body.prompt
    if given is None:
        raise UsageError(t("server.field_required", field="prompt"), param="prompt")
    if isinstance(given, str):
        return [given]
    if not given:
        raise UsageError(t("openai.no_prompt"), param="prompt")
    return [given] if isinstance(given[0], int) else given


class TextReply(Reply):
    """``echo`` has what is sent before each completion, ``scored`` its tokens where they count."""

    prefix = "cmpl-"
    object_name = "text_completion"
    chunk_name = "text_completion"

    def __init__(
        self, model: str, *, echo: Sequence[str] = (), scored: Sequence[Echo] = (), **how: Any
    ) -> None:
        super().__init__(model, **how)
        self._echo = echo
        self._scored = scored
        self._offset = 0

    def opening(self, number: int) -> Iterator[dict[str, Any]]:
        self._offset = len(self._before(number))
        if self._before(number):
            yield self._choice(number, self._before(number), None, [])

    def deltas(self, number: int, token: Token) -> Iterator[dict[str, Any]]:
        if token.text:
            yield self._choice(number, token.text, None, [token])

    def finish(self, number: int, last: Token) -> dict[str, Any]:
        return self._choice(number, "", _reason(last), [])

    def choice(self, number: int, tokens: Sequence[Token], last: Token) -> dict[str, Any]:
        before = self._before(number)
        self._offset = len(before)
        text = before + "".join(token.text for token in tokens)
        choice = self._choice(number, text, _reason(last), tokens)
        if self._scored:
            said = choice["logprobs"] or self._logprobs(())
            read = self._scored[number].logprobs(before)
            untold = (last.usage.completion_tokens if last.usage else 0) - len(said["tokens"])
            told: dict[str, list[Any]] = {"tokens": [""], "text_offset": [len(text)]}
            # The end of an answer, or a piece of a letter, is a token too: who leaves the answer's
            # own tokens out counts on it.
            choice["logprobs"] = {
                name: read[name] + said[name] + told.get(name, [None]) * max(0, untold)
                for name in read
            }
        return choice

    def _before(self, number: int) -> str:
        return self._echo[number] if self._echo else ""

    def _choice(
        self, number: int, text: str, reason: str | None, tokens: Sequence[Token]
    ) -> dict[str, Any]:
        logprobs = self._logprobs(tokens) if self._has_logprobs and tokens else None
        return {"text": text, "index": number, "logprobs": logprobs, "finish_reason": reason}

    def _logprobs(self, tokens: Sequence[Token]) -> dict[str, Any]:
        entries, offsets = [], []
        for token in tokens:
            entries += logprobs_of(token)
            offsets += [self._offset] if token.logprob is not None else []
            self._offset += len(token.text)
        return {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": [
                {top["token"]: top["logprob"] for top in entry["top_logprobs"]} for entry in entries
            ],
            "text_offset": offsets,
        }


def _reason(last: Token) -> str:
    return "length" if last.finish_reason == "length" else "stop"
