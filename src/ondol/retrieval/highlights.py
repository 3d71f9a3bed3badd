"""Which words of a text a query means, to show them: an English word with its endings, a Korean one
without its particle. Only for the eye; what matches is ``search``'s to say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ondol.retrieval.sentences import Span

MOST_WORDS = 24
_WORD = re.compile(r"\w+")
_ENDING = re.compile(r"(?:ing|ied|ies|ed|es|s|e|y)$")
_HANGUL = re.compile("[가-힣]+")
# What one syllable of a Korean word begins is too much.
_LEAST_SYLLABLES = 2


def spans(text: str, query: str) -> list[Span]:
    """Where ``text`` has a word of ``query``, as offsets, in order and never overlapping."""
    words = dict.fromkeys(_WORD.findall(query.lower()))
    patterns = [p for word in [*words][:MOST_WORDS] for p in _patterns(word, text)]
    if not patterns:
        return []
    return [match.span() for match in re.finditer("|".join(patterns), text, re.IGNORECASE)]


def _patterns(word: str, text: str) -> Iterator[str]:
    if _HANGUL.fullmatch(word):
        length = len(word)
        while length > _LEAST_SYLLABLES and word[:length] not in text:
            length -= 1
        yield re.escape(word[:length])
    elif word.isascii() and len(word) > 1:
        stem = _ENDING.sub("", word) if len(word) > 4 else word
        yield rf"\b{re.escape(stem if len(stem) > 2 else word)}\w*"
    elif len(word) > 1:
        yield re.escape(word)
