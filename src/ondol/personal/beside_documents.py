"""An owner's adapter beside the one that answers from documents: the scales at which neither costs
the other more than two points, searched on held-out data.

Style counts by how many held-out samples the model takes to more than alone, and how often what it
writes is closer to them; documents by right answers to questions that nothing was trained on.
Points are tried from the strongest down, and the first that holds is taken; where none does,
documents are asked as before.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from ondol.ask import Manner
from ondol.confidence import learning, measures
from ondol.confidence.calibration import Labelled
from ondol.confidence.judge import CalibratedJudge
from ondol.database import IN_MEMORY
from ondol.errors import CalibrationError
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.train import House
from ondol.training import grounding, held_out
from ondol.training.evaluation import Case, Outcome, cases_of, is_right
from ondol.training.held_out import HeldOut, Side
from ondol.training.personal_gate import MAX_POINTS, Grounded, grounded_rows
from ondol.trust import Trust
from ondol.types import GenerateOptions

CASES = 80
STYLE_SCALES, GROUNDING_SCALES = (1.0, 0.75, 0.5), (1.0, 0.75)

OnTick = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Point:
    """One choice of scales and what came of it: answers from documents, the share of held-out
    samples that it takes to, and that of the owner's adapter alone."""

    scales: Mapping[str, float]
    grounded: Grounded
    style: float
    style_alone: float
    labelled: tuple[Labelled, ...]

    @property
    def holds(self) -> bool:
        """Whether neither costs the other more than two points."""
        style_kept = self.style >= self.style_alone - MAX_POINTS - 1e-9
        return style_kept and all(row.is_ok for row in grounded_rows(self.grounded))


@dataclass(frozen=True, slots=True)
class _ScaledHouse(House):
    """Asks as if these adapters were the active ones; answers carry their signals."""

    judge: CalibratedJudge | None = None
    scales: Mapping[str, float] | None = None

    def manner(self, model: str | None = None) -> Manner:
        return self.parts.manner(self.model, self.scales or {})

    @property
    def trust(self) -> Trust:
        return Trust(judge=self.judge)


class Documents:
    """A library of our own documents that no training has seen, and questions about them. ``close``
    it."""

    def __init__(self, parts: Parts, model: str, on_tick: OnTick = lambda: None) -> None:
        self._parts, self._model, self._on_tick = parts, model, on_tick
        documents = grounding.split(grounding.own_documents()).test
        cases = cases_of(documents)
        self.cases: Sequence[Case] = random.Random(0).sample(cases, min(CASES, len(cases)))
        self._library = parts.open_library(IN_MEMORY)
        for document in documents:
            self._library.add_text(document.id, document.text)

    def close(self) -> None:
        self._library.close()

    @property
    def grounding(self) -> str:
        """The adapter that documents are asked with now, without any activation; "" for none."""
        return next(iter(self._parts.manner(self._model, {}).options.adapters), "")

    def ask(self, scales: Mapping[str, float] | None = None) -> list[Outcome]:
        """Every question, asked with adapters at these scales; without, as usual."""
        judge = self._parts.oversight.judge
        house = _ScaledHouse(self._parts, self._library, self._model, judge, scales)
        outcomes = []
        for case in self.cases:
            outcomes.append(Outcome(case, *house.ask(case.question)))
            self._on_tick()
        return outcomes


class Beside:
    """The search for ``candidate``; ``samples`` with what the model alone (``off``) and with the
    candidate (``on``) made of them."""

    def __init__(
        self,
        parts: Parts,
        documents: Documents,
        candidate: Adapter,
        samples: Sequence[HeldOut],
        off: Side,
        on: Side,
    ) -> None:
        self._engine = parts.engine(candidate.model)
        self._documents, self._candidate = documents, candidate
        self._samples, self._off, self._on = samples, off, on
        self._before = documents.ask()

    def search(self) -> tuple[Point | None, Point]:
        """The first point that holds, if any; and the first that was tried."""
        tried = []
        for scales in self.points():
            tried.append(self.point(scales))
            if tried[-1].holds:
                return tried[-1], tried[0]
        return None, tried[0]

    def points(self) -> list[dict[str, float]]:
        """The grid, the strongest first."""
        other, own = self._documents.grounding, self._candidate.name
        if not other:
            return [{own: scale} for scale in STYLE_SCALES]
        return [{other: g, own: s} for s, g in product(STYLE_SCALES, GROUNDING_SCALES)]

    def point(self, scales: Mapping[str, float]) -> Point:
        """What ``scales`` make of documents and of the held-out samples."""
        options = GenerateOptions(adapters=dict(scales))
        both = held_out.measure(self._engine, self._samples, options=options)
        written = held_out.write(
            self._engine, self._samples, list(self._on.written), adapters=scales
        )
        both = replace(both, written=written)
        after = self._documents.ask(scales)
        labelled = labelled_of(after)
        found = Grounded(self._before, after, brier(self._before), learned_brier(labelled))
        style, alone = (
            min(
                _share(held_out.in_favour(self._samples, self._off, side)),
                _share(held_out.closer(self._samples, self._off, side), none=1.0),
            )
            for side in (both, self._on)
        )
        return Point(dict(scales), found, style, alone, labelled)


def labelled_of(outcomes: Sequence[Outcome]) -> tuple[Labelled, ...]:
    """What a calibrator learns from answers of a model: their signals, and whether they are
    right."""
    return tuple(
        Labelled(outcome.answer.confidence.signals, _right(outcome), outcome.case.group)
        for outcome in outcomes
        if outcome.answer.model and outcome.answer.confidence is not None
    )


def brier(outcomes: Sequence[Outcome]) -> float | None:
    """How far the probabilities of models' answers are from the truth; None where it has none."""
    known = [
        (outcome.answer.confidence.probability, _right(outcome))
        for outcome in outcomes
        if outcome.answer.model
        and outcome.answer.confidence is not None
        and outcome.answer.confidence.probability is not None
    ]
    return measures.brier(*zip(*known, strict=True)) if known else None


def learned_brier(labelled: Sequence[Labelled]) -> float | None:
    """The same of a calibrator learned from these answers, cross-validated; None for too few."""
    try:
        learned = learning.learn(
            labelled, None, model="candidate", digest="", task="grounded", source=""
        )
    except CalibrationError:
        return None
    return learned.after.brier


def _right(outcome: Outcome) -> bool:
    return is_right(outcome) if outcome.case.answerable else outcome.abstained


def _share(values: Sequence[float | None], none: float = 0.0) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else none
