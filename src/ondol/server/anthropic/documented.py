"""What Anthropic's endpoints answer, for the OpenAPI document: a message, a count, and failures."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel


class Said(BaseModel):
    """A block of an answer; which of the fields it has depends on its ``type``."""

    type: Literal["text", "thinking", "tool_use"]
    text: str = ""
    thinking: str = ""
    signature: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] = {}


class MessageUsage(BaseModel):
    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class MessageBody(BaseModel):
    """An answer in one piece."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Said]
    stop_reason: Literal[
        "end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"
    ]
    stop_sequence: str | None
    usage: MessageUsage
    ondol: dict[str, Any] = {}


class TokensBody(BaseModel):
    input_tokens: int


class ErrorSaid(BaseModel):
    type: Literal[
        "invalid_request_error",
        "authentication_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
        "rate_limit_error",
        "timeout_error",
        "overloaded_error",
        "api_error",
    ]
    message: str


class AnthropicErrorBody(BaseModel):
    """Every failure under ``/v1/messages``."""

    type: Literal["error"]
    error: ErrorSaid
    request_id: str


Documented = dict[int | str, dict[str, Any]]


def _error(description: str) -> dict[str, Any]:
    return {"model": AnthropicErrorBody, "description": description}


# Before OpenAPI 3.2 the schema of a stream is that of each of its events.
_EVENT = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {
            "enum": [
                "message_start",
                "content_block_start",
                "ping",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
                "error",
            ]
        },
        "data": {"type": "string", "description": "The event as JSON; its type is the same."},
    },
}

MESSAGE: Documented = {
    200: {
        "model": MessageBody,
        "description": "The message; with `stream`, its events.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}
COUNTED: Documented = {200: {"model": TokensBody, "description": "How many tokens are read."}}
ERRORS: Documented = {
    400: _error("The request cannot be answered; the message says why."),
    401: _error("The server asks for a key."),
    403: _error("The request's Host, Origin or key is not allowed here."),
    404: _error("There is no model of that name."),
    413: _error("The body is too large."),
    415: _error("The body is packed in a way that is not unpacked here."),
    429: _error("More requests than this caller may make; see Retry-After."),
    500: _error("The model failed."),
    504: _error("The model was silent for too long."),
    529: _error("The queue is full; see Retry-After."),
    # With it FastAPI does not speak of 422, which is 400 here.
    "default": _error("Any other failure."),
}
