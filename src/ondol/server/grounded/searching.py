"""``ask`` as programs use it, who send more than a question: what of it is searched for, and in
which language they are told what goes wrong.

Raises what ``ask`` raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ondol.i18n import language, use_language
from ondol.server.asking import Asking
from ondol.types import Engine, Evidence, Hit, Message, Retriever, Token

if TYPE_CHECKING:
    from ondol.parts import Parts

# What is searched for in a question that is longer: people ask before or after what they paste.
MOST_SEARCHED = 2000
MOST_ASKED = 500

_PARAGRAPHS = re.compile(r"\n[ \t]*\n\s*")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


class Searching(Asking):
    """``ask`` over what is worth searching for in a question that may be pasted text; home is there
    only while ``may_ask_home``."""

    def __init__(
        self,
        parts: Parts,
        question: str,
        *,
        may_ask_home: Callable[[], bool],
        loading: Mapping[str, Any] = MappingProxyType({}),
        **how: Any,
    ) -> None:
        super().__init__(parts, question, may_ask_home=may_ask_home, loading=loading, **how)
        self._language = language()
        self._searched = _Searched(parts.retriever, self._language)

    @property
    def retriever(self) -> Retriever:
        return self._searched

    def engine(self, model: str | None = None) -> Engine:
        with use_language(self._language):
            return super().engine(model)

    def _watch(self, start: Callable[[], Iterator[Token]]) -> Iterator[Token]:
        return _in_language(self._language, super()._watch(start))


def _in_language(code: str, tokens: Iterator[Token]) -> Iterator[Token]:
    """``tokens``, each made in the language ``code``: so is what goes wrong there."""
    while True:
        with use_language(code):
            token = next(tokens, None)
        if token is None:
            return
        yield token


class _Searched:
    """A retriever that is asked with ``searchable`` questions."""

    def __init__(self, retriever: Retriever, language: str) -> None:
        self._retriever = retriever
        self._language = language

    def search(self, query: str, *, limit: int = 10, where: Any = None) -> list[Hit]:
        with use_language(self._language):
            return self._retriever.search(searchable(query), limit=limit, where=where)

    def evidence(
        self, question: str, *, where: Any = None, history: Sequence[Message] = ()
    ) -> Evidence:
        with use_language(self._language):
            return self._retriever.evidence(searchable(question), where=where, history=history)

    def listing(self, question: str, *, where: Any = None) -> Evidence:
        with use_language(self._language):
            return self._retriever.listing(searchable(question), where=where)

    def asks_for_all(self, question: str) -> bool:
        return self._retriever.asks_for_all(searchable(question))

    def follows_up(self, question: str) -> bool:
        return self._retriever.follows_up(searchable(question))


def searchable(question: str) -> str:
    """What to search for: the question without the code in it, where it says anything besides. Of
    what is very long, the short paragraphs at its ends, or these ends themselves. No filters are
    read in what was pasted."""
    words = _CODE.sub("\n\n", question).strip()
    if not any(map(str.isalpha, words)):
        words = question.replace(":", " ")
    if len(words) <= MOST_SEARCHED:
        return words
    paragraphs = _PARAGRAPHS.split(words.strip())
    short = [part for part in (paragraphs[-1], paragraphs[0]) if len(part) <= MOST_ASKED]
    half = MOST_SEARCHED // 2
    # The end first: an embedder reads only so much.
    ends = short or [words[-half:].partition(" ")[2], words[:half].rpartition(" ")[0]]
    return " ".join(dict.fromkeys(ends)).replace(":", " ").strip() or words[:half]
