"""What does it cost to be right? Answers kept here or asked at home, by who decides. See README.md.

Reads what benchmarks/confidence/collect.py kept; no model is needed, and none answers as home: how
often home is right is a stated model of it. --write keeps results.json.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ondol import __version__
from ondol.confidence import calibration
from ondol.training.evaluation import holds

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "confidence"))
from collect import read_rows  # noqa: E402
from run import Judged, tasks  # noqa: E402

Vector = npt.NDArray[np.float64]

SEEDS = 200
RESAMPLES = 1000
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class HomeModel:
    """How often home is right: where the quotes it is given hold the answer, where they do not, and
    where there is none (it has to say so)."""

    with_proof: float = 0.90
    without_proof: float = 0.05
    unanswerable: float = 0.85

    def accuracy(self, one: Judged) -> float:
        case = one.row.case
        if not case.answerable:
            return self.unanswerable
        proven = any(holds(q.text, case.answers) for q in one.row.evidence.quotes)
        return self.with_proof if proven else self.without_proof


@dataclass(frozen=True)
class Curve:
    """The share of the possible gain (PGR) after each question that is asked at home, in the order
    that a router asks them; ``gains[0]`` is 0 and the last one 1."""

    gains: Vector

    @property
    def apgr(self) -> float:
        """The area under the curve: 0.5 is what asking at random gains (Ong et al. 2024)."""
        return float(np.trapezoid(self.gains, dx=1 / (len(self.gains) - 1)))

    def cpt(self, wanted: float) -> float:
        """The share of questions from which on at least ``wanted`` of the gain is had."""
        below = np.flatnonzero(self.gains < wanted)
        first = int(below[-1]) + 1 if len(below) else 0
        return min(first, len(self.gains) - 1) / (len(self.gains) - 1)

    def at(self, share: float) -> float:
        return float(self.gains[round(share * (len(self.gains) - 1))])


def curve(order: Sequence[int], here: Vector, home: Vector) -> Curve:
    """What asking the questions at home in ``order`` gains."""
    gained = np.concatenate([[0.0], np.cumsum((home - here)[list(order)])])
    return Curve(gained / gained[-1])


def orders(some: Sequence[Judged], here: Vector, home: Vector) -> dict[str, Vector]:
    """For every router a score: who has the lowest is asked at home first."""
    labelled = [one.labelled for one in some]
    alone = [
        one._replace(signals={k: v for k, v in one.signals.items() if k == "mean_logprob"})
        for one in labelled
    ]
    found = {
        "Ondol": np.array(calibration.cross_validated(labelled)),
        "mean logprob alone": np.array(calibration.cross_validated(alone)),
        "length of the question": -np.array([len(one.row.case.question) for one in some], float),
        "question only (TF-IDF + LR)": by_question(some),
        "oracle": here - home,
    }
    # Equal scores in no order of their own.
    ties = np.random.default_rng(0).random(len(some)) * 1e-9
    return {name: scores + ties for name, scores in found.items()}


def by_question(some: Sequence[Judged]) -> Vector:
    """What a classifier that sees only the question expects, cross-validated by article."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline

    texts = np.array([one.row.case.question for one in some], dtype=object)
    right = np.array([one.right for one in some])
    groups = np.array([one.labelled.group for one in some])
    scores = np.zeros(len(some))
    for rest, fold in GroupKFold(calibration.FOLDS).split(texts, right, groups):
        model = make_pipeline(
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
            LogisticRegression(C=1.0, max_iter=1000),
        )
        scores[fold] = model.fit(texts[rest], right[rest]).predict_proba(texts[fold])[:, 1]
    return scores


def random_order(here: Vector, home: Vector) -> dict[str, float]:
    """What asking at random gains, the mean of many draws."""
    rng = np.random.default_rng(0)
    curves = [curve(rng.permutation(len(here)).tolist(), here, home) for _ in range(SEEDS)]
    return {
        "apgr": float(np.mean([one.apgr for one in curves])),
        "cpt50": float(np.mean([one.cpt(0.5) for one in curves])),
        "cpt80": float(np.mean([one.cpt(0.8) for one in curves])),
    }


def resampled(groups: Sequence[str]) -> list[list[int]]:
    """Whole articles drawn again and again."""
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    rng, names = random.Random(0), list(members)
    return [
        [i for name in rng.choices(names, k=len(names)) for i in members[name]]
        for _ in range(RESAMPLES)
    ]


def interval(values: Sequence[float]) -> list[float]:
    return [round(float(x), 4) for x in np.quantile(values, [0.025, 0.975])]


def measured(some: Sequence[Judged], model: HomeModel) -> dict[str, Any]:
    """Every router's figures, with intervals and the difference to Ondol's."""
    here = np.array([float(one.right) for one in some])
    home = np.array([model.accuracy(one) for one in some])
    scores = orders(some, here, home)
    samples = resampled([one.labelled.group for one in some])

    def curves(name: str) -> list[Curve]:
        values = scores[name]
        return [
            curve([s[i] for i in np.argsort(values[s], kind="stable")], here, home)
            for s in map(np.array, samples)
        ]

    again = {name: curves(name) for name in scores}
    routers: dict[str, Any] = {"random": random_order(here, home)}
    for name, values in scores.items():
        whole = curve(np.argsort(values, kind="stable").tolist(), here, home)
        apgrs = [one.apgr for one in again[name]]
        ahead = [a.apgr - b.apgr for a, b in zip(again["Ondol"], again[name], strict=True)]
        routers[name] = {
            "apgr": round(whole.apgr, 4),
            "apgr_interval": interval(apgrs),
            "cpt50": round(whole.cpt(0.5), 4),
            "cpt80": round(whole.cpt(0.8), 4),
            "pgr_at": {str(share): round(whole.at(share), 4) for share in SHARES},
            "ondol_ahead": round(float(np.mean(ahead)), 4),
            "ondol_ahead_interval": interval(ahead),
        }
    routers["random"]["ondol_ahead"] = routers["Ondol"]["apgr"] - routers["random"]["apgr"]
    routers["random"]["ondol_ahead_interval"] = [
        round(x - 0.5, 4) for x in routers["Ondol"]["apgr_interval"]
    ]
    return {
        "questions": len(some),
        "home": asdict(model),
        "right_here": float(here.mean()),
        "right_at_home": float(home.mean()),
        "right_with_oracle": float(np.maximum(here, home).mean()),
        "routers": routers,
    }


def shown(name: str, found: dict[str, Any]) -> None:
    print(
        f"\n{name}: {found['questions']} questions, right here {found['right_here']:.3f},"
        f" at home {found['right_at_home']:.3f} ({found['home']})"
    )
    print(f"  {'':30} APGR                   CPT(50)  CPT(80)  Ondol ahead by")
    for router, figures in found["routers"].items():
        low, high = figures.get("apgr_interval", (None, None))
        span = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
        ahead = figures["ondol_ahead_interval"]
        print(
            f"  {router:30} {figures['apgr']:.3f}{span:18}  {figures['cpt50']:6.1%}"
            f"  {figures['cpt80']:7.1%}  {figures['ondol_ahead']:+.3f}"
            f" [{ahead[0]:+.3f}, {ahead[1]:+.3f}]"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where collect.py kept it all")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    rows = [row for file in sorted(arguments.folder.glob("*.jsonl.gz")) for row in read_rows(file)]
    every = tasks(rows)["grounded"]
    sets = {
        "all": (every, HomeModel()),
        "answerable": ([one for one in every if one.row.case.answerable], HomeModel()),
        "all, a weaker home": (every, HomeModel(0.75, 0.05, 0.7)),
    }
    results: dict[str, Any] = {"date": date.today().isoformat(), "ondol": __version__, "sets": {}}
    for name, (some, model) in sets.items():
        results["sets"][name] = measured(some, model)
        shown(name, results["sets"][name])
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
