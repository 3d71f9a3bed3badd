"""How much several texts for one prompt differ, and on what they agree.

distinct-n: Li et al. 2016 (arXiv 1510.03055). Self-BLEU: Zhu et al. 2018 (arXiv 1802.01886), here
of up to four words, smoothed by a tenth of a match. Semantic entropy over clusters: Kuhn et al.
2023 (arXiv 2302.09664); same meaning is here what the words show, no model is asked.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ondol.training.evaluation import exact_match, f1, fold

# Two texts say the same from this overlap of words on: "It is Paris." and "Paris it is."
SAME = 0.8
LONGEST = 4
_WORD = re.compile(r"\w+")
_HANGUL = re.compile(r"[가-힣]")


@dataclass(frozen=True, slots=True)
class Diversity:
    """Of ``texts`` texts. ``distinct`` is the share of different words, and of pairs of words;
    ``self_bleu`` how much each is made of the others' words (1: all the same); ``clusters`` the
    places of those that say the same, largest first."""

    texts: int
    distinct: tuple[float, float]
    self_bleu: float
    clusters: tuple[tuple[int, ...], ...]

    @property
    def agreement(self) -> float:
        """The share of the texts that say what most of them say."""
        return len(self.clusters[0]) / self.texts if self.clusters else 0.0

    @property
    def entropy_bits(self) -> float:
        """How open it is what is said: 0 where all say the same."""
        shares = [len(cluster) / self.texts for cluster in self.clusters]
        return -sum(share * math.log2(share) for share in shares) + 0.0

    def json(self) -> dict[str, Any]:
        """As the API and ``--json`` show it."""
        return {
            "texts": self.texts,
            "distinct_1": round(self.distinct[0], 4),
            "distinct_2": round(self.distinct[1], 4),
            "self_bleu": round(self.self_bleu, 4),
            "agreement": round(self.agreement, 4),
            "entropy_bits": round(self.entropy_bits, 4),
            "clusters": [list(cluster) for cluster in self.clusters],
        }


def diversity(texts: Sequence[str]) -> Diversity:
    """How ``texts`` differ and agree."""
    words = [_WORD.findall(fold(text)) for text in texts]
    return Diversity(
        len(texts),
        (_distinct(words, 1), _distinct(words, 2)),
        _self_bleu(words),
        _clusters(texts),
    )


def same(one: str, other: str) -> bool:
    """Whether two texts say the same, as far as their words show it."""
    language = "ko" if _HANGUL.search(one + other) else "en"
    if exact_match(one, [other], language):
        return True
    # Numbers decide: "in 1913" and "in 1931" share all other words.
    if sorted(re.findall(r"\d+", one)) != sorted(re.findall(r"\d+", other)):
        return False
    return f1(one, [other], language) >= SAME


def _clusters(texts: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Each text joins the first cluster whose first text says the same."""
    clusters: list[list[int]] = []
    for place, text in enumerate(texts):
        home = next((one for one in clusters if same(texts[one[0]], text)), None)
        if home is None:
            clusters.append([place])
        else:
            home.append(place)
    return tuple(tuple(one) for one in sorted(clusters, key=lambda one: -len(one)))


def _distinct(words: Sequence[Sequence[str]], size: int) -> float:
    grams = [gram for text in words for gram in _grams(text, size)]
    return len(set(grams)) / len(grams) if grams else 0.0


def _self_bleu(words: Sequence[Sequence[str]]) -> float:
    if len(words) < 2:
        return 1.0
    scores = (
        _bleu(text, [*words[:place], *words[place + 1 :]]) for place, text in enumerate(words)
    )
    return sum(scores) / len(words)


def _bleu(text: Sequence[str], others: Sequence[Sequence[str]]) -> float:
    if not text:
        return float(any(not other for other in others))
    orders = range(1, min(LONGEST, len(text)) + 1)
    logs = [math.log(_precision(text, others, order)) for order in orders]
    nearest = min((abs(len(other) - len(text)), len(other)) for other in others)[1]
    brevity = min(0.0, 1 - nearest / len(text))
    return math.exp(brevity + sum(logs) / len(logs))


def _precision(text: Sequence[str], others: Sequence[Sequence[str]], size: int) -> float:
    said = Counter(_grams(text, size))
    most: Counter[tuple[str, ...]] = Counter()
    for other in others:
        most |= Counter(_grams(other, size))
    matched = sum((said & most).values())
    return (matched or 0.1) / sum(said.values())


def _grams(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
