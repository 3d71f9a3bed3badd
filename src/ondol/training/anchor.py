"""Ordinary text stays as likely as it was, while something else is learned: a few texts a step hold
the model where it is.

What is added to an objective is the mean squared change of a token's log-likelihood since the
start: knowledge is distilled from the model itself as it was (Li and Hoiem 2016, arXiv:1606.09282).
The texts are those written for Ondol that the grounding adapter learns from; the gate's probe has
others.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from ondol.training import grounding
from ondol.training.base import Base, Encoded
from ondol.training.objective import Losses, Objective, Share
from ondol.training.soundness import is_readable

TEXTS, TEXTS_A_STEP, TEXT_TOKENS = 64, 2, 64
LETTERS_A_TOKEN = 8


class Anchored:
    """``objective``, and ``weight`` times how far ``texts`` have moved. Which of them a batch has
    follows from the batch alone, so that an interrupted training goes on to the same end."""

    def __init__(self, objective: Objective, texts: Sequence[Encoded], weight: float) -> None:
        self.objective, self.texts, self.weight_of_texts = objective, list(texts), weight
        self.reads_reference = objective.reads_reference
        self._before: dict[Encoded, Any] = {}
        self._batch_weight = 0.0
        self._turn: list[Encoded] = []

    def about(self) -> dict[str, Any]:
        texts = [(*text.prompt, *text.reply) for text in self.texts]
        return self.objective.about() | {"anchor": self.weight_of_texts, "texts": repr(texts)}

    def sequences(self, items: Sequence[Any]) -> list[Encoded]:
        return [*self.objective.sequences(items), *self.texts]

    def refer(self, losses: Losses, items: Sequence[Any], part_tokens: int) -> None:
        self.objective.refer(losses, items, part_tokens)
        self._before = {text: losses([text]).detach() for text in self.texts}

    def parts(self, batch: Sequence[Any], part_tokens: int) -> list[list[Any]]:
        return self.objective.parts(batch, part_tokens)

    def begin(self, losses: Losses, batch: Sequence[Any], part_tokens: int) -> None:
        self.objective.begin(losses, batch, part_tokens)
        self._batch_weight = self.objective.weight(batch)
        rng = random.Random(repr(batch))
        self._turn = rng.sample(self.texts, min(TEXTS_A_STEP, len(self.texts)))

    def weight(self, batch: Sequence[Any]) -> float:
        return self.objective.weight(batch)

    def share(self, losses: Losses, part: Sequence[Any]) -> Share:
        import torch

        found = self.objective.share(losses, part)
        if not self._turn or not torch.is_grad_enabled():  # where it is only measured
            return found
        turn, self._turn = self._turn, []  # once a step
        moved = losses(turn) - torch.cat([self._before[text] for text in turn])
        held = self.weight_of_texts * self._batch_weight * moved.square().mean()
        return Share(found.loss + held, found.right)


def texts(base: Base, count: int = TEXTS, seed: int = 0) -> list[Encoded]:
    """The beginnings of ``count`` of our own documents, in the languages that ``base`` can read:
    held at what it cannot say, it could not learn to say it either."""
    documents = grounding.own_documents()
    random.Random(seed).shuffle(documents)
    found: list[Encoded] = []
    for document in documents:
        beginning = document.text[: TEXT_TOKENS * LETTERS_A_TOKEN]
        ids = base.encode_text(beginning)[:TEXT_TOKENS]
        if len(ids) > 1 and is_readable(beginning, base.num_tokens):
            found.append(Encoded(ids[:1], ids[1:]))
        if len(found) == count:
            break
    return found
