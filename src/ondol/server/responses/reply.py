"""How ``/v1/responses`` answers: events with a number each, or the response in one piece.

``response.created``, ``response.in_progress``, the events of the output, and at the end
``response.completed``, ``response.incomplete`` (the answer was cut off) or, after an ``error``,
``response.failed``. What is kept is kept before the end is told.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

from fastapi.responses import Response

from ondol.server.body import json_response, to_bytes
from ondol.server.errors import Failure
from ondol.server.fitting import Forgotten
from ondol.server.openai.reply import Tally
from ondol.server.responses.output import Event, Output
from ondol.server.responses.requests import ResponseRequest
from ondol.server.responses.tools import Offered
from ondol.types import Token

_CODES: Mapping[int, str] = {429: "rate_limit_exceeded", 400: "invalid_prompt"}


class ResponseReply:
    """Writes one response. ``keep`` is called with it when it is whole; ``forgotten`` says what was
    left out of the conversation; ``verdict`` is what Ondol knows, where the request asks for it."""

    def __init__(
        self,
        body: ResponseRequest,
        offered: Offered,
        *,
        keep: Callable[[dict[str, Any]], None] | None,
        forgotten: Forgotten,
        verdict: Callable[[], dict[str, Any]] | None = None,
    ) -> None:
        self._response = _head(body, offered) | {"store": keep is not None}
        self._keep = keep
        self._forgotten = forgotten
        self._verdict = verdict
        self._keep_reasoning = not (body.reasoning and body.reasoning.effort == "none")
        self._output = Output(
            offered,
            has_logprobs=body.has_logprobs,
            as_summary=bool(body.reasoning and body.reasoning.summary),
        )
        self._number = 0

    def events(self, tokens: Iterator[Token]) -> Iterator[bytes]:
        """The whole stream."""
        for event in self._events(tokens):
            yield self._numbered(event)

    def whole(self, tokens: Iterator[Token]) -> Response:
        """The response in one piece."""
        for _ in self._events(tokens):
            pass
        return self._forgotten.noted(json_response(self._response))

    def failed(self, failure: Failure) -> bytes:
        """The events that end a stream that failed."""
        told = {"code": failure.code, "message": f"{failure.message} {failure.hint}".strip()}
        error = {"type": "error", **told, "param": failure.param}
        self._response |= {"status": "failed", "output": self._output.items}
        code = _CODES.get(failure.status, "server_error")
        self._response["error"] = {"code": code, "message": told["message"]}
        return self._numbered(error) + self._numbered(self._state("failed"))

    def _events(self, tokens: Iterator[Token]) -> Iterator[Event]:
        # Before anything is said: a request that cannot be answered still has its own status then.
        first = next(tokens, Token("", finish_reason="stop"))
        yield self._state("created")
        yield self._state("in_progress")
        tally, last = Tally(), first
        for token in chain([first], tokens):
            tally.add(0, token)
            last = token
            if self._keep_reasoning or not token.reasoning:
                yield from self._output.add(token)
        status = "completed" if last.finish_reason in ("stop", "tool_calls") else "incomplete"
        yield from self._output.end(status)
        self._end(status, last, tally)
        yield self._state(status)

    def _end(self, status: str, last: Token, tally: Tally) -> None:
        self._response |= {
            "status": status,
            "completed_at": int(time.time()) if status == "completed" else None,
            "output": self._output.items,
            "usage": _usage(tally),
        }
        if status == "incomplete":
            reason = "max_output_tokens" if last.finish_reason == "length" else None
            self._response["incomplete_details"] = {"reason": reason}
        if self._forgotten:
            self._response["truncated"] = dict(self._forgotten.fields())
        if self._keep is not None:
            self._keep(self._response)
        if self._verdict is not None:
            self._response["ondol"] = self._verdict()

    def _state(self, name: str) -> Event:
        return {"type": f"response.{name}", "response": self._response}

    def _numbered(self, event: Event) -> bytes:
        kind = str(event["type"])
        numbered = {"type": kind, "sequence_number": self._number, **event}
        self._number += 1
        return b"event: " + kind.encode() + b"\ndata: " + to_bytes(numbered) + b"\n\n"


def _head(body: ResponseRequest, offered: Offered) -> dict[str, Any]:
    """A response that nothing has been said in yet; it repeats what was asked."""
    reasoning, text = body.reasoning, body.text
    format: dict[str, Any] = {"format": body.text_format}
    if text and text.verbosity:
        format["verbosity"] = text.verbosity
    return {
        "id": f"resp_{secrets.token_hex(24)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": None,
        "metadata": body.metadata or {},
        "model": body.model or "",
        "output": [],
        "parallel_tool_calls": offered.offer.parallel,
        "previous_response_id": body.previous_response_id,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {
            "effort": reasoning.effort if reasoning else None,
            "summary": reasoning.summary if reasoning else None,
        },
        "safety_identifier": body.safety_identifier,
        "service_tier": "default",
        "temperature": body.temperature,
        "text": format,
        "tool_choice": body.tool_choice or "auto",
        "tools": offered.listed,
        "top_logprobs": body.top_logprobs or 0,
        "top_p": body.top_p,
        "truncation": body.truncation or "disabled",
        "usage": None,
        "user": body.user,
    }


def _usage(tally: Tally) -> dict[str, Any]:
    return {
        "input_tokens": tally.prompt_tokens,
        "input_tokens_details": {"cached_tokens": tally.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": tally.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": tally.thought()},
        "total_tokens": tally.prompt_tokens + tally.completion_tokens,
    }
