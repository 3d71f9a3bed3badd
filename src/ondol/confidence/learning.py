"""Learning from judged answers: what a calibrator promised before, what it would promise after.

With few labels the weights of the calibrator that is here are kept, and only their scaling is
learned (two numbers); with more, everything anew. Which one, and whether either is better than what
was here, is decided by the cross-validated Brier score: nothing gets worse by being told more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ondol.confidence import calibration, measures, scaling
from ondol.confidence.calibration import Calibrator, Labelled
from ondol.errors import CalibrationError
from ondol.i18n import t

FEWEST = 20
FEWEST_OF_EACH = 5
"""For a scaling alone; ``calibration`` says what everything anew needs."""


@dataclass(frozen=True, slots=True)
class Figures:
    """How good probabilities were on labelled answers."""

    n: int
    ece: float
    auroc: float | None
    brier: float


@dataclass(frozen=True, slots=True)
class Change:
    """What came of the labels. ``before`` is None when the model was uncalibrated; ``after`` is
    cross-validated. ``adopted`` says whether ``calibrator`` is new; it is the old one if not."""

    before: Figures | None
    after: Figures
    adopted: bool
    calibrator: Calibrator

    def json(self) -> dict[str, Any]:
        """For the CLI and the API."""
        return {
            "model": self.calibrator.model,
            "task": self.calibrator.task,
            "before": asdict(self.before) if self.before else None,
            "after": asdict(self.after),
            "adopted": self.adopted,
            "calibrator": self.calibrator.name,
        }


def learn(
    labelled: Sequence[Labelled],
    current: Calibrator | None,
    *,
    model: str,
    digest: str,
    task: str,
    source: str,
) -> Change:
    """A better calibrator from ``labelled``, or the ``current`` one where none is better (it must
    not have been fitted on these labels itself). Raises ``CalibrationError`` for too few labels."""
    truths = [one.right for one in labelled]
    candidates = []
    if _enough(truths, calibration.FEWEST, calibration.FEWEST_OF_EACH):
        candidates.append(
            calibration.fit(labelled, model=model, digest=digest, task=task, source=source)
        )
    if current is not None and _enough(truths, FEWEST, FEWEST_OF_EACH):
        candidates.append(_rescaled(current, labelled, source))
    if not candidates:
        few = current is not None
        right = sum(truths)
        raise CalibrationError(
            t(
                "confidence.too_few",
                count=len(truths),
                right=right,
                wrong=len(truths) - right,
                needed=FEWEST if few else calibration.FEWEST,
                of_each=FEWEST_OF_EACH if few else calibration.FEWEST_OF_EACH,
            ),
            t("confidence.too_few_hint"),
        )
    best = min(candidates, key=lambda one: one.brier)
    after = Figures(best.n, best.ece, best.auroc, best.brier)
    if current is None:
        return Change(None, after, True, best)
    before = figures([current.probability(one.signals) for one in labelled], truths)
    adopted = best.brier < before.brier
    return Change(before, after, adopted, best if adopted else current)


def figures(probabilities: Sequence[float], right: Sequence[bool]) -> Figures:
    """All figures of probabilities that were not fitted on these labels."""
    return Figures(
        len(right),
        measures.ece(probabilities, right),
        measures.auroc(probabilities, right),
        measures.brier(probabilities, right),
    )


def _rescaled(current: Calibrator, labelled: Sequence[Labelled], source: str) -> Calibrator:
    """``current`` with a new scaling of the same score."""
    scores = [current.score(one.signals) for one in labelled]
    truths = [one.right for one in labelled]
    held_out = [0.5] * len(labelled)
    for rest, fold in calibration.splits(labelled, calibration.FOLDS):
        scaled = scaling.fit_platt([scores[i] for i in rest], [truths[i] for i in rest])
        for i in fold:
            held_out[i] = min(max(scaled(scores[i]), 0.001), 0.999)
    found = figures(held_out, truths)
    return replace(
        current,
        scaling=scaling.fit_platt(scores, truths),
        n=found.n,
        ece=found.ece,
        auroc=found.auroc,
        brier=found.brier,
        date=datetime.now(UTC).date(),
        held_out=tuple(zip(held_out, truths, strict=True)),
        source=source,
    )


def _enough(truths: Sequence[bool], fewest: int, of_each: int) -> bool:
    right = sum(truths)
    return len(truths) >= fewest and min(right, len(truths) - right) >= of_each
