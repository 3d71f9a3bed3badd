"""The text that models are measured on, cut into windows as llama.cpp's perplexity tool cuts it:
one after the other, each beginning anew, of each the second half counts.

The text that comes with Ondol was written for it (CC0): letters, stories, encyclopaedia, minutes.
Raises ``UsageError`` for a text that does not fill one window.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import TYPE_CHECKING

from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine


def plain_text() -> str:
    """The text that comes with Ondol."""
    return (files("ondol.lab.measuring") / "plain.txt").read_text("utf-8")


def cut(engine: LlamaEngine, text: str, window: int, most: int) -> list[list[int]]:
    """The tokens of the first windows of ``text``, at ``most`` so many."""
    tokens = engine.tokenize(text, is_whole=True)
    found = [tokens[i : i + window] for i in range(0, len(tokens) - window + 1, window)][:most]
    if not found:
        told = t("measuring.short_text", tokens=len(tokens), window=window)
        raise UsageError(told, t("measuring.short_text_hint"), param="text")
    if begins_with_mark(tokens, engine.tokenize(text)):
        found = [[tokens[0], *one[1:]] for one in found]
    return found


def begins_with_mark(whole: Sequence[int], plain: Sequence[int]) -> bool:
    """Whether the model's texts begin with a token that is not of the text."""
    return len(whole) > len(plain) and list(whole[1 : len(plain) + 1]) == list(plain)


def first_counted(window: int) -> int:
    """The place of the first token whose probability counts: those before it give it a context."""
    return window // 2 + 1
