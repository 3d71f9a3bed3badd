"""What a device learns with in a federation: its owner's consented examples, the base that lies
here, and a process of its own that trains (``federated.learning``).

What was forgotten since, or is no longer agreed to, is not in the next round, nor in one that is
trained for and not sent yet (``still_teach``). Raises what training and the parts raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import idle, trainable
from ondol.errors import MalformedMessageError, RoundRefusedError
from ondol.federated.plan import Plan
from ondol.household import adopting, consent, layouts, leaving
from ondol.household.federations import Federations
from ondol.i18n import t
from ondol.models.fingerprints import Fingerprint, base_of
from ondol.parts import Parts
from ondol.personal import training

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector
    from ondol.federated.learning.strategies import Learning, Update
    from ondol.models.store import Model


class Learner:
    """``coordinating.protocols.Learner`` for the federation ``id``. ``make`` gives what learns with
    a base's file, by default in a process of its own. ``taught`` is what was learned from last (ids
    of samples, folders). ``close`` it."""

    def __init__(
        self, parts: Parts, id: str, make: Callable[[Path], Learning] | None = None
    ) -> None:
        self._parts, self._id = parts, id
        self.taught: tuple[str, ...] = ()
        self._make = make or _in_child
        with Federations.open() as kept:
            self._plan: Plan = kept.get(id).plan

    @property
    def base_sha256(self) -> str:
        return self._fingerprint.base_sha256

    @property
    def template_sha256(self) -> str:
        return self._fingerprint.template_sha256

    @property
    def size(self) -> int:
        """How many numbers a shared vector has."""
        return layouts.layout_for(self._parts, self._plan).size

    def train(self, round: int, vector: Vector, folder: Path) -> Update:
        """Learn from what may teach now; which samples those are is written down first."""
        found = self._lesson()
        with Federations.open() as kept:
            one = kept.get(self._id)
            kept.note_learned(self._id, round, found.samples)
        self.taught = (*found.samples, *one.folders)
        # One training at a time: two would only take each other's cores.
        with trainable.alone(training.ALONE):
            return self._learning.train(self._plan, round, vector, found.learned, folder)

    def still_teach(self, taught: Iterable[str]) -> bool:
        """Whether all of ``taught`` (ids of samples, folders) may teach now."""
        with Federations.open() as kept:
            one = kept.get(self._id)
        return set(taught) <= {
            *one.folders,
            *(each.id for each in consent.samples(self._parts, one)),
        }

    def evaluate(self, vector: Vector) -> tuple[float, int]:
        """On what is held out now."""
        return self._learning.evaluate(self._plan, vector, self._lesson().held_out)

    def applied(self, vector: Vector, delta: Vector, round: int) -> Vector:
        """``vector`` with what was learned in ``round``."""
        return layouts.layout_for(self._parts, self._plan).applied(vector, delta, round)

    def adopt(self, vector: Vector, about: Mapping[str, Any]) -> None:
        """Put it where the gate finds it: judging takes minutes, and waits until nobody is
        answered."""
        if vector.size != self.size or type(about.get("rounds")) is not int:
            raise MalformedMessageError(t("federated_rounds.malformed", what="vector"))
        adopting.keep_for_later(leaving.folder(self._id), vector, about)

    def close(self) -> None:
        """End the process that learns; it is started again when it is needed."""
        made = self.__dict__.get("_learning")
        if made is not None and hasattr(made, "close"):
            made.close()

    def _lesson(self) -> consent.Lesson:
        with Federations.open() as kept:
            found = consent.lesson(self._parts, kept.get(self._id))
        if not (found.learned and found.held_out):
            raise RoundRefusedError(t("household.not_now"))
        return found

    @cached_property
    def _model(self) -> Model:
        return layouts.model_of(self._parts, self._plan)

    @cached_property
    def _fingerprint(self) -> Fingerprint:
        return base_of(self._parts.store, self._model)

    @cached_property
    def _learning(self) -> Learning:
        return self._make(self._parts.store.path(self._model))


def _in_child(base: Path) -> Learning:
    from ondol.federated.learning.in_child import ChildLearning

    return ChildLearning(base, is_busy=idle.is_answering)
