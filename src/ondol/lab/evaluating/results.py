"""What an evaluation found: a score a suite with its interval, and which items were right.

Frozen records and their JSON; no text of a question or a reply is in them. An item never changes
its meaning, so two evaluations can be compared by what both asked.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ondol.lab.evaluating.items import Item, Said
from ondol.training.bootstrap import Estimate, difference, mean

Purpose = Literal["owner", "gate", "update"]
GOLDEN = "golden"
Z = 1.96
MOST_CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Subject:
    """Who was asked. ``digest`` is that of the weights as they came, ``format`` that of those which
    serve; ``chat`` and ``documents`` are what answers there, adapters included, and ``adapters``
    the digests of their files by name."""

    model: str
    digest: str = ""
    format: str = ""
    chat: str = ""
    documents: str = ""
    adapters: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**found, "adapters": dict(self.adapters)}


@dataclass(frozen=True, slots=True)
class Score:
    """What came of a suite. ``right`` says of every item that was asked whether it was; ``groups``
    to what each belongs, where that is not the item alone."""

    suite: str
    right: Mapping[str, bool]
    groups: Mapping[str, str] = field(default_factory=dict)
    median_seconds: float = 0.0

    @property
    def estimate(self) -> Estimate:
        """The share that was right, with its 95 % interval: a bootstrap's, or, where all are right
        or none is, of which a bootstrap can say nothing, Wilson's (1927) over the groups."""
        ids = sorted(self.right)
        groups = [self.group(id) for id in ids]
        found = mean(groups, [float(self.right[id]) for id in ids])
        if found.value not in (0.0, 1.0):
            return found
        far = Z * Z / (len(set(groups)) + Z * Z)
        low, high = (0.0, far) if found.value == 0 else (1 - far, 1.0)
        return replace(found, low=low, high=high)

    def group(self, id: str) -> str:
        return self.groups.get(id, id)

    def json(self) -> dict[str, Any]:
        return {
            "suite": self.suite,
            **self.estimate.as_dict(),
            "right": sum(self.right.values()),
            "median_seconds": round(self.median_seconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One evaluation. ``purpose`` says who asked for it: the owner, or a gate; ``at`` is ISO 8601
    in UTC."""

    id: str
    subject: Subject
    scores: tuple[Score, ...]
    purpose: Purpose = "owner"
    ondol: str = ""
    seconds: float = 0.0
    at: str = ""

    def score(self, suite: str) -> Score | None:
        return next((one for one in self.scores if one.suite == suite), None)

    def json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            **self.subject.json(),
            "purpose": self.purpose,
            "ondol": self.ondol,
            "seconds": round(self.seconds, 1),
            "at": self.at,
            "scores": [one.json() for one in self.scores],
        }


@dataclass(frozen=True, slots=True)
class Change:
    """A suite in two evaluations, by the items that both asked. ``is_worse`` and ``is_better`` say
    that it is so beyond chance: by the bootstrap, and by an exact sign test (McNemar 1947), for of
    a few items the one says too much."""

    suite: str
    before: float
    after: float
    difference: Estimate
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()

    @property
    def is_worse(self) -> bool:
        return self.difference.high < 0 and chance(len(self.lost), len(self.gained)) < MOST_CHANCE

    @property
    def is_better(self) -> bool:
        return self.difference.low > 0 and chance(len(self.gained), len(self.lost)) < MOST_CHANCE

    def json(self) -> dict[str, Any]:
        return {
            "suite": self.suite,
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "difference": self.difference.as_dict(),
            "lost": list(self.lost),
            "gained": list(self.gained),
            "is_worse": self.is_worse,
            "is_better": self.is_better,
        }


def scored(suite: str, items: Sequence[Item], said: Sequence[Said]) -> Score:
    """The score of replies to ``items``, in their order."""
    right = {one.id: one.is_right(reply) for one, reply in zip(items, said, strict=True)}
    groups = {one.id: one.group for one in items if one.group and one.group != one.id}
    seconds = statistics.median([reply.seconds for reply in said] or [0.0])
    return Score(suite, right, groups, seconds)


def compared(before: Evaluation, after: Evaluation) -> list[Change]:
    """Every suite that both asked, in the order of ``after``."""
    pairs = ((before.score(one.suite), one) for one in after.scores)
    changes = (_change(first, second) for first, second in pairs if first is not None)
    return [one for one in changes if one.difference.n]


def _change(before: Score, after: Score) -> Change:
    ids = sorted(before.right.keys() & after.right.keys())
    sides = [[float(score.right[id]) for id in ids] for score in (before, after)]
    groups = [after.group(id) for id in ids]
    first, second = (sum(side) / len(side) if side else 0.0 for side in sides)
    return Change(
        after.suite,
        first,
        second,
        difference(groups, sides[0], sides[1]),
        tuple(_where(ids, before.right, after.right)),
        tuple(_where(ids, after.right, before.right)),
    )


def chance(lost: int, gained: int) -> float:
    """How likely at least ``lost`` of so many changes go that way when either is as likely."""
    changed = lost + gained
    return math.fsum(math.comb(changed, k) for k in range(lost, changed + 1)) / 2.0**changed


def _where(
    ids: Iterable[str], is_right: Mapping[str, bool], other: Mapping[str, bool]
) -> list[str]:
    return [id for id in ids if is_right[id] and not other[id]]
