"""What another format costs: perplexity, and right answers from documents.

The same windows of a text and the same questions before and after, so that differences are paired.
Raises what the engine and retrieval raise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondol.errors import ModelError
from ondol.training.bootstrap import Estimate, difference, mean

if TYPE_CHECKING:
    from ondol.lab.measuring.perplexity import Perplexity
    from ondol.lab.tuning.trial import TrialHouse

WINDOWS, BRIEF_WINDOWS = 8, 4
SUITES = ("grounded-en", "grounded-ko")


@dataclass(frozen=True, slots=True)
class Answers:
    """Which of the questions were answered rightly, and the group of each."""

    groups: tuple[str, ...]
    right: tuple[float, ...]

    @property
    def share(self) -> float:
        return mean(self.groups, self.right).value

    def change(self, after: Answers) -> Estimate:
        """Of the share, paired."""
        return difference(self.groups, self.right, after.right)


def foreseen(house: TrialHouse, *, is_brief: bool) -> Perplexity:
    """How well the model in ``house`` foresees a plain text."""
    from ondol.engine.settings import EngineSettings
    from ondol.lab.measuring.perplexity import perplexity

    settings = EngineSettings.from_config(house.config)
    windows = BRIEF_WINDOWS if is_brief else WINDOWS
    return perplexity(house.spec(), settings, windows=windows)


def answers(house: TrialHouse, model: str) -> Answers | None:
    """What ``model`` answers about documents, as it serves, with the adapters it serves with; None
    where there is nothing to search with."""
    from ondol.lab.evaluating import suites
    from ondol.lab.evaluating.asking import Asker

    try:
        house.store.get(house.config["models.embedding"])
    except ModelError:
        return None
    items = [item for name in SUITES for item in suites.brief(suites.load(name))]
    with Asker(house, model) as asker:
        right = tuple(float(item.is_right(asker.ask(item))) for item in items)
    return Answers(tuple(item.group for item in items), right)
