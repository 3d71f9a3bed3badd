"""What a client sends to ``/v1/responses``; all other fields are accepted and ignored.

Input items and tools are of many kinds and are read one by one elsewhere
(``responses_items``, ``responses_tools``). ``ondol`` and ``wanted`` are ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.server.body import Flag, Lenient
from ondol.server.generation import Count
from ondol.server.openai.requests import ModelName, Share, Temperature

METADATA_PAIRS = 16
METADATA_KEY = 64
METADATA_VALUE = 512

LOGPROBS = "message.output_text.logprobs"


class TextFormat(Lenient):
    type: str = "text"
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextConfig(Lenient):
    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningConfig(Lenient):
    effort: str | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseRequest(Lenient):
    model_config = ConfigDict(json_schema_extra={"required": ["model", "input"]})

    model: ModelName = None
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    stream: Flag = False
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    temperature: Temperature | None = None
    top_p: Share | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_output_tokens: Count | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    include: list[str] | None = None
    user: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None
    background: Flag = False
    conversation: Any = None
    prompt: Any = None
    ondol: Flag = False
    wanted: Literal["auto", "here", "home"] = "auto"

    def check(self) -> None:
        """Raise ``UsageError`` for what would change the answer and cannot be honoured."""
        for field in ("background", "conversation", "prompt"):
            if getattr(self, field):
                raise UsageError(t("openai.unsupported", field=field), param=field)
        pairs = self.metadata or {}
        too_long = any(len(k) > METADATA_KEY or len(v) > METADATA_VALUE for k, v in pairs.items())
        if len(pairs) > METADATA_PAIRS or too_long:
            told = t(
                "responses.bad_metadata",
                pairs=METADATA_PAIRS,
                letters=METADATA_KEY,
                most=METADATA_VALUE,
            )
            raise UsageError(told, param="metadata")

    @property
    def has_logprobs(self) -> bool:
        return bool(self.top_logprobs) or LOGPROBS in (self.include or ())

    @property
    def text_format(self) -> dict[str, Any]:
        """The format as the response repeats it. Raises ``UsageError``."""
        given = self.text.format if self.text else None
        if given is None or given.type == "text":
            return {"type": "text"}
        if given.type == "json_object":
            return {"type": "json_object"}
        if given.type != "json_schema" or given.schema_ is None:
            raise UsageError(t("responses.bad_format"), param="text.format")
        return {
            "type": "json_schema",
            "name": given.name or "answer",
            "description": given.description,
            "schema": given.schema_,
            "strict": given.strict is not False,
        }
