"""Which sentences of an answer the quotes support, one by one.

A sentence is supported by a quote that says most of its words, all of its numbers and names, and
denies exactly when it denies: a changed number, a name from elsewhere or a "not" too many is fatal,
however alike the rest is. Paraphrase is where words end; there an embedding helps, if one is given
(Honovich et al. 2022, arXiv:2204.04991, compare such measures with entailment models). It does not
see that a plain word was swapped for its opposite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

from ondol.confidence.words import content_words, folded, is_little, shared, stem, words
from ondol.prompt import MARKS, abstains
from ondol.types import Quote, Support

Embed = Callable[[Sequence[str]], Any]
"""Texts to unit vectors, one row each."""

_KOREAN = re.compile("[가-힣]")
ENOUGH = 0.7
ENOUGH_ALIKE = 0.55
ALIKE = 0.75

_END = re.compile(r"(?<=[.!?。…])(?P<marks>[\"'”’)\]]*(?:\s*\[\d{1,3}\])*)\s+|\n+")
_ABBREVIATED = re.compile(r"(?:\b(?:[A-Z]|Mr|Mrs|Ms|Dr|St|No|vs|etc|e\.g|i\.e|approx|ca)\.)$")
_NAME = re.compile(r"[A-Z][\w’'-]*")
_DENIALS = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|neither|nor|without|cannot|hardly|unable)\b|n['’]t\b|"
    r"않|아니[다라었며하야]|아닙|없[다는었이으]|없습|못\s?[하했한]|못했"
)


def supported(text: str, given: Sequence[Quote], embed: Embed | None = None) -> tuple[Support, ...]:
    """Each sentence of ``text`` (``text[start:end]``) with the number of the quote that supports it
    best, the cited ones first; None for none. The score is the share of its words found there,
    from 0 to 1. An abstention claims nothing and has no sentences."""
    if abstains(text):
        return ()
    found = []
    for start, end in sentences(text):
        sentence = text[start:end]
        cited = {int(n) for n in MARKS.findall(sentence)}
        claim = MARKS.sub("", sentence).strip()
        if not words(claim):
            continue
        ranked = sorted(
            ((_score(claim, q.text, embed), q.number in cited, -q.number) for q in given),
            reverse=True,
        )
        cited_first = [r for r in ranked if r[0] > 0 and r[1]] or [r for r in ranked if r[0] > 0]
        best = cited_first[0] if cited_first else (0.0, False, 0)
        number = -best[2] if best[0] > 0 else None
        found.append(Support(start, end, number, round(best[0], 3)))
    return tuple(found)


def sentences(text: str) -> list[tuple[int, int]]:
    """(start, end) of each sentence; marks that follow a full stop belong to what is before."""
    spans, begin = [], 0
    for gap in _END.finditer(text):
        rest = text[gap.end() :]
        if _ABBREVIATED.search(text[begin : gap.start()]) or MARKS.match(rest):
            continue
        spans.append((begin, gap.start() if gap["marks"] is None else gap.end("marks")))
        begin = gap.end()
    spans.append((begin, len(text)))
    return [(s, e) for s, e in spans if text[s:e].strip()]


def _score(claim: str, quote: str, embed: Embed | None) -> float:
    """How much of ``claim`` the quote says; 0.0 when not enough, or when they disagree."""
    said = _plain(quote)
    bare = _plain(claim)
    if f" {bare} " in f" {said} " and (len(bare.split()) < 4 or not _denies(quote, claim)):
        return 1.0
    if _numbers(claim) - _numbers(quote) or not _names_in(claim, quote):
        return 0.0
    if _denies(claim, quote) or _denies(quote, claim):
        return 0.0
    share = shared(content_words(claim), content_words(quote))
    if share >= ENOUGH:
        return share
    if embed is not None and share >= ENOUGH_ALIKE:
        one, other = embed([claim, quote])
        if float(one @ other) >= ALIKE:
            return share
    return 0.0


def _plain(text: str) -> str:
    return " ".join(words(text))


def _denies(one: str, other: str) -> bool:
    """Whether ``one`` denies what ``other`` says without denying it too."""
    return bool((_denied(one) & content_words(other)) - _denied(other))


def _denied(text: str) -> set[str]:
    """The stems of what is denied: the content word behind a "not", in Korean the one before."""
    found = set()
    pieces = folded(text).split()
    for i, piece in enumerate(pieces):
        if not _DENIALS.search(piece):
            continue
        beside = pieces[max(0, i - 1) : i][::-1] if _KOREAN.search(piece) else pieces[i + 1 : i + 6]
        stems = (stem(word) for other in beside for word in words(other) if not is_little(word))
        found |= set(islice(stems, 1))
    return found


def _numbers(text: str) -> set[str]:
    """Every number by its value, written in digits or in words."""
    return {value for word in words(text) if (value := stem(word))[0].isdigit()}


def _names_in(claim: str, quote: str) -> bool:
    """Whether every name of ``claim`` is in the quote. Its first word has a capital anyway: it
    counts as a name only when there is another one beside it."""
    there = set(words(quote.replace("’s", "").replace("'s", "")))
    found = [match for match in _NAME.finditer(claim) if words(match[0])]
    begin = len(claim) - len(claim.lstrip("\"'“‘("))
    names = [m[0] for m in found if m.start() > begin or _goes_on(claim, m.end())]
    return all(words(re.sub(r"['’]s$", "", name))[0] in there for name in names)


def _goes_on(claim: str, end: int) -> bool:
    return claim[end : end + 1] == " " and claim[end + 1 : end + 2].isupper()
