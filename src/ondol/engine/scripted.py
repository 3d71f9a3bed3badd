"""A deterministic engine without a model, for tests and documentation.

Replies come from a script; tokens are words with their leading space. Log-probabilities are made
up but fixed: the same text always has the same ones. Can be told to fail after some tokens.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field

from ondol.engine import scoring
from ondol.engine.generation import Cancellation, Generation
from ondol.engine.scoring import Scored
from ondol.errors import EngineCrashedError, OndolError
from ondol.types import (
    Alternative,
    FinishReason,
    GenerateOptions,
    Message,
    Token,
    ToolCall,
    ToolCallDelta,
    Usage,
)

PIECE = 8
GAP = "<gap>"

_WORD = re.compile(r"\s*\S+|\s+")
_OTHERS = ("the", "a", "of", "and", "to", "in", "is", "it", "not", "that")


@dataclass(frozen=True, slots=True)
class Said:
    """A reply that is more than its text: what was thought before it, and the calls after it, which
    are made only where the request offers tools."""

    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = field(default_factory=tuple)


Reply = str | Said
Replies = Mapping[str, Reply] | Sequence[Reply]


@dataclass(frozen=True, slots=True)
class Request:
    """What the engine was asked: ``prompt`` is the raw text, or the last message's."""

    prompt: str
    messages: tuple[Message, ...]
    options: GenerateOptions


class ScriptedEngine:
    """``replies`` maps a regular expression, searched in the prompt, to its reply; or is a sequence
    of replies given in turn, the last one again and again. What matches nothing is echoed.
    After ``fail_after`` tokens ``error`` is raised. ``requests`` keeps what was asked."""

    def __init__(
        self,
        replies: Replies = (),
        *,
        model: str = "scripted",
        fail_after: int | None = None,
        error: OndolError | None = None,
    ) -> None:
        self._replies = replies
        self._model = model
        self._fail_after = fail_after
        self._error = error or EngineCrashedError("The scripted engine failed, as it was told to.")
        self.requests: list[Request] = []

    @property
    def model(self) -> str:
        return self._model

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Generation:
        """The scripted reply to the last message."""
        prompt = messages[-1].content if messages else ""
        size = len(self.prompt_tokens(messages, options))
        return self._reply(Request(prompt, tuple(messages), options), size)

    def complete(self, prompt: str, options: GenerateOptions) -> Generation:
        """The scripted reply to a raw prompt."""
        return self._reply(Request(prompt, (), options), self.count_tokens(prompt))

    def infill(self, prefix: str, suffix: str, options: GenerateOptions) -> Generation:
        """The scripted reply to what stands before and after the gap."""
        between = f"{prefix}{GAP}{suffix}"
        return self._reply(Request(between, (), options), self.count_tokens(between))

    def echo(
        self,
        prompt: str | Sequence[int],
        options: GenerateOptions,
        scored: list[Scored],
        known: object = None,
    ) -> Generation:
        """The scripted reply, after ``scored`` got the words of a text; of ids it knows none."""
        text = prompt if isinstance(prompt, str) else ""
        words = [_token(w, n, options.logprobs or 1) for n, w in enumerate(_WORD.findall(text))]
        scored[:] = [_scored(word, bool(place)) for place, word in enumerate(words)]
        return self.complete(text, options)

    def count_tokens(self, text: str) -> int:
        """The number of words."""
        return len(_WORD.findall(text))

    def prompt_tokens(
        self, messages: Sequence[Message], options: GenerateOptions | None = None
    ) -> list[int]:
        """What ``generate`` reads: the words of the messages, and of the tools on offer."""
        tools = options.tools if options else ()
        said = [m.content for m in messages] + [f"{o.name} {o.description}" for o in tools]
        return list(range(sum(map(self.count_tokens, said))))

    def _reply(self, request: Request, prompt_tokens: int) -> Generation:
        return Generation(lambda cancellation: self._tokens(request, prompt_tokens, cancellation))

    def _tokens(
        self, request: Request, prompt_tokens: int, cancellation: Cancellation
    ) -> Generator[Token]:
        reply = self._choose(request)
        self.requests.append(request)
        said = Said(reply) if isinstance(reply, str) else reply
        words, finish, stop = _cut(said.text, request.options)
        thoughts = [] if request.options.think is False else _WORD.findall(said.reasoning)
        count = 0
        for thought in thoughts:
            count += 1
            yield Token(thought, reasoning=True)
        for word in words:
            if cancellation.cancelled:
                finish, stop = "cancelled", None
                break
            self._fail_at(count)
            count += 1
            yield _token(word, count, request.options.logprobs)
        self._fail_at(count)
        if said.tool_calls and request.options.tools and request.options.tool_choice != "none":
            finish, stop = "tool_calls", None
            for piece in _pieces(said.tool_calls):
                count += 1
                yield Token("", tool_call=piece)
        usage = Usage(prompt_tokens, count)
        yield Token("", finish_reason=finish, usage=usage, stop_sequence=stop)

    def _choose(self, request: Request) -> Reply:
        if isinstance(self._replies, Mapping):
            matching = (r for p, r in self._replies.items() if re.search(p, request.prompt))
            return next(matching, request.prompt)
        if not self._replies:
            return request.prompt
        return self._replies[min(len(self.requests), len(self._replies) - 1)]

    def _fail_at(self, count: int) -> None:
        if self._fail_after is not None and count >= self._fail_after:
            raise self._error


def _pieces(calls: Sequence[ToolCall]) -> Generator[ToolCallDelta]:
    for index, call in enumerate(calls):
        yield ToolCallDelta(index, "", call.id, call.name)
        for start in range(0, len(call.arguments), PIECE):
            yield ToolCallDelta(index, call.arguments[start : start + PIECE])


def _cut(reply: str, options: GenerateOptions) -> tuple[list[str], FinishReason, str | None]:
    """The words that are said, why they end, and the stop sequence if it was one."""
    ends = [(at, stop) for stop in options.stop if stop and (at := reply.find(stop)) >= 0]
    end, stop = min(ends, default=(len(reply), None))
    words = _WORD.findall(reply[:end])
    if options.max_tokens is not None and len(words) > options.max_tokens:
        return words[: options.max_tokens], "length", None
    return words, "stop", stop


def _token(word: str, position: int, alternatives: int | None) -> Token:
    if alternatives is None:
        return Token(word)
    probability = 0.5 + 0.49 * _fraction(f"{position}:{word}")
    rest = [Alternative(f" {o}", 0.0) for o in _OTHERS if o != word.strip()][: alternatives - 1]
    top = [Alternative(word, math.log(probability))]
    for place, other in enumerate(rest):
        left = (1 - probability) * 0.5 ** (place + 1)
        top.append(Alternative(other.text, math.log(left)))
    return Token(word, math.log(probability), tuple(top[:alternatives]))


def _scored(token: Token, has_before: bool) -> Scored:
    text = token.text.encode()
    if not has_before:
        return Scored(0, text)
    top = tuple(scoring.Alternative(0, one.text.encode(), one.logprob) for one in token.top)
    return Scored(0, text, token.logprob, top)


def _fraction(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big") / 2**48
