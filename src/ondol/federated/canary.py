"""What home measures a new shared vector on, having no data of its members: text that ships
with Ondol. A vector that makes the model forget its language is found by it, and taken back; one
that is subtly worse at the members' own task is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ondol.errors import TrainingError
from ondol.federated.plan import Plan

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Canary, Vector
    from ondol.training.dataset import Example

WORDS = 120
"""Of each text, of which the first third is given."""


@contextmanager
def of_text(plan: Plan, base: Path) -> Iterator[Canary | None]:
    """The loss of a vector, nats a token, in a process of its own that ends with the block. None
    where nothing is installed that could measure."""
    from ondol.federated.learning.in_child import ChildLearning
    from ondol.training import extra

    try:
        extra.require()
    except TrainingError:
        yield None
        return
    learning, measured = ChildLearning(base), examples()

    def loss(vector: Vector) -> float:
        total, tokens = learning.evaluate(plan, vector, measured)
        return total / max(1, tokens)

    try:
        yield loss
    finally:
        learning.close()


def examples() -> list[Example]:
    """The beginnings of the texts, with how they go on."""
    from ondol.training.dataset import Example
    from ondol.training.drift import load_probe
    from ondol.types import Message

    found = []
    for number, text in enumerate(load_probe().texts):
        words = text.split()[:WORDS]
        third = len(words) // 3
        begun, rest = " ".join(words[:third]), " ".join(words[third:])
        found.append(Example((Message("user", begun),), rest, False, "und", str(number)))
    return found
