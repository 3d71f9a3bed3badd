"""Signals to probabilities: the fit, the scaling, what a calibrator promises, and its file."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from ondol.confidence import calibration, measures, regression, scaling
from ondol.confidence.calibration import Labelled
from ondol.errors import CalibrationError

numbers = st.floats(-5, 5, allow_nan=False)


def labelled(count: int = 300, seed: int = 0, groups: int = 30) -> list[Labelled]:
    """Answers whose chance of being right is known: sigmoid(2 · sure)."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        sure = rng.gauss(0, 1)
        right = rng.random() < regression.sigmoid(2 * sure)
        signals = {"sure": sure, "noise": rng.gauss(0, 1), "constant": 1.0}
        found.append(Labelled(signals, right, f"article {i % groups}"))
    return found


def fit(some: Sequence[Labelled]) -> calibration.Calibrator:
    return calibration.fit(some, model="tiny", digest="sha256:1", task="grounded", source="test")


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.1, 1.0, 10.0]))
def test_weights_are_those_of_scikit_learn(seed: int, penalty: float) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(80, 4)) * [1, 3, 0.1, 10]
    targets = rng.random(80) < 0.4
    targets[:2] = [True, False]
    weights, intercept = regression.fit(rows.tolist(), targets.tolist(), penalty)
    oracle = LogisticRegression(C=1 / penalty, tol=1e-10, max_iter=10_000).fit(rows, targets)
    assert weights == pytest.approx(oracle.coef_[0].tolist(), abs=1e-4)
    assert intercept == pytest.approx(float(oracle.intercept_[0]), abs=1e-3)


def test_labels_that_can_be_told_apart_still_have_an_answer() -> None:
    weights, intercept = regression.fit([[-100.0], [100.0]] * 20, [0, 1] * 20, 1e-6)
    assert weights[0] > 0 and all(map(math.isfinite, [*weights, intercept]))


@given(st.lists(st.tuples(numbers, st.booleans()), min_size=2, max_size=60))
def test_platt_scaling_never_falls(pairs: list[tuple[float, bool]]) -> None:
    scores, right = map(list, zip(*pairs, strict=True))
    scaled = scaling.fit_platt(scores, right)
    values = [scaled(score) for score in sorted(scores)]
    assert values == sorted(values) and all(0 <= value <= 1 for value in values)


def test_platt_scaling_is_that_of_scikit_learn() -> None:
    some = labelled(200)
    scores, right = [a.signals["sure"] for a in some], [a.right for a in some]
    scaled = scaling.for_labels(200)(scores, right)
    oracle = _SigmoidCalibration().fit(np.array(scores), np.array(right))
    assert list(map(scaled, scores)) == pytest.approx(oracle.predict(scores).tolist(), abs=1e-3)


@example([(0.0, False), (1.2251831514917654e-26, True), (-1.0, False)])
@given(st.lists(st.tuples(numbers, st.booleans()), min_size=1, max_size=80))
def test_isotonic_scaling_never_falls(pairs: list[tuple[float, bool]]) -> None:
    scores, right = map(list, zip(*pairs, strict=True))
    scaled = scaling.fit_isotonic(scores, right)
    values = [scaled(x / 4) for x in range(-24, 25)]
    assert values == sorted(values) and all(0 <= value <= 1 for value in values)
    assert scaling.read(json.loads(json.dumps(scaled.as_dict()))) == scaled


def test_isotonic_scaling_follows_scikit_learns_on_many_labels() -> None:
    some = labelled(3000)
    scores, right = [a.signals["sure"] for a in some], [a.right for a in some]
    scaled = scaling.for_labels(3000)(scores, right)
    assert isinstance(scaled, scaling.Isotonic)
    oracle = IsotonicRegression(out_of_bounds="clip").fit(scores, right)
    grid = [x / 10 for x in range(-15, 16)]
    # Ours goes straight from the middle of a step to the next one's.
    away = [abs(scaled(x) - y) for x, y in zip(grid, oracle.predict(grid), strict=True)]
    assert sum(away) / len(away) < 0.03


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=100))
def test_measures_are_scikit_learns(pairs: list[tuple[float, bool]]) -> None:
    scores, right = map(list, zip(*pairs, strict=True))
    auroc = measures.auroc(scores, right)
    if len(set(right)) == 2:
        assert auroc == pytest.approx(roc_auc_score(right, scores))
    else:
        assert auroc is None
    assert measures.brier(scores, right) == pytest.approx(
        brier_score_loss(right, scores, pos_label=True)
    )
    assert 0 <= measures.ece(scores, right) <= 1


def test_ece_is_what_is_promised_too_much() -> None:
    right = [i % 10 < 6 for i in range(1000)]
    assert measures.ece([0.9] * 1000, right) == pytest.approx(0.3)
    assert measures.ece([0.6] * 1000, right) == pytest.approx(0.0)


def test_risk_and_coverage_count_what_each_threshold_keeps() -> None:
    points = measures.risk_coverage([0.9, 0.8, 0.8, 0.1], [True, True, False, False])
    assert [(p.threshold, p.kept, p.wrong) for p in points] == [
        (0.9, 1, 0),
        (0.8, 3, 1),
        (0.1, 4, 2),
    ]
    assert points[-1].coverage == 1 and points[-1].error == 0.5
    kept = measures.at_threshold([0.9, 0.8, 0.8, 0.1], [True, True, False, False], 0.8)
    assert kept == points[1]._replace(threshold=0.8)


def test_a_calibrator_promises_what_comes_true() -> None:
    made = fit(labelled(800))
    fresh = labelled(2000, seed=1)
    found = [made.probability(one.signals) for one in fresh]
    right = [one.right for one in fresh]
    assert measures.ece(found, right) < 0.06
    assert (measures.auroc(found, right) or 0) > 0.8
    assert made.n == 800 and abs(measures.ece(found, right) - made.ece) < 0.05


def test_what_is_said_of_a_calibrator_was_measured_on_groups_it_had_not_seen() -> None:
    # A signal that only names the group would be a perfect one if groups crossed folds.
    rng = random.Random(3)
    rights = {group: rng.random() < 0.5 for group in range(40)}
    some = [
        Labelled({f"is {group}": 1.0, "noise": rng.random()}, right, str(group))
        for group, right in rights.items()
        for _ in range(5)
    ]
    some = [
        Labelled({**{f"is {g}": 0.0 for g in rights}, **one.signals}, one.right, one.group)
        for one in some
    ]
    assert (fit(some).auroc or 0) < 0.65


def test_a_signal_that_is_missing_counts_as_average_and_a_far_one_only_so_far() -> None:
    made = fit(labelled())
    weighted = next(one for one in made.signals if one.name == "sure")
    without = made.score({"noise": 0.0})
    assert without == pytest.approx(made.score({"noise": 0.0, "sure": weighted.mean}))
    assert made.score({"sure": 1e9}) == made.score({"sure": weighted.mean + 4 * weighted.scale})


def test_what_is_always_the_same_is_no_signal() -> None:
    assert {one.name for one in fit(labelled()).signals} == {"sure", "noise"}


def test_a_calibrator_survives_its_file() -> None:
    made = fit(labelled())
    back = calibration.read(made.to_json())
    for one in labelled(50, seed=2):
        assert back.probability(one.signals) == pytest.approx(made.probability(one.signals))
    assert (back.name, back.n, back.task, back.digest) == (made.name, 300, "grounded", "sha256:1")
    assert len(back.held_out) == 300


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 2}',
        fit(labelled()).to_json().replace('"scale": ', '"scale": -'),
        fit(labelled()).to_json().replace("platt", "guess"),
    ],
    ids=["empty", "a list", "nothing", "another format", "a negative scale", "another scaling"],
)
def test_a_file_that_is_no_calibrator_is_refused(text: str) -> None:
    with pytest.raises(CalibrationError) as caught:
        calibration.read(text, "calibrator.json")
    assert "calibrator.json" in caught.value.message and "calibrate" in caught.value.hint


@pytest.mark.parametrize("right", [0, 14, 300])
def test_too_few_labels_of_one_kind_are_refused(right: int) -> None:
    some = [Labelled({"sure": float(i)}, i < right) for i in range(300)]
    with pytest.raises(CalibrationError, match=f"{right} right"):
        fit(some)


def test_too_few_labels_are_refused() -> None:
    with pytest.raises(CalibrationError, match="40 judged answers"):
        fit(labelled(40))
