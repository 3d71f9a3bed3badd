"""The terms that a model was made with: which of them a question has, and what is said of them.

A glossary is a file of a model (role ``glossary``): JSON Lines, ``{"term", "meaning", "also"}``.
Terms are found as words, folded, in a plural, and in Korean before a particle; where one holds
another, the longer counts. Raises ``InvalidPackError`` with the line that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ondol.folding import fold
from ondol.i18n import t
from ondol.models.json_lines import Line, read_lines
from ondol.role_marks import harmless

ROLE = "glossary"
MOST_BYTES = 2 * 1024 * 1024
MOST_TERMS = 5_000
LONGEST_TERM = 80
LONGEST_MEANING = 600
MOST_ALSO = 20
# Of a question; nobody asks about a term after so many others.
MOST_WORDS = 1_000
LONGEST_NAME = 8
"""Words of a name."""
LONGEST_ENDING = 8

_WORDS = re.compile(r"[^\W_]+(?:[+#]+(?!\w))?")
_PLURAL = re.compile(r"e?s")
_PARTICLES = re.compile(
    "(?:은|는|이|가|을|를|의|에|에서|에게|로|으로|와|과|도|만|까지|부터|이나|나|란|이란|라|이라|라는"
    "|이라는|처럼|보다|마다|이다|다|인|이고|고|이며|며|하고|하는|할|한|해|하기|들)+"
)


@dataclass(frozen=True, slots=True)
class Term:
    """``meaning`` is one or two sentences; ``also`` are other words for the same."""

    term: str
    meaning: str
    also: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """As a prompt has it. Its words are a publisher's: they open no turn."""
        return harmless(f"{self.term}: {self.meaning}")


@dataclass(frozen=True)
class Glossary:
    """Terms, in the order of their file."""

    terms: tuple[Term, ...] = ()

    def found_in(self, question: str) -> list[Term]:
        """The terms that ``question`` has, each once, in the order in which it has them."""
        words = _words(question)[:MOST_WORDS]
        found: dict[str, Term] = {}
        at = 0
        while at < len(words):
            term, taken = self._at(words, at)
            if term is not None:
                found.setdefault(term.term, term)
            at += taken
        return list(found.values())

    def _at(self, words: Sequence[str], at: int) -> tuple[Term | None, int]:
        """The term of the longest name that stands at ``at``, and how many words it takes."""
        for count in self._lengths.get(words[at], ()) or (1,):
            *head, last = words[at : at + count]
            if len(head) == count - 1:
                for stem in _stems(last):
                    if (term := self._by_name.get((*head, stem))) is not None:
                        return term, count
        return None, 1

    def for_prompt(
        self, question: str, *, max_tokens: int, count_tokens: Callable[[str], int]
    ) -> str:
        """What goes into a prompt that asks ``question``: a line a term, those that fit into
        ``max_tokens``; "" where none does. Nothing is cut in half."""
        lines: list[str] = []
        for term in self.found_in(question) if max_tokens > 0 else ():
            if count_tokens("\n".join([*lines, term.line])) <= max_tokens:
                lines.append(term.line)
        return "\n".join(lines)

    @cached_property
    def _by_name(self) -> dict[tuple[str, ...], Term]:
        """By the words of each of their names; of two terms with the same one, the first."""
        found: dict[tuple[str, ...], Term] = {}
        for term in self.terms:
            for name in (term.term, *term.also):
                found.setdefault(tuple(_words(name)), term)
        return found

    @cached_property
    def _lengths(self) -> dict[str, list[int]]:
        """By the first of several words, how many words its names may have, the most first."""
        found: dict[str, set[int]] = {}
        for name in self._by_name:
            if len(name) > 1:
                found.setdefault(name[0], {1}).add(len(name))
        return {word: sorted(lengths, reverse=True) for word, lengths in found.items()}


def read(path: Path, file: str = "glossary.jsonl") -> Glossary:
    """The glossary in ``path``, which people call ``file``."""
    seen: set[str] = set()
    terms = []
    for line in read_lines(path, file, MOST_BYTES, MOST_TERMS):
        term = _term(line)
        if (key := " ".join(_words(term.term))) in seen:
            raise line.wrong(t("packs.twice", term=term.term))
        seen.add(key)
        terms.append(term)
    return Glossary(tuple(terms))


def _term(line: Line) -> Term:
    line.only("term", "meaning", "also")
    term = line.text("term", LONGEST_TERM)
    meaning = line.text("meaning", LONGEST_MEANING)
    also = line.texts("also", LONGEST_TERM, MOST_ALSO)
    for name in (term, *also):
        if not 0 < len(_words(name)) <= LONGEST_NAME:
            raise line.wrong(t("packs.no_word", term=name, most=LONGEST_NAME))
    return Term(term, meaning, also)


def _words(text: str) -> list[str]:
    return _WORDS.findall(fold(text).text.casefold())


def _stems(word: str) -> Iterator[str]:
    """``word``, and what it may be an inflection of, the longest first."""
    yield word
    for end in range(len(word) - 1, max(0, len(word) - LONGEST_ENDING - 1), -1):
        if _is_ending(word[end:], word[:end]):
            yield word[:end]


def _is_ending(ending: str, stem: str) -> bool:
    if stem.isascii() and ending.isascii():
        return _PLURAL.fullmatch(ending) is not None and len(stem) > 2
    return _PARTICLES.fullmatch(ending) is not None
