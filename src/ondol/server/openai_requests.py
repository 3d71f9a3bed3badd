"""What OpenAI's clients send: the fields that are read; all others are accepted and ignored.

``ondol`` and ``wanted`` are ours: what is known about the answer, and whether home may give it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ondol.server.body import Flag, Lenient
from ondol.server.generation import Count, Real, Stop

Temperature = Annotated[float, Field(ge=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]


class StreamOptions(Lenient):
    include_usage: Flag = False


class SamplingRequest(Lenient):
    model: str | None = None
    stream: Flag = False
    stream_options: StreamOptions | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Count | None = None
    min_p: Share | None = None
    repeat_penalty: Real | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    max_tokens: Count | None = None
    seed: int | None = None
    stop: Stop = None
    n: int | None = None
    ondol: Flag = False

    @property
    def has_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class Part(Lenient):
    type: str = ""
    text: str | None = None


class ChatMessage(Lenient):
    role: str = ""
    content: str | list[Part] | None = None


class JsonSchema(Lenient):
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(Lenient):
    type: str = "text"
    json_schema: JsonSchema | None = None


class ChatCompletionRequest(SamplingRequest):
    wanted: Literal["here", "home"] = "here"
    messages: list[ChatMessage] | None = None
    max_completion_tokens: Count | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    logprobs: Flag = False
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    functions: list[Any] | None = None


class CompletionRequest(SamplingRequest):
    prompt: str | list[str] | None = None
    suffix: str | None = None
    echo: Flag = False
    best_of: int | None = None
    logprobs: int | None = None


class EmbeddingRequest(Lenient):
    model: str | None = None
    input: str | list[str] | None = None
    encoding_format: str | None = None
    dimensions: int | None = None
