"""How far further answers to the same prompt agree with the one that was given: what a model says
again and again it rather knows (self-consistency: Wang et al. 2023, arXiv:2203.11171), what it says
in as many ways as it is asked it makes up (semantic entropy: Kuhn et al. 2023, arXiv:2302.09664).

Two answers mean the same when both abstain, or when the content words of one hold the other's:
an article, a mark or a rounder phrase makes no other answer, a name that is spelt otherwise does.
In which order they came is not seen. No answer of the product is judged by this: see README.md.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from ondol.confidence.words import is_little, stem, words
from ondol.prompt import MARKS, abstains

ALTERNATIVE = "samples_"
"""What the names of these signals begin with."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer comes down to. ``said`` are its words in order, ``content`` those that are
    not little (all of them, where there are no others), ``cites`` its first mark."""

    abstains: bool
    said: tuple[str, ...]
    content: frozenset[str]
    cites: str

    @classmethod
    def of(cls, text: str) -> Meaning:
        if _is_abstention(text):
            return cls(True, (), frozenset(), "")
        marks = MARKS.findall(text)
        every = words(MARKS.sub(" ", text))
        said = tuple(map(_value, every))
        content = frozenset(_value(word) for word in every if not is_little(word))
        return cls(False, said, content or frozenset(said), marks[0] if marks else "")

    def agrees(self, other: Meaning) -> bool:
        """Whether both are one answer."""
        if self.abstains or other.abstains:
            return self.abstains and other.abstains
        if not self.content or not other.content:
            return self.content == other.content
        return self.content <= other.content or other.content <= self.content


def agreeing(said: str, samples: Sequence[str]) -> int:
    """How many of ``samples`` say what was ``said``."""
    given = Meaning.of(said)
    return sum(given.agrees(Meaning.of(sample)) for sample in samples)


def of_samples(said: str, samples: Sequence[str]) -> dict[str, float]:
    """The signals of agreement; none without samples. Those of an abstention have other names."""
    if not samples:
        return {}
    given, drawn = Meaning.of(said), [Meaning.of(sample) for sample in samples]
    count = len(drawn)
    sizes, own = _clusters(given, drawn)
    total = count + 1
    found = {
        "agree": sum(map(given.agrees, drawn)) / count,
        "entropy": -math.fsum(size / total * math.log(size / total) for size in sizes),
        "distinct": (len(sizes) - 1) / count,
        "rival": max((size for at, size in enumerate(sizes) if at != own), default=0) / count,
    }
    if given.abstains:
        return {f"abstained_{ALTERNATIVE}{name}": value for name, value in found.items()}
    found |= {
        "abstain": sum(one.abstains for one in drawn) / count,
        "f1": math.fsum(_f1(given, one) for one in drawn) / count,
        "cite": sum(not one.abstains and one.cites == given.cites for one in drawn) / count,
    }
    return {f"{ALTERNATIVE}{name}": value for name, value in found.items()}


def _value(word: str) -> str:
    """A number, however it is written; a word stays what it is: cut to a stem, one name would be
    another."""
    value = stem(word)
    return value if value[0].isdigit() else word


def _is_abstention(text: str) -> bool:
    """A sampled one may begin with a small letter."""
    said = text.strip()
    return abstains(said) or abstains(said[:1].upper() + said[1:])


def _clusters(given: Meaning, drawn: Sequence[Meaning]) -> tuple[list[int], int]:
    """The sizes of the clusters of all answers, and which holds ``given``. One that agrees with two
    others brings them together."""
    clusters: list[list[Meaning]] = []
    for one in (given, *drawn):
        near = [cluster for cluster in clusters if any(map(one.agrees, cluster))]
        clusters = [cluster for cluster in clusters if cluster not in near]
        clusters.append([one, *(other for cluster in near for other in cluster)])
    own = next(at for at, cluster in enumerate(clusters) if given in cluster)
    return [len(cluster) for cluster in clusters], own


def _f1(one: Meaning, other: Meaning) -> float:
    """The overlap of two answers' words, as SQuAD measures it."""
    if not one.said or not other.said:
        return float(one.agrees(other))
    both = sum((Counter(one.said) & Counter(other.said)).values())
    return 2 * both / (len(one.said) + len(other.said))
