"""How close one text is to another: chrF, the F-score of character n-grams (Popović 2015).

It needs no words, so that it says the same of Korean as of English, and it sees what style is made
of: sign-offs, names, endings, punctuation. White space does not count, as in the paper; recall
counts twice (chrF2), as in sacreBLEU.
"""

from __future__ import annotations

from collections import Counter

ORDER = 6
BETA = 2.0


def chrf(said: str, wanted: str) -> float:
    """From 0 to 1; 1 only where both are the same but for white space."""
    first, second = ("".join(text.split()) for text in (said, wanted))
    if not first or not second:
        return float(first == second)
    precisions, recalls = [], []
    for order in range(1, ORDER + 1):
        here, there = _ngrams(first, order), _ngrams(second, order)
        if not here or not there:
            # A text that is shorter than an n-gram says nothing about its length.
            continue
        same = sum((here & there).values())
        precisions.append(same / sum(here.values()))
        recalls.append(same / sum(there.values()))
    precision = sum(precisions) / len(precisions)
    recall = sum(recalls) / len(recalls)
    if not precision and not recall:
        return 0.0
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall)


def _ngrams(text: str, order: int) -> Counter[str]:
    return Counter(text[i : i + order] for i in range(len(text) - order + 1))
