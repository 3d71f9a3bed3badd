"""One turn of an assistant that may think, speak and call tools, each part held to its form.

The raw prompt goes on step by step: thoughts up to ``</think>``, words up to ``<tool_call>``, then
a call that follows its JSON schema, and so on. Every step is a completion of llama-server's that
begins where the last one ended, so its prompt is already in the cache; it needs nothing of the
server but stop words and JSON schemas, which every build has. Raises ``UsageError`` for a schema
that the server could not follow.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from ondol.engine.completion import chat_events, completion_body
from ondol.engine.request import Wire, too_long
from ondol.engine.tool_parsing import CallReader, ChoiceReader, NotACall
from ondol.engine.tool_prompt import CLOSE, OPEN, written
from ondol.engine.tool_schemas import call_or_answer_schema, call_schema, guided
from ondol.engine.wire import Refused
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.types import FinishReason, GenerateOptions, Token, ToolCallDelta, Usage

MOST_CALLS = 16
# White space and the mark of another call, in any vocabulary.
NEXT_CALL_TOKENS = 8
# How long thoughts may be, where a request wants few.
THOUGHT_TOKENS = {"low": 512, "medium": 2048}
THINK, UNTHINK = "<think>", "</think>"


class _Over(Exception):
    """The turn ends here, whatever it was doing."""

    def __init__(self, reason: FinishReason) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Opening:
    """Where a turn begins: the prompt, the files of its images, and whether it is to think."""

    prompt: str
    images: tuple[str, ...] = ()
    thinks: bool = False


class Turn:
    """The tokens of one turn; ``options.tools`` are those it may call."""

    def __init__(self, wire: Wire, opening: Opening) -> None:
        self._wire = wire
        self._options: GenerateOptions = wire.options
        self._opening = opening
        self._text = opening.prompt
        self._usage: Usage | None = None
        self._finish: FinishReason = "stop"
        self._stop = ""
        self._calls: list[str] = []

    def tokens(self) -> Generator[Token]:
        """All of them, the last with finish_reason and usage."""
        try:
            yield from self._parts()
        except _Over as over:
            self._finish = over.reason
        except NotACall:
            raise UsageError(t("tools.not_followed"), t("tools.hint"), param="tools") from None
        met = self._finish == "stop" and self._stop in self._options.stop
        yield Token(
            "",
            finish_reason=self._finish,
            usage=self._usage or Usage(),
            stop_sequence=self._stop if met else None,
        )

    def _parts(self) -> Generator[Token]:
        options = self._options
        yield from self._thoughts()
        if not options.tools:
            schema = options.json_schema
            yield from self._step(schema=schema and guided(schema), stop=options.stop)
        elif options.tool_choice == "required":
            self._text += f"{OPEN}\n"
            yield from self._call_after_call()
        elif options.json_schema is not None:
            yield from self._calls_or_answer(options.json_schema)
        else:
            yield from self._words()

    def _thoughts(self) -> Generator[Token]:
        is_open = self._text.rstrip().endswith(THINK)
        if self._opening.thinks:
            self._text += "" if is_open else f"{THINK}\n"
            most = THOUGHT_TOKENS.get(str(self._options.think))
            for token in self._step(stop=(UNTHINK,), most=most):
                yield replace(token, reasoning=True)
        if self._opening.thinks or is_open:
            self._text = f"{self._text.rstrip()}\n{UNTHINK}\n\n"

    def _words(self) -> Generator[Token]:
        """Words, then perhaps calls. White space alone is no answer, and told only as one."""
        held: list[Token] = []
        for token in self._step(stop=(*self._options.stop, OPEN)):
            held.append(token)
            if token.text.strip() or len(held) > NEXT_CALL_TOKENS:
                yield from held
                held.clear()
        if self._stop != OPEN:
            yield from held
            return
        self._text += f"{OPEN}\n"
        yield from self._call_after_call()

    def _call_after_call(self) -> Generator[Token]:
        """At least one; more as long as the model begins another, and it is another."""
        while True:
            if not (yield from self._call()):
                break
            self._finish = "tool_calls"
            if not self._options.parallel_tool_calls or len(self._calls) >= MOST_CALLS:
                break
            if not self._begins_another():
                break
        self._finish = "tool_calls"

    def _call(self) -> Generator[Token, None, bool]:
        """One call, as it is generated; False for one that was made before, which is not told."""
        names = [tool.name for tool in self._options.tools]
        reader = CallReader(len(self._calls), names)
        held: list[ToolCallDelta] = []
        for token in self._step(schema=call_schema(self._options.tools)):
            held += reader.feed(token.text)
            if not self._repeats(reader):
                yield from _called(held)
                held.clear()
        if not reader.done:
            raise NotACall(reader.name)
        if _text_of(reader) in self._calls:
            return False
        yield from _called(held)
        self._calls.append(_text_of(reader))
        return True

    def _repeats(self, reader: CallReader) -> bool:
        """Whether this may yet become a call that was made before."""
        return any(call.startswith(_text_of(reader)) for call in self._calls)

    def _begins_another(self) -> bool:
        self._text = f"{self._text.rstrip()}\n{CLOSE}"
        before = len(self._text)
        try:
            for _ in self._step(stop=(OPEN,), most=NEXT_CALL_TOKENS):
                pass
        except _Over as over:
            if over.reason == "cancelled":
                raise
            return False
        if self._stop != OPEN or self._text[before:].strip():
            return False
        self._text = f"{self._text[:before]}\n{OPEN}\n"
        return True

    def _calls_or_answer(self, schema: Mapping[str, Any]) -> Generator[Token]:
        """``{"tool_calls": [call]}`` begins the calls, ``{"answer": …}`` is the text of its value:
        the first bracket decides, and each is held to its own schema."""
        before = len(self._text)
        reader = ChoiceReader([tool.name for tool in self._options.tools])
        for token in self._step(schema=call_or_answer_schema(self._options.tools, schema)):
            for piece in reader.feed(token.text):
                if isinstance(piece, str):
                    yield replace(token, text=piece)
                else:
                    yield Token("", tool_call=piece)
        if not reader.done:
            raise NotACall("")
        if reader.call is not None:
            self._calls.append(_text_of(reader.call))
            self._text = f"{self._text[:before]}{OPEN}\n{written(reader.call)}"
            if self._options.parallel_tool_calls and self._begins_another():
                yield from self._call_after_call()
            self._finish = "tool_calls"

    def _step(
        self,
        *,
        stop: Sequence[str] = (),
        schema: Mapping[str, Any] | None = None,
        most: int | None = None,
    ) -> Generator[Token]:
        """Go on with the text. Raises ``_Over`` where the turn ends within the step."""
        left = self._left()
        limit = min((n for n in (left, most) if n is not None), default=None)
        if limit is not None and limit <= 0 and self._usage is not None:
            raise _Over("length")
        body = completion_body(
            self._prompt(),
            self._options,
            max_tokens=limit,
            stop=stop,
            schema=schema,
        )
        found = self._wire.tokens(
            "/completion",
            body,
            constrained=schema is not None,
            reading=chat_events,
        )
        finish: FinishReason = "stop"
        try:
            with closing(found):
                for token in found:
                    self._text += token.text
                    if token.finish_reason:
                        finish, self._stop = token.finish_reason, token.stop_sequence or ""
                        self._usage = _sum(self._usage, token.usage or Usage())
                    else:
                        yield token
        except Refused as refusal:
            if self._usage is None or not too_long(refusal):
                raise
            raise _Over("length") from None
        if finish == "cancelled" or (finish == "length" and limit == left):
            raise _Over(finish)

    def _left(self) -> int | None:
        most = self._options.max_tokens
        used = self._usage.completion_tokens if self._usage else 0
        return None if most is None else most - used

    def _prompt(self) -> str | dict[str, Any]:
        if not self._opening.images:
            return self._text
        return {"prompt_string": self._text, "multimodal_data": list(self._opening.images)}


def _text_of(reader: CallReader) -> str:
    return f"{reader.name} {reader.arguments}" if reader.name else ""


def _called(pieces: Iterable[ToolCallDelta]) -> Iterator[Token]:
    return (Token("", tool_call=piece) for piece in pieces)


def _sum(before: Usage | None, step: Usage) -> Usage:
    """Of a turn: the prompt is that of its first step, the rest adds up."""
    if before is None:
        return step
    return replace(
        before,
        completion_tokens=before.completion_tokens + step.completion_tokens,
        prompt_seconds=before.prompt_seconds + step.prompt_seconds,
        completion_seconds=before.completion_seconds + step.completion_seconds,
        total_seconds=before.total_seconds + step.total_seconds,
    )
