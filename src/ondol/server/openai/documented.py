"""What OpenAI's endpoints answer, for the OpenAPI document: the shapes, and when which error comes.

Only the document is made of these models; answers are written as they are, for speed.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Something that an endpoint answers; it may hold more than is said here."""

    model_config = ConfigDict(extra="allow", protected_namespaces=())


class ErrorDetail(Shape):
    """``param`` is the field that is wrong, ``code`` a word for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(Shape):
    """Every failure under ``/v1``."""

    error: ErrorDetail


class Usage(Shape):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int


class Choice(Shape):
    """One answer: ``message`` of a chat, ``text`` of a completion."""

    index: int
    finish_reason: Literal["stop", "length", "tool_calls", "function_call"] | None


class CompletionShape(Shape):
    """A chat's or a completion's answer in one piece; a stream has the like in ``data`` lines."""

    id: str
    object: Literal["chat.completion", "text_completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage


class Vector(Shape):
    """``embedding`` as numbers, or base64 of float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class VectorList(Shape):
    """The vectors of texts, in their order."""

    object: Literal["list"]
    data: list[Vector]
    model: str
    usage: Usage


class ModelShape(Shape):
    """A model on this machine."""

    id: str


class ModelList(Shape):
    """All of them."""

    data: list[ModelShape]


class ResponseShape(Shape):
    """A response; a stream tells of it in events."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed", "in_progress"]
    model: str
    output: list[dict[str, Any]]


class CountShape(Shape):
    """The tokens of a request that was not answered."""

    object: Literal["response.input_tokens"]
    input_tokens: int


class DeletedShape(Shape):
    """A response that is gone; ``erased``: no byte of it is left."""

    id: str
    object: Literal["response"]
    deleted: bool
    erased: bool


class ItemList(Shape):
    """What was sent for a response."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str
    last_id: str
    has_more: bool


class TranscriptionShape(Shape):
    """What a recording says."""

    text: str


Documented = dict[int | str, dict[str, Any]]


def _error(description: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": description}


def answers(shape: type[Shape], description: str, *more: str) -> Documented:
    """The answer of an endpoint, as JSON or as ``more`` types of content."""
    content: dict[str, Any] = {kind: {"schema": {}} for kind in more}
    return {200: {"model": shape, "description": description, "content": content}}


# With "default" FastAPI does not speak of 422, which no endpoint of this dialect answers.
REFUSED: Documented = {
    400: _error("The request cannot be answered; the message says why."),
    "default": _error("Any other failure."),
}
NOT_FOUND: Documented = {**REFUSED, 404: _error("There is nothing of that name.")}
NOT_HERE: Documented = {
    **REFUSED,
    501: _error("This device does not do that; the message says what would."),
}
ERRORS: Documented = {
    **NOT_FOUND,
    413: _error("The body is too large."),
    429: _error("More requests than this caller may make; see Retry-After."),
    503: _error("The queue is full; see Retry-After."),
}

STREAMED = "text/event-stream"
COMPLETION = {**ERRORS, **answers(CompletionShape, "The answer.", STREAMED)}
EMBEDDINGS = {**ERRORS, **answers(VectorList, "The vectors.")}
MODELS = {**REFUSED, **answers(ModelList, "The models.")}
MODEL = {**NOT_FOUND, **answers(ModelShape, "The model.")}
RESPONSE = {**ERRORS, **answers(ResponseShape, "The response.", STREAMED)}
COUNT = {**ERRORS, **answers(CountShape, "How many.")}
KEPT = {**NOT_FOUND, **answers(ResponseShape, "The response.")}
DELETED = {**NOT_FOUND, **answers(DeletedShape, "It is gone.")}
ITEMS = {**NOT_FOUND, **answers(ItemList, "The items.")}
TRANSCRIPTION = {
    **NOT_HERE,
    **answers(TranscriptionShape, "What was said.", "text/plain", "text/vtt"),
}
