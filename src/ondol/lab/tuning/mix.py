"""What the owner asks of a model: how long prompts and answers are, as the ledger counted them.

Knows numbers of tokens, never words.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ondol.ledger.entries import Entry

FEWEST = 20
"""Of fewer answers a mean says little."""

MOST = 1000


@dataclass(frozen=True, slots=True)
class Mix:
    """The tokens of a request, on average over ``requests`` of them; the default where there were
    too few: a question about documents, and an answer of a few sentences."""

    prompt_tokens: int = 480
    answer_tokens: int = 64
    requests: int = 0

    def seconds(self, prefill: float, decode: float) -> float:
        """What such a request takes at so many tokens a second."""
        return self.prompt_tokens / prefill + self.answer_tokens / decode


def mix_of(entries: Iterable[Entry]) -> Mix:
    """The mix of the answers that were given here."""
    found: list[tuple[int, int]] = []
    for entry in entries:
        if entry.route == "home" or not entry.prompt_tokens or not entry.completion_tokens:
            continue
        found.append((entry.prompt_tokens, entry.completion_tokens))
        if len(found) >= MOST:
            break
    if len(found) < FEWEST:
        return Mix()
    prompts, answers = (sum(one) / len(found) for one in zip(*found, strict=True))
    return Mix(max(1, round(prompts)), max(1, round(answers)), len(found))
