"""How much work a regular expression is for whoever follows all its ways at once.

Reads the expression without running it: groups, alternatives, classes, repetitions. What it does
not know it takes for a character; whether an expression is a good one is for others to say.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

MOST_WAYS = 64
DEEPEST = 50

_ATOM = re.compile(
    r"\\(?:u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[pP]\{[^}]*\}|.)|\[\^?\]?(?:\\.|[^\]\\])*\]|.", re.S
)
_TIMES = re.compile(r"([*+?])|\{(\d*)(,?)(\d*)\}")
_ASIDE = re.compile(r"\(\?(?:[:=!>]|<[=!]|P?<\w+>)")


class Cost(NamedTuple):
    """``ways`` is how many places of the expression a reader may be at, at once; ``steps`` how
    many places there are when every count is written out."""

    ways: int
    steps: int


_ONE = Cost(1, 1)
_TOO_MUCH = Cost(1 << 30, 1 << 30)


@lru_cache(maxsize=256)
def cost(pattern: str) -> Cost:
    """Of ``pattern``. A nesting that is too deep to be meant costs too much."""
    reader = _Reader(pattern)
    found = reader.alternatives(0)
    while reader.at < len(pattern):  # a bracket too many
        reader.at += 1
        found = _row([found, reader.alternatives(0)])
    return found


class _Reader:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.at = 0

    def alternatives(self, depth: int) -> Cost:
        """Up to the end, or the bracket that closes."""
        found = [self._sequence(depth)]
        while self.pattern.startswith("|", self.at):
            self.at += 1
            found.append(self._sequence(depth))
        return Cost(sum(one.ways for one in found), sum(one.steps for one in found))

    def _sequence(self, depth: int) -> Cost:
        found = [_ONE]
        while self.at < len(self.pattern) and self.pattern[self.at] not in "|)":
            found.append(self._repeated(self._atom(depth)))
        return _row(found)

    def _atom(self, depth: int) -> Cost:
        if self.pattern[self.at] != "(":
            match = _ATOM.match(self.pattern, self.at)
            self.at = match.end() if match else self.at + 1
            return _ONE
        if depth >= DEEPEST:
            self.at = len(self.pattern)
            return _TOO_MUCH
        aside = _ASIDE.match(self.pattern, self.at)
        self.at = aside.end() if aside else self.at + 1
        found = self.alternatives(depth + 1)
        self.at += 1
        return found

    def _repeated(self, one: Cost) -> Cost:
        while (match := _TIMES.match(self.pattern, self.at)) and match.group() not in ("{}", "{,}"):
            self.at = match.end()
            one = _times(one, *_counts(match))
        return one


def _counts(match: re.Match[str]) -> tuple[int, int | None]:
    if match[1]:
        return {"*": (0, None), "+": (1, None), "?": (0, 1)}[match[1]]
    least = int(match[2][:9] or 0)
    most = int(match[4][:9]) if match[4] else None
    return least, (most if match[3] else least)


def _times(one: Cost, least: int, most: int | None) -> Cost:
    copies = max(1, least + 1 if most is None else most)
    if one.ways > 1:  # where in it, and in which copy
        ways = one.ways * copies + (least != most)
    else:  # one after the other: a reader is in this copy, or past the last
        ways = 1 if least == most else 2
    return Cost(min(ways, _TOO_MUCH.ways), min(one.steps * copies, _TOO_MUCH.steps))


def _row(found: list[Cost]) -> Cost:
    ways = 1 + sum(one.ways - 1 for one in found)
    return Cost(min(ways, _TOO_MUCH.ways), min(sum(o.steps for o in found), _TOO_MUCH.steps))
