"""Signals to a probability: logistic regression, then a scaling, learned from answers known to be
right or wrong. One calibrator for one model, as it is quantised and adapted, and one task.

What a calibrator says of itself (``ece``, ``auroc``, ``held_out``) is measured on answers that it
was not fitted on: groups (articles, conversations) never cross a fold. Prediction needs no library.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from ondol.confidence import measures, regression, scaling
from ondol.confidence.scaling import Scaling
from ondol.errors import CalibrationError
from ondol.i18n import t

FORMAT = 1
FOLDS = 10
INNER_FOLDS = 5
PENALTY = 30.0
FEWEST = 60
FEWEST_OF_EACH = 15
FARTHEST = 4.0


class Labelled(NamedTuple):
    """An answer whose rightness is known; those of one ``group`` stay together."""

    signals: Mapping[str, float]
    right: bool
    group: str = ""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A signal's place in the sum: (value − mean) / scale · weight. One that is missing, or far
    from everything seen, counts as the mean, or as ``FARTHEST`` scales away from it."""

    name: str
    mean: float
    scale: float
    weight: float

    def __call__(self, signals: Mapping[str, float]) -> float:
        away = (signals.get(self.name, self.mean) - self.mean) / self.scale
        return self.weight * min(max(away, -FARTHEST), FARTHEST)


@dataclass(frozen=True, slots=True)
class Calibrator:
    """What turns the signals of one model at one task into the probability of being right.

    ``model`` names what was measured for people, ``digest`` for us. ``held_out`` are probabilities
    with what came true, cross-validated: thresholds are chosen on them.
    """

    model: str
    digest: str
    task: str
    signals: tuple[Weighted, ...]
    intercept: float
    scaling: Scaling
    n: int
    ece: float
    auroc: float | None
    brier: float
    date: date
    held_out: tuple[tuple[float, bool], ...] = ()
    source: str = ""

    @property
    def name(self) -> str:
        """As an answer names it: "name@version"."""
        name = f"{self.model}/{self.task}"
        return f"{name}@{self.date.isoformat()}.{self.n}"

    def score(self, signals: Mapping[str, float]) -> float:
        return self.intercept + sum(one(signals) for one in self.signals)

    def probability(self, signals: Mapping[str, float]) -> float:
        """That the answer with these signals is right; never quite 0 or 1."""
        return min(max(self.scaling(self.score(signals)), 0.001), 0.999)

    def to_json(self) -> str:
        fields: dict[str, Any] = {
            "format": FORMAT,
            "model": self.model,
            "digest": self.digest,
            "task": self.task,
            "date": self.date.isoformat(),
            "source": self.source,
            "n": self.n,
            "ece": round(self.ece, 4),
            "auroc": None if self.auroc is None else round(self.auroc, 4),
            "brier": round(self.brier, 4),
            "intercept": self.intercept,
            "signals": [
                {"name": s.name, "mean": s.mean, "scale": s.scale, "weight": s.weight}
                for s in self.signals
            ],
            "scaling": self.scaling.as_dict(),
        }
        text = json.dumps(fields, indent=1, ensure_ascii=False)
        pairs = json.dumps([[round(p, 4), int(r)] for p, r in self.held_out])
        return f'{text[:-2]},\n "held_out": {pairs}\n}}\n'


def read(text: str, file: object = "") -> Calibrator:
    """The calibrator that ``to_json`` wrote. Raises ``CalibrationError``."""
    try:
        fields = json.loads(text)
        if fields["format"] != FORMAT:
            raise ValueError(f"format {fields['format']}")
        return Calibrator(
            model=str(fields["model"]),
            digest=str(fields["digest"]),
            task=str(fields["task"]),
            signals=tuple(_weighted_signal(one) for one in fields["signals"]),
            intercept=float(fields["intercept"]),
            scaling=scaling.read(fields["scaling"]),
            n=int(fields["n"]),
            ece=float(fields["ece"]),
            auroc=None if fields["auroc"] is None else float(fields["auroc"]),
            brier=float(fields["brier"]),
            date=date.fromisoformat(fields["date"]),
            held_out=tuple((float(p), bool(r)) for p, r in fields["held_out"]),
            source=str(fields.get("source", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CalibrationError(
            t("confidence.unreadable", file=file, reason=error), t("confidence.unreadable_hint")
        ) from error


def fit(
    labelled: Sequence[Labelled], *, model: str, digest: str, task: str, source: str = ""
) -> Calibrator:
    """A calibrator from answers of one model at one task, and its cross-validated figures.

    Raises ``CalibrationError`` where there are fewer than ``FEWEST`` labels, fewer than
    ``FEWEST_OF_EACH`` right or wrong ones, or fewer groups than two.
    """
    right = sum(one.right for one in labelled)
    fewest = min(right, len(labelled) - right)
    if len(labelled) < FEWEST or fewest < FEWEST_OF_EACH:
        raise CalibrationError(
            t(
                "confidence.too_few",
                count=len(labelled),
                right=right,
                wrong=len(labelled) - right,
                needed=FEWEST,
                of_each=FEWEST_OF_EACH,
            ),
            t("confidence.too_few_hint"),
        )
    held_out = cross_validated(labelled)
    truths = [one.right for one in labelled]
    signals, intercept, scaled = _fitted(labelled, scaling.for_labels(len(labelled)))
    return Calibrator(
        model=model,
        digest=digest,
        task=task,
        signals=signals,
        intercept=intercept,
        scaling=scaled,
        n=len(labelled),
        ece=measures.ece(held_out, truths),
        auroc=measures.auroc(held_out, truths),
        brier=measures.brier(held_out, truths),
        date=datetime.now(UTC).date(),
        held_out=tuple(zip(held_out, truths, strict=True)),
        source=source,
    )


def cross_validated(labelled: Sequence[Labelled], folds: int = FOLDS) -> list[float]:
    """For every answer the probability from a calibrator that saw nothing of its group."""
    found = [0.5] * len(labelled)
    fit_scaling = scaling.for_labels(len(labelled))
    for rest, fold in splits(labelled, folds):
        signals, intercept, scaled = _fitted([labelled[i] for i in rest], fit_scaling)
        for i in fold:
            score = intercept + sum(one(labelled[i].signals) for one in signals)
            found[i] = min(max(scaled(score), 0.001), 0.999)
    return found


def _fitted(
    labelled: Sequence[Labelled], fit_scaling: scaling.Fit
) -> tuple[tuple[Weighted, ...], float, Scaling]:
    """The weights from all, the scaling from scores that were not fitted to their own labels."""
    scores = [0.0] * len(labelled)
    for rest, fold in splits(labelled, INNER_FOLDS):
        signals, intercept = _weighted([labelled[i] for i in rest])
        for i in fold:
            scores[i] = intercept + sum(one(labelled[i].signals) for one in signals)
    return *_weighted(labelled), fit_scaling(scores, [one.right for one in labelled])


def _weighted(labelled: Sequence[Labelled]) -> tuple[tuple[Weighted, ...], float]:
    names = sorted({name for one in labelled for name in one.signals})
    plain = []
    for name in names:
        values = [one.signals[name] for one in labelled if name in one.signals]
        mean = sum(values) / len(values)
        spread = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        if spread > 1e-9:  # what is always the same says nothing
            plain.append(Weighted(name, mean, spread, 1.0))
    rows = [[one(answer.signals) for one in plain] for answer in labelled]
    weights, intercept = regression.fit(rows, [float(a.right) for a in labelled], PENALTY)
    signals = (
        Weighted(one.name, one.mean, one.scale, weight)
        for one, weight in zip(plain, weights, strict=True)
    )
    return tuple(signals), intercept


def splits(labelled: Sequence[Labelled], folds: int) -> list[tuple[list[int], list[int]]]:
    """(rest, fold) as indices: groups whole, folds of about the same size, always the same."""
    members: dict[str, list[int]] = {}
    for i, one in enumerate(labelled):
        # Without a group each answer is on its own.
        members.setdefault(one.group or f"\0{i}", []).append(i)
    groups = list(members.values())
    random.Random(0).shuffle(groups)
    groups.sort(key=len, reverse=True)
    parts: list[list[int]] = [[] for _ in range(min(folds, len(groups)))]
    for group in groups:
        min(parts, key=len).extend(group)
    every = range(len(labelled))
    return [([i for i in every if i not in held], sorted(held)) for held in map(set, parts)]


def _weighted_signal(fields: dict[str, Any]) -> Weighted:
    mean, scale, weight = (float(fields[key]) for key in ("mean", "scale", "weight"))
    if not (scale > 0 and all(map(math.isfinite, (mean, scale, weight)))):
        raise ValueError(f"not a weighted signal: {fields}")
    return Weighted(str(fields["name"]), mean, scale, weight)
