"""What an adapter does to plain text: the loss of the drift probe's texts, token by token.

``drift`` asks for a few words of each text, which is enough to see a large change. An owner's
adapter is on in every chat, so here every second token counts, and intervals resample blocks of
neighbouring tokens (the block bootstrap: Künsch 1989), for these are not independent of each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from ondol.training.drift import Drift, Word
from ondol.training.held_out import Scorer

EVERY = 2
BLOCK = 8
"""Scored tokens that are neighbours: about a dozen words."""


def losses(
    scorer: Scorer, texts: Sequence[str], on_tick: Callable[[], None] = lambda: None
) -> list[list[float]]:
    """Minus the log-probability of each token scored, text by text. Raises what the engine
    raises."""
    found = []
    for text in texts:
        found.append([-logprob for logprob in scorer.score_text(text, EVERY)])
        on_tick()
    return found


def with_losses(
    drift: Drift, off: Sequence[Sequence[float]], on: Sequence[Sequence[float]]
) -> Drift:
    """``drift`` with these losses in the place of those of its words."""
    words, before, after = [], [], []
    blocks: dict[tuple[int, int], int] = {}
    for number, (first, second) in enumerate(zip(off, on, strict=True)):
        for place, pair in enumerate(zip(first, second, strict=True)):
            block = blocks.setdefault((number, place // BLOCK), len(blocks))
            words.append(Word(block, "", ""))
            before.append(pair[0])
            after.append(pair[1])
    return replace(drift, words=tuple(words), losses_off=tuple(before), losses_on=tuple(after))
