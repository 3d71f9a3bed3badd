"""What a model says, token by token, and how it is told to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]
ToolChoice = Literal["auto", "none", "required"]


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call; ``parameters`` is the JSON Schema of its arguments, which
    are an object. Empty parameters mean that it takes none."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model made; ``arguments`` is the JSON text of an object."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of the answer's call number ``index`` (from 0). The first piece of a call has ``id``
    and ``name``; the ``arguments`` of all its pieces, joined, are JSON."""

    index: int
    arguments: str = ""
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Alternative:
    """A token the model could have chosen, with its natural-log probability."""

    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Usage:
    """What a completion cost. Times are seconds of wall clock."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    completion_seconds: float = 0.0
    total_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Token:
    """One step of a generation. The last one of every generation has ``finish_reason`` and
    ``usage`` set and may have an empty text; no other token has them, nor ``stop_sequence``: which
    of the request's it was that ended the answer, where one did and the engine knows. ``reasoning``
    marks thinking that is not part of the answer. ``tool_call`` is a piece of a call; ``text`` is
    empty then."""

    text: str
    logprob: float | None = None
    top: tuple[Alternative, ...] = ()
    reasoning: bool = False
    tool_call: ToolCallDelta | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    stop_sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """A whole generation, gathered from its tokens."""

    text: str
    tokens: tuple[Token, ...]
    finish_reason: FinishReason
    usage: Usage
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """How to generate. ``None`` means the engine's (the model's) own default.

    ``logprobs`` is the number of alternatives per token (0: only the chosen token's own logprob);
    ``json_schema`` constrains the answer; ``logit_bias`` is added to the logits of a text's
    tokens; ``adapters`` maps an adapter's name to its scale: 1.0 is on, unnamed ones are off.

    ``tools`` may be called: "required" makes sure that at least one is, and arguments always fit
    their schema; without ``parallel_tool_calls`` at most one. ``think`` switches reasoning
    on or off, or says how much ("low", "medium", "high", "max"). Nothing of a request that
    ``keeps_nothing`` may be kept, in whatever form, once it is answered, but in memory."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    repeat_last_n: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    logprobs: int | None = None
    logit_bias: Mapping[str, float] = field(default_factory=dict)
    adapters: Mapping[str, float] = field(default_factory=dict)
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    think: bool | str | None = None
    keeps_nothing: bool = False
