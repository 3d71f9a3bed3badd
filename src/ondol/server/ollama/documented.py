"""What Ollama's endpoints answer, for the OpenAPI document: one object, or lines of such objects.

Fields that may be absent have a default here; durations are nanoseconds.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Documented = dict[int | str, dict[str, Any]]
NDJSON = "application/x-ndjson"


class ErrorBody(BaseModel):
    """Every failure, and the last line of a stream that broke off."""

    error: str


class CalledFunction(BaseModel):
    index: int
    name: str
    arguments: dict[str, Any]


class Called(BaseModel):
    id: str
    function: CalledFunction


class SaidMessage(BaseModel):
    role: Literal["assistant"]
    content: str
    thinking: str = ""
    tool_calls: list[Called] = []


class Logprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[dict[str, Any]]


class Truncated(BaseModel):
    """What was left out of a prompt that was too long."""

    messages: int
    tokens: int


class Costs(BaseModel):
    """``done_reason`` and what follows stand on the last object only."""

    model: str
    created_at: str
    done: bool
    done_reason: Literal["stop", "length", "load", "unload"] = "stop"
    total_duration: int = 0
    load_duration: int = 0
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    logprobs: list[Logprob] = []
    truncated: Truncated | None = None
    ignored: list[str] = []
    ondol: dict[str, Any] = {}


class ChatBody(Costs):
    message: SaidMessage


class GenerateBody(Costs):
    response: str
    thinking: str = ""
    context: list[int] = []


class CutInputs(BaseModel):
    """The texts that were too long, by their place."""

    inputs: list[int]
    tokens: int


class EmbedBody(BaseModel):
    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int
    truncated: CutInputs | None = None


class EmbeddingBody(BaseModel):
    embedding: list[float]
    truncated: CutInputs | None = None


class VersionBody(BaseModel):
    version: str


class Details(BaseModel):
    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str
    context_length: int | None
    embedding_length: int | None


class Listed(BaseModel):
    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details
    capabilities: list[str]


class TagsBody(BaseModel):
    models: list[Listed]


class Running(BaseModel):
    name: str
    model: str
    size: int
    size_vram: int
    digest: str
    details: dict[str, Any]
    expires_at: str
    context_length: int
    kv_cache_size: int


class PsBody(BaseModel):
    models: list[Running]


class ShowBody(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    license: str
    modelfile: str
    parameters: str
    template: str
    system: str
    messages: list[dict[str, str]]
    details: Details
    model_info: dict[str, Any]
    projector_info: dict[str, Any] = {}
    tensors: list[dict[str, Any]] = []
    capabilities: list[str]
    modified_at: str


class StatusBody(BaseModel):
    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0


def _error(description: str) -> dict[str, Any]:
    return {"model": ErrorBody, "description": description}


def answers(model: type[BaseModel], description: str = "The answer.") -> Documented:
    """One object."""
    return {200: {"model": model, "description": description}, **REFUSALS}


def streams(model: type[BaseModel]) -> Documented:
    """One object with ``stream`` false, else a line for each piece."""
    lines = {"schema": {"type": "string"}}
    told = "With stream false the whole answer, else one such object a line."
    return {200: {"model": model, "description": told, "content": {NDJSON: lines}}, **FAILURES}


REFUSALS: Documented = {
    400: _error("The request cannot be answered; the message says why."),
    401: _error("The server asks for a key."),
    403: _error("The request's Host, Origin or key is not allowed here."),
    404: _error("There is no model of that name."),
    413: _error("The body is too large."),
    415: _error("The body is packed in a way that is not unpacked here."),
    429: _error("More requests than this caller may make; see Retry-After."),
    # Whatever else HTTP has; and FastAPI announces no 422 then, which this dialect has not.
    "default": _error("A failure."),
}
FAILURES: Documented = {
    **REFUSALS,
    423: _error("The library is locked."),
    500: _error("The model failed."),
    502: _error("What was to be fetched could not be."),
    503: _error("The queue is full; see Retry-After."),
    504: _error("The model was silent for too long."),
    507: _error("There is no room: in memory, or on the disk."),
}
# A HEAD has no body, whatever it says.
HEAD: Documented = {
    200: {"description": "It is here."},
    404: {"description": "It is not."},
    "default": {"description": "The request cannot be answered."},
}
EMPTY: Documented = {200: {"description": "Done."}, **REFUSALS}
BLOB: Documented = {
    200: {"description": "It is here already."},
    201: {"description": "It is here now."},
    **REFUSALS,
    507: _error("There is no room on the disk."),
}
