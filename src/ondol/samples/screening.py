"""How a draft is looked at before it is kept: is there something to learn, is it of a size that can
be learned, does it hold what nobody should learn.

Passwords and keys are never kept: a model that learned one may say it to whoever asks. What finds
them, and what tells a language, is given by the caller; this room knows neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ondol.samples.records import Draft, Personal

LONGEST_LETTERS = 20_000
"""Of all texts of a sample together: far more than a training reads of one."""

SECRETS = frozenset({"secret"})
"""The kinds of personal data that are never kept."""


class Found(Protocol):
    """A finding: ``text[start:end]`` is personal data of this kind."""

    @property
    def kind(self) -> str: ...
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Screen:
    """``find`` finds what is personal in a text, in order; ``language`` tells an ISO 639 code."""

    find: Callable[[str], Sequence[Found]] = lambda text: ()
    language: Callable[[str], str] = lambda text: "und"

    def look(self, draft: Draft, personal: Personal) -> Draft | str:
        """The draft as it may be kept, or a code of ``REFUSALS``."""
        draft = replace(
            draft,
            conversation=plain(draft.conversation),
            messages=tuple(replace(m, content=plain(m.content)) for m in draft.messages),
            reply=plain(draft.reply),
            rejected=None if draft.rejected is None else plain(draft.rejected),
        )
        if code := _cannot_be_learned(draft):
            return code
        found = [self.find(text) for text in texts_of(draft)]
        if any(one.kind in SECRETS for findings in found for one in findings):
            return "secret"
        if personal == "keep" or not any(found):
            return draft
        return "personal" if personal == "skip" else self._redacted(draft)

    def _redacted(self, draft: Draft) -> Draft:
        """With ``[PHONE]`` and its like in the place of what is personal."""

        def cut(text: str) -> str:
            pieces, at = [], 0
            for one in self.find(text):
                pieces += [text[at : one.start], f"[{one.kind.upper()}]"]
                at = one.end
            return "".join([*pieces, text[at:]])

        return replace(
            draft,
            messages=tuple(replace(m, content=cut(m.content)) for m in draft.messages),
            reply=cut(draft.reply),
            rejected=None if draft.rejected is None else cut(draft.rejected),
        )


def _cannot_be_learned(draft: Draft) -> str:
    """A code of ``REFUSALS``, or ""."""
    if not draft.reply.strip():
        return "empty"
    if draft.rejected is not None and draft.rejected.split() == draft.reply.split():
        return "no_difference"
    asked = draft.messages[-1] if draft.messages else None
    if asked is None or asked.role != "user" or not asked.content.strip():
        return "no_question"
    return "too_long" if sum(map(len, texts_of(draft))) > LONGEST_LETTERS else ""


def texts_of(draft: Draft) -> list[str]:
    """All that is said in a draft, the prompt first."""
    rejected = [] if draft.rejected is None else [draft.rejected]
    return [*(one.content for one in draft.messages), draft.reply, *rejected]


def plain(text: str) -> str:
    """``text`` as a database and a tokenizer can hold it: no half characters, no NUL, one kind of
    line ends."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")
    return text.replace("\r\n", "\n").replace("\r", "\n")
