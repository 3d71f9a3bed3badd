"""What is held out: whole conversations, decided once each, so that nothing is ever measured with
what was learned from.

A conversation's side is a hash of its name: the same on every machine, whatever else is here. While
there are so few that the hash would leave nothing to measure with, one that comes is held out for
the minimum's sake. What was decided stays when more comes and when others go.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

SHARE = 0.15
LEAST = 8
"""Conversations to measure with, once there are four times as many."""


def rank(conversation: str) -> float:
    """Where in [0, 1) the hash of a conversation's name lies."""
    digest = hashlib.sha256(b"held out\0" + conversation.encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:7], "big") / (1 << 56)


def split(known: Mapping[str, bool], coming: Iterable[str]) -> dict[str, bool]:
    """Whether each of the ``coming`` conversations is held out; ``known`` ones stay as they are.
    The order in which they are given does not matter."""
    decided = dict(known)
    held = sum(decided.values())
    new = sorted(set(coming) - decided.keys(), key=lambda name: (rank(name), name))
    total = len(decided) + len(new)
    for name in new:
        decided[name] = rank(name) < SHARE or held < min(LEAST, total // 4)
        held += decided[name]
    return decided
