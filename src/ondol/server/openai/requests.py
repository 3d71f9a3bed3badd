"""What OpenAI's clients send: the fields that are read; all others are accepted and ignored.

``ondol``, ``wanted`` and ``fold`` are ours: what is known about the answer, whether home may give
it, and that a chat which is too long is not refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, WithJsonSchema

from ondol.server.body import Flag, Lenient
from ondol.server.generation import Count, Real, Stop

Temperature = Annotated[float, Field(ge=0, le=2)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
Bias = Annotated[float, Field(ge=-100, le=100)]
# What a client has to say; that it did not is said in the words that clients know.
ModelName = Annotated[str | None, WithJsonSchema({"type": "string", "minLength": 1})]
_TEXT = {"type": "string", "minLength": 1}
# Anything: a wrong one is refused by what it is, not by all that it could have been.
Texts = Annotated[
    Any, WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}]})
]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]


class StreamOptions(Lenient):
    include_usage: Flag = False


class SamplingRequest(Lenient):
    model: ModelName = None
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
    logit_bias: dict[str, Bias] | None = None
    n: int | None = None
    ondol: Flag = False

    @property
    def has_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ImageUrl(Lenient):
    url: str = ""


class Part(Lenient):
    type: str = ""
    text: str | None = None
    refusal: str | None = None
    image_url: ImageUrl | str | None = None


class CalledFunction(Lenient):
    name: str = ""
    arguments: str | None = None


class CalledTool(Lenient):
    id: str | None = None
    type: str | None = None
    function: CalledFunction | None = None


class ChatMessage(Lenient):
    role: str = ""
    content: str | list[Part] | None = None
    name: str | None = None
    tool_calls: list[CalledTool] | None = None
    tool_call_id: str | None = None
    function_call: CalledFunction | None = None


class JsonSchema(Lenient):
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class ResponseFormat(Lenient):
    type: str = "text"
    json_schema: JsonSchema | None = None


class ChatCompletionRequest(SamplingRequest):
    model_config = ConfigDict(json_schema_extra={"required": ["model", "messages"]})

    wanted: Literal["auto", "here", "home"] = "auto"
    fold: Flag = False
    messages: list[ChatMessage] | None = None
    max_completion_tokens: Count | None = None
    reasoning_effort: str | None = None
    response_format: ResponseFormat | None = None
    logprobs: Flag = False
    top_logprobs: int | None = None
    tools: list[Any] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    functions: list[Any] | None = None
    function_call: str | dict[str, Any] | None = None
    modalities: list[str] | None = None
    web_search_options: Any = None


class CompletionRequest(SamplingRequest):
    model_config = ConfigDict(json_schema_extra={"required": ["model", "prompt"]})

    prompt: str | list[str] | list[TokenId] | list[list[TokenId]] | None = None
    suffix: str | None = None
    echo: Flag = False
    best_of: int | None = None
    logprobs: int | None = None


class EmbeddingRequest(Lenient):
    model_config = ConfigDict(json_schema_extra={"required": ["model", "input"]})

    model: ModelName = None
    input: Texts = None
    encoding_format: str | None = None
    dimensions: int | None = None
