"""A Go-like twin of a model's own Jinja template, for Ollama's clients, which read out of it what
the model can do.

Continue offers to fill in the middle where it finds ``.Suffix``, LiteLLM believes in tools where it
finds that word: so each is there exactly where the model can. Nothing is ever rendered from it; the
engine uses the Jinja template of the weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ondol.models.store import Model, ModelStore


@dataclass(frozen=True, slots=True)
class Layout:
    """How a family of templates writes a turn: what goes before each role's words, and after."""

    system: str
    user: str
    assistant: str
    end: str
    stop: str = ""


# By what gives each away in a Jinja template.
LAYOUTS = {
    "<|im_start|>": Layout(
        "<|im_start|>system\n",
        "<|im_start|>user\n",
        "<|im_start|>assistant\n",
        "<|im_end|>\n",
        "<|im_end|>",
    ),
    "<|start_header_id|>": Layout(
        "<|start_header_id|>system<|end_header_id|>\n\n",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        "<|eot_id|>",
        "<|eot_id|>",
    ),
    "<start_of_turn>": Layout(
        "<start_of_turn>user\n",
        "<start_of_turn>user\n",
        "<start_of_turn>model\n",
        "<end_of_turn>\n",
        "<end_of_turn>",
    ),
    "[INST]": Layout("[INST] ", "[INST] ", "[/INST] ", "", "[INST]"),
}
PLAIN = Layout("", "", "", "\n\n")

_TOOLS = "{{ if .Tools }}You may call these tools:\n{{ range .Tools }}{{ . }}\n{{ end }}{{ end }}"
_THINKING = "{{ if .Thinking }}<think>{{ .Thinking }}</think>\n{{ end }}"
_INSERT = "{{ if .Suffix }}{{ .Prompt }}[INSERT]{{ .Suffix }}{{ else }}"


def layout_of(jinja: str) -> Layout:
    """The layout that a chat template has."""
    return next((layout for mark, layout in LAYOUTS.items() if mark in jinja), PLAIN)


def template_text(capabilities: Sequence[str], jinja: str) -> str:
    """The Go-like twin of ``jinja`` for a model of those capabilities."""
    layout = layout_of(jinja)
    has_tools = "tools" in capabilities
    told = "{{ .System }}" + (_TOOLS if has_tools else "")
    asks = "{{ if or .System .Tools }}" if has_tools else "{{ if .System }}"
    thinking = _THINKING if "thinking" in capabilities else ""
    text = (
        f"{asks}{layout.system}{told}{layout.end}{{{{ end }}}}"
        f"{{{{ if .Prompt }}}}{layout.user}{{{{ .Prompt }}}}{layout.end}{{{{ end }}}}"
        f"{layout.assistant}{thinking}{{{{ .Response }}}}{layout.end}"
    )
    return f"{_INSERT}{text}{{{{ end }}}}" if "insert" in capabilities else text


def jinja_of(store: ModelStore, model: Model) -> str:
    """The chat template that stands in the weights of ``model``; "" where there is none."""
    if model.format != "gguf":
        return ""
    from ondol.models.gguf import read_header

    return read_header(store.path(model)).chat_template or ""


def is_own_template(jinja: str, template: str) -> bool:
    """Whether ``template`` is the one that stands in the weights, ``jinja``, or its twin: no other
    can be used."""
    flags = ("tools", "thinking", "insert")
    twins = (
        template_text(able, jinja)
        for count in range(len(flags) + 1)
        for able in combinations(flags, count)
    )
    return template.strip() in {text.strip() for text in (jinja, *twins) if text}
