"""What a recogniser of personal data is: a pattern, and a judge of what it matched.

Patterns are written for folded text (``folding.fold``): plain digits, hyphens, full stops, spaces.
``(?<!\\d)`` stands where a word boundary would not do: Hangul particles follow a number directly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

Span = tuple[int, int]

SEP = r"[-. \t/]?\s{0,2}[-.]?"
"""Between two groups of digits: a sign, a space, a line break, or nothing."""


MANY_DIGITS = re.compile(r"\d(?:[^\d\n]{0,4}\s{0,2}[-.]?\d){6,}")
"""Where a number of seven digits or more may be, however it is divided."""

_BEFORE = 48
_AFTER = 12


@dataclass(frozen=True, slots=True)
class Recogniser:
    """Finds one ``kind``. ``judge`` says where in a match it is, if at all. Only what is around an
    ``anchor`` is searched: strings (in lower case), or a pattern that is quicker than its own. A
    string stands ``reach`` characters before the end of a match at most."""

    kind: str
    pattern: re.Pattern[str]
    judge: Callable[[re.Match[str]], Span | None] = lambda match: match.span()
    anchor: re.Pattern[str] | tuple[str, ...] = MANY_DIGITS
    reach: int = _AFTER

    def find(self, text: str, places: Sequence[Span]) -> Iterator[Span]:
        """Every span of this kind in ``text``, in or around ``places`` (see ``anchored``)."""
        for start, end in places:
            at, stop = max(0, start - _BEFORE), min(len(text), end + self.reach)
            while match := self.pattern.search(text, at, stop):
                span = self.judge(match)
                if span is not None:
                    yield span
                # What was refused may hide the beginning of a right one.
                at = max(match.end() if span else match.start() + 1, at + 1)


def anchored(text: str, lower: str, anchor: re.Pattern[str] | tuple[str, ...]) -> list[Span]:
    """Where in ``text`` (``lower`` is the same in lower case) ``anchor`` stands."""
    if isinstance(anchor, re.Pattern):
        return [match.span() for match in anchor.finditer(text)]
    found = []
    for word in anchor:
        at = lower.find(word)
        while at >= 0:
            found.append((at, at + len(word)))
            at = lower.find(word, at + 1)
    return found


def whole(accepts: Callable[[str], bool]) -> Callable[[re.Match[str]], Span | None]:
    """A judge of the digits of the whole match."""
    return lambda match: match.span() if accepts(digits(match.group())) else None


def group(accepts: Callable[[str], bool]) -> Callable[[re.Match[str]], Span | None]:
    """A judge of the digits of the first group: what stands before it only points at it."""
    return lambda match: match.span(1) if accepts(digits(match.group(1))) else None


def digits(text: str) -> str:
    return "".join(c for c in text if c.isdigit())
