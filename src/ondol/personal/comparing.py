"""The same prompt before and after: what a model says without and with an adapter, beside what its
owner wanted. Only prompts that were held out, which the adapter never learned from.

Raises ``SampleNotFoundError``, ``AdapterNotFoundError``, ``UsageError``, and what engines raise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.personal.examples import prompt_of
from ondol.samples.records import Sample
from ondol.types import Engine, GenerateOptions, Message

MOST_TOKENS = 160
PREVIEW_LETTERS = 160


@dataclass(frozen=True, slots=True)
class Comparison:
    """``prompt`` is the last turn before the replies; ``wanted`` the reply as it should be, empty
    where only a thumb says what it should not be."""

    sample: str
    adapter: str
    prompt: str
    before: str
    after: str
    wanted: str

    def json(self) -> dict[str, Any]:
        return asdict(self)


def prompts(parts: Parts, most: int = 12) -> list[dict[str, str]]:
    """Prompts that were held out, the latest first: the sample's id and how it begins."""
    held_out = parts.kept.samples.all(held_out=True)
    return [
        {"sample": one.id, "prompt": " ".join(prompt_of(one)[-1].content.split())[:PREVIEW_LETTERS]}
        for one in held_out[::-1][:most]
        if prompt_of(one)
    ]


def compare(parts: Parts, adapter: str, sample: str) -> Comparison:
    """What ``adapter``'s model says to a held-out sample's prompt, alone and with it. Greedy, so
    that it can be had again."""
    found = parts.adapters.find(adapter)
    one = parts.kept.samples.get(sample)
    if not one.is_held_out:
        raise UsageError(t("personal.not_held_out"), param="sample")
    before = parts.engine(found.model)
    after = parts.engine(found.full_name)
    asked = prompt_of(one)
    return Comparison(
        one.id,
        found.full_name,
        asked[-1].content,
        _said(before, asked),
        _said(after, asked),
        _wanted(one),
    )


def _wanted(sample: Sample) -> str:
    return "" if sample.is_desirable is False else sample.reply


def _said(engine: Engine, messages: tuple[Message, ...]) -> str:
    options = GenerateOptions(max_tokens=MOST_TOKENS, temperature=0.0)
    tokens = engine.generate(messages, options)
    return "".join(token.text for token in tokens if not token.reasoning).strip()
