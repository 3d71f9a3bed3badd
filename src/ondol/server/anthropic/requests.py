"""What Anthropic's clients send, as their SDK 2.12 has it: the fields that are read; all others are
accepted and ignored (``metadata``, ``cache_control``, ``service_tier``, …).

``ondol`` and ``wanted`` are ours: what is known about the answer, and whether home may give it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ondol.server.body import Flag, Lenient
from ondol.server.generation import Count

Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
# Documented only: what else is no name is refused in words of our own.
_WORD = r"[A-Za-z0-9][A-Za-z0-9._-]{0,40}"
_NAME = rf"^(hf:{_WORD}/{_WORD}|{_WORD}(/{_WORD})?)(:{_WORD})?(\+.{{1,40}})?$"
Name = Annotated[str, Field(json_schema_extra={"pattern": _NAME})]
MaxTokens = Annotated[int, Field(ge=0, lt=2**31)]


# Documented only, as a name is.
_BLOCKS = (
    *("text", "image", "document", "search_result", "thinking", "redacted_thinking"),
    *("tool_use", "tool_result", "tool_reference"),
)
BlockType = Annotated[str, Field(json_schema_extra={"enum": list(_BLOCKS)})]
SourceType = Annotated[str, Field(json_schema_extra={"enum": ["base64", "text", "content"]})]
Role = Annotated[str, Field(json_schema_extra={"enum": ["user", "assistant", "system"]})]


class SourceOfBlock(Lenient):
    """Where an image or a document is: in the request, or somewhere that is not looked at."""

    type: SourceType = ""
    media_type: str | None = None
    data: str | None = None
    content: str | list[Block] | None = None


class Block(Lenient):
    """A part of a message; which of the fields it has depends on its ``type``."""

    model_config = ConfigDict(json_schema_extra={"required": ["type"]})

    type: BlockType = ""
    text: str | None = None
    thinking: str | None = None
    source: SourceOfBlock | str | None = None
    title: str | None = None
    context: str | None = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    tool_use_id: str | None = None
    tool_name: str | None = None
    is_error: Flag = False
    content: str | list[Block] | dict[str, Any] | None = None


class MessageParam(Lenient):
    role: Role
    content: str | list[Block]


class ToolParam(Lenient):
    type: str | None = None
    name: str = ""
    description: str | None = None
    input_schema: dict[str, Any] | None = None


class ToolChoiceParam(Lenient):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: Flag = False


class Thinking(Lenient):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: Count | None = None
    display: str | None = None


class OutputFormat(Lenient):
    type: str = ""
    schema_: dict[str, Any] | None = Field(None, alias="schema")


class OutputConfig(Lenient):
    effort: str | None = None
    format: OutputFormat | None = None


class PromptRequest(Lenient):
    """What a model reads before it answers."""

    model: Name
    messages: list[MessageParam]
    system: str | list[Block] | None = None
    tools: list[ToolParam] | None = None
    tool_choice: ToolChoiceParam | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    # What output_config.format was called before.
    output_format: OutputFormat | None = None
    mcp_servers: list[Any] | None = None


class MessagesRequest(PromptRequest):
    max_tokens: MaxTokens
    stream: Flag = False
    stop_sequences: list[str] | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_k: Count | None = None
    ondol: Flag = False
    wanted: Literal["auto", "here", "home"] = "auto"


class TokensRequest(PromptRequest):
    """``count_tokens``."""
