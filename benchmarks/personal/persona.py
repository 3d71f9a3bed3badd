"""The persona: how one owner wants to be answered, the answers so corrected, and who keeps to it.

The judge is a function of the text alone: no model has a say. An answer follows the style when it
keeps every rule of ``RULES``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ondol.training.dataset import Example
from ondol.types import Message

FILE = Path(__file__).with_name("persona.toml")

_SENTENCE_END = re.compile(r"[.?!…。]+(?=\s|$)")
_LIST_OR_MARKDOWN = re.compile(r"(^|\n)\s*([-*#•>]|\d+[.)])\s|\*\*|`|\n")
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf]")
_HANGUL = re.compile("[가-힣]")
_LATIN = re.compile("[A-Za-z]")


@dataclass(frozen=True)
class Feedback:
    """What the owner made of one answer: ``earlier`` is the turn before, when there was one."""

    topic: str
    language: str
    prompt: str
    wanted: str
    earlier: tuple[str, str] | None = None

    @property
    def messages(self) -> tuple[Message, ...]:
        turns = [Message("user", self.prompt)]
        if self.earlier is not None:
            asked, answered = self.earlier
            turns = [Message("user", asked), Message("assistant", answered), *turns]
        return tuple(turns)

    def example(self) -> Example:
        return Example(self.messages, self.wanted, False, self.language, self.topic)


@dataclass(frozen=True)
class HeldOut:
    """A prompt of a topic that no feedback is about; ``expect``: one of these is in a true answer,
    where there is one."""

    topic: str
    language: str
    prompt: str
    expect: tuple[str, ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        return (Message("user", self.prompt),)


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text("utf-8"))


def feedback() -> list[Feedback]:
    return [
        Feedback(
            topic,
            language,
            prompt,
            styled(wanted, language),
            (earlier[0], styled(earlier[1], language)) if earlier else None,
        )
        for language, entries in _table()["feedback"].items()
        for topic, prompt, wanted, *earlier in entries
    ]


def held_out(part: str = "held_out") -> list[HeldOut]:
    """``part`` is "held_out", on which the defaults were chosen, or "untouched"."""
    return [
        HeldOut(topic, language, prompt, tuple(expect[0]) if expect else ())
        for language, entries in _table()[part].items()
        for topic, prompt, *expect in entries
    ]


def styled(body: str, language: str) -> str:
    """An answer with its nickname and sign-off."""
    table = _table()
    return f"{table['nickname'][language]}, {body} {table['sign_off'][language]}"


def body(answer: str, language: str) -> str:
    """What stands between the nickname and the sign-off, where they are."""
    table = _table()
    inner = answer.strip().removeprefix(f"{table['nickname'][language]}, ")
    return inner.removesuffix(table["sign_off"][language]).strip()


def _opens(answer: str, language: str) -> bool:
    name = _table()["nickname"][language]
    return answer.startswith(f"{name}, ") and answer.count(name) == 1


def _signs(answer: str, language: str) -> bool:
    words = _table()["sign_off"][language]
    return answer.endswith(words) and answer.count(words) == 1


def _short(answer: str, language: str) -> bool:
    inner, table = body(answer, language), _table()
    return (
        len(_SENTENCE_END.findall(inner)) <= table["max_sentences"]
        and len(inner.split()) <= table["max_words"][language]
    )


def _calm(answer: str, language: str) -> bool:
    """No exclamation, list, Markdown, emoji or stock phrase; in Korean the 해요 register."""
    folded = answer.casefold()
    stock = any(re.search(rf"\b{re.escape(p)}", folded) for p in _table()["stock_phrases"])
    marks = "!" in answer or _LIST_OR_MARKDOWN.search(answer) or _EMOJI.search(answer)
    if stock or marks:
        return False
    if language != "ko":
        return True
    ends = [part.strip() for part in _SENTENCE_END.split(body(answer, language)) if part.strip()]
    return all(end.endswith("요") for end in ends)


def _says(answer: str, language: str) -> bool:
    """Something, in the language it was asked in, and whole: it ends where a sentence does."""
    inner = body(answer, language)
    hangul, latin = len(_HANGUL.findall(inner)), len(_LATIN.findall(inner))
    spoken = hangul > latin if language == "ko" else latin > 1 and not hangul
    return spoken and "\ufffd" not in inner and bool(_SENTENCE_END.search(inner))


RULES: Mapping[str, Callable[[str, str], bool]] = {
    "nickname": _opens,
    "sign-off": _signs,
    "at most two short sentences": _short,
    "register": _calm,
    "a whole sentence in the language asked": _says,
}


def kept(answer: str, language: str) -> dict[str, bool]:
    """Which rules ``answer`` keeps."""
    return {name: rule(answer.strip(), language) for name, rule in RULES.items()}


def follows(answer: str, language: str) -> bool:
    return all(kept(answer, language).values())


def is_true(answer: str, expect: tuple[str, ...]) -> bool:
    """Whether it holds one of the words that a true answer holds."""
    folded = answer.casefold()
    return any(re.search(rf"(?<!\w){re.escape(word)}", folded) for word in expect)
