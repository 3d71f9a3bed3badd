"""Does Ondol know when it is right? Signals one by one and together, on questions unseen.

Reads what collect.py kept; no model is needed. See README.md; --write keeps results.json, --ship
the calibrators that come with Ondol.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from ondol import __version__, config
from ondol.confidence import calibration, measures, signals, threshold
from ondol.confidence.calibration import Labelled
from ondol.confidence.calibrators import QUOTED, SHIPPED, file_name
from ondol.parts import Parts
from ondol.prompt import MARKS, abstains
from ondol.training.bootstrap import mean
from ondol.training.evaluation import Case, holds
from ondol.trust import LOGPROBS
from ondol.types import Completion, Token, Usage

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from collect import CHAT, Row, read_rows  # noqa: E402

XQUAD = ("unseen articles", "passage missing", "article missing")
TARGETS = (0.15, 0.2, 0.25, 0.3)
SPLITS = 40
RESAMPLES = 1000


@dataclass(frozen=True)
class Judged:
    """A row with its signals and what came true. ``right``: the model's own words hold a gold
    answer, or it abstained where there is none; ``quoted``: the quotes hold one."""

    row: Row
    labelled: Labelled
    answered: bool
    quoted: bool

    @property
    def right(self) -> bool:
        return self.labelled.right


def judged(row: Row, task: str) -> Judged:
    said = as_served(row.completion)
    if task == "chat":
        found = signals.of_chat(row.case.question, said)
    else:
        found = signals.of_grounded(row.case.question, row.evidence, row.given, said)
    silent = abstains(said.text)
    if task == QUOTED:
        right, silent = holds(row.evidence.quotes[0].text, row.case.answers), False
    elif silent or not row.case.answers:
        right = silent and not row.case.answers
    else:
        right = says(said.text, row.case)
    quoted = any(holds(q.text, row.case.answers) for q in row.given)
    # A chat's questions have nothing in common that could be learned by heart.
    group = "" if task == CHAT else row.case.group
    return Judged(row, Labelled(found, right, group), not silent, quoted)


def says(text: str, case: Case) -> bool:
    """Whether the model's own words hold a gold answer; a yes or no comes first. A chat's answers
    are short: "4" must be a word, not a part of "14"."""
    from ondol.calibrate import holds_word

    said = MARKS.sub("", text).strip()
    if case.kind == "yes_no":
        first = said.lower().replace(",", " ").replace(".", " ").split()[:1]
        return first == [case.answers[0].lower()]
    return holds_word(said, case.answers) if case.kind == CHAT else holds(said, case.answers)


def as_served(completion: Completion | None) -> Completion:
    """With as many alternatives as the pipeline asks for; nothing said where no model was asked."""
    if completion is None:
        return Completion("", (), "stop", Usage())
    tokens = tuple(Token(t.text, t.logprob, t.top[:LOGPROBS]) for t in completion.tokens)
    return replace(completion, tokens=tokens)


def tasks(rows: Sequence[Row]) -> dict[str, list[Judged]]:
    """The rows by what would judge them. Where retrieval finds nothing, nobody answers."""
    found: dict[str, list[Judged]] = {"grounded": [], QUOTED: [], CHAT: []}
    for row in rows:
        if row.set == CHAT:
            task = CHAT
        elif not row.evidence.quotes:
            continue
        else:
            task = "grounded" if row.is_read else QUOTED
        found[task].append(judged(row, task))
    return {task: some for task, some in found.items() if some}


def auroc_interval(
    scores: Sequence[float], right: Sequence[bool], groups: Sequence[str]
) -> tuple[float | None, float | None, float | None]:
    """AUROC with its 95 % interval from a bootstrap that resamples whole groups."""
    value = measures.auroc(scores, right)
    members: dict[str, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group or str(i), []).append(i)
    rng, names, found = random.Random(0), list(members), []
    for _ in range(RESAMPLES):
        some = [i for name in rng.choices(names, k=len(names)) for i in members[name]]
        again = measures.auroc([scores[i] for i in some], [right[i] for i in some])
        if again is not None:
            found.append(again)
    found.sort()
    if value is None or not found:
        return value, None, None
    return value, found[int(0.025 * len(found))], found[int(0.975 * len(found)) - 1]


def figures(probabilities: Sequence[float], some: Sequence[Judged]) -> dict[str, Any]:
    """All figures of probabilities for ``some``."""
    right = [one.right for one in some]
    groups = [one.labelled.group for one in some]
    value, low, high = auroc_interval(probabilities, right, groups)
    kept = measures.at_threshold(probabilities, right, 0.85)
    return {
        "n": len(some),
        "right": mean(_own(groups), [float(r) for r in right]).as_dict(),
        "auroc": {"value": value, "low": low, "high": high},
        "ece": measures.ece(probabilities, right),
        "brier": measures.brier(probabilities, right),
        "aurc": measures.aurc(probabilities, right),
        "at_0.85": {"coverage": kept.coverage, "error": kept.error},
    }


def _own(groups: Sequence[str]) -> list[str]:
    """What has no group is one of its own."""
    return [group or str(i) for i, group in enumerate(groups)]


def parts_of(some: Sequence[Judged]) -> dict[str, Callable[[Judged], bool]]:
    """What is looked at by itself: the issue's number first."""
    sets = sorted({one.row.set for one in some})
    chosen: dict[str, Callable[[Judged], bool]] = {
        "answers given": lambda one: one.answered,
        "answers given to answerable questions": lambda one: (
            one.answered and one.row.case.answerable
        ),
        "all, abstentions too": lambda one: True,
        "abstentions": lambda one: not one.answered,
        "XQuAD, answers given": lambda one: one.answered and one.row.set in XQUAD,
        "XQuAD, unseen articles, answers given": lambda one: (
            one.answered and one.row.set == XQUAD[0]
        ),
    }
    for name in sets:
        chosen[f"set {name}"] = lambda one, name=name: one.row.set == name  # type: ignore[misc]
    return chosen


def single_signals(some: Sequence[Judged]) -> list[tuple[str, float, int]]:
    """(signal, AUROC as far from a half as it is, n), best first."""
    names = {name for one in some for name in one.labelled.signals}
    found = []
    for name in names:
        those = [one for one in some if name in one.labelled.signals]
        scores = [one.labelled.signals[name] for one in those]
        value = measures.auroc(scores, [one.right for one in those])
        if value is not None and len(set(scores)) > 1:
            found.append((name, value, len(those)))
    return sorted(found, key=lambda one: -abs(one[1] - 0.5))


def promise(some: Sequence[Judged]) -> list[dict[str, Any]]:
    """Whether thresholds hold: half of the articles calibrate and choose, the other half is kept or
    not; again and again. ``broken`` of all splits: so many were above the target by more than
    chance (a binomial test at 5 %), for the other half is a sample too."""
    rng = random.Random(0)
    groups = sorted({one.labelled.group for one in some})
    kept: dict[float, list[measures.Kept]] = {target: [] for target in TARGETS}
    for _ in range(SPLITS):
        rng.shuffle(groups)
        chosen = set(groups[: len(groups) // 2])
        half = [one for one in some if one.labelled.group in chosen]
        rest = [one for one in some if one.labelled.group not in chosen]
        made = calibration.fit([o.labelled for o in half], model="", digest="", task="")
        probabilities, right = zip(*made.held_out, strict=True)
        found = [made.probability(one.labelled.signals) for one in rest]
        for target in TARGETS:
            choice = threshold.choose(probabilities, right, target)
            if choice.threshold is not None:
                came = [one.right for one in rest]
                kept[target].append(measures.at_threshold(found, came, choice.threshold))
    return [
        {
            "target": target,
            "splits": SPLITS,
            "feasible": len(points),
            "mean_error": sum(p.error for p in points) / len(points) if points else None,
            "mean_coverage": sum(p.coverage for p in points) / len(points) if points else None,
            "above_target": sum(p.error > target for p in points),
            "broken": sum(
                1 - threshold.binomial_cdf(p.wrong - 1, p.kept, target) < 0.05 for p in points
            ),
        }
        for target, points in kept.items()
    ]


def at_targets(probabilities: Sequence[float], right: Sequence[bool]) -> list[dict[str, Any]]:
    """What every target would keep; where it is infeasible, what is possible."""
    found = []
    for target in TARGETS:
        choice = threshold.choose(probabilities, right, target)
        found.append(
            {
                "target": target,
                "threshold": choice.threshold,
                "coverage": choice.kept.coverage,
                "error": choice.kept.error,
                "bound": choice.bound,
                "abstains_at_least": choice.abstains_at_least,
            }
        )
    return found


def only(one: Labelled, signal: str) -> Labelled:
    return one._replace(signals={k: v for k, v in one.signals.items() if k == signal})


def report(task: str, some: Sequence[Judged]) -> dict[str, Any]:
    """Everything about one task, printed and as JSON."""
    labelled = [one.labelled for one in some]
    together = calibration.cross_validated(labelled)
    baseline = "mean_logprob" if task != QUOTED else "quote_score"
    alone = calibration.cross_validated([only(one, baseline) for one in labelled])
    entries: dict[str, Any] = {}
    for name, is_in in parts_of(some).items():
        chosen = [i for i, one in enumerate(some) if is_in(one)]
        if len(chosen) < 30:
            continue
        those = [some[i] for i in chosen]
        entries[name] = {
            "together": figures([together[i] for i in chosen], those),
            f"{baseline} alone": figures([alone[i] for i in chosen], those),
            "quotes hold one": mean(
                [o.labelled.group for o in those], [float(o.quoted) for o in those]
            ).as_dict(),
        }
        print_figures(task, name, entries[name])
    answers = [one for one in some if one.answered]
    singles = single_signals(answers)
    print(f"\n{task}: single signals on answers given (AUROC; below .5 it speaks against)")
    for name, value, count in singles:
        print(f"  {name:24} {value:.3f}  {count}")
    probabilities, right = together, [one.right for one in some]
    points = threshold.curve(probabilities, right, [0.85])
    print(f"\n{task}: risk and coverage\n  from   kept   wrong")
    for point in points:
        print(f"  {point.threshold:.2f}  {point.coverage:5.1%}  {point.error:5.1%}  {point.kept}")
    entries["single signals"] = {name: round(value, 4) for name, value, _ in singles}
    entries["curve"] = [[p.threshold, round(p.coverage, 4), round(p.error, 4)] for p in points]
    entries["targets"] = at_targets(probabilities, right)
    for one in entries["targets"]:
        print(f"  {one}")
    if task == "grounded":
        entries["promise"] = promise(some)
        print("  thresholds from half of the articles on the other half:")
        for one in entries["promise"]:
            print(f"  {one}")
    return entries


def print_figures(task: str, name: str, entry: dict[str, Any]) -> None:
    print(f"\n{task}: {name}")
    for kind, some in entry.items():
        if "auroc" not in some:
            print(f"  {kind}: {some['value']:.3f}")
            continue
        a, r = some["auroc"], some["right"]
        span = f"{a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]" if a["low"] else "–"
        print(
            f"  {kind:24} n {some['n']}  right {r['value']:.3f}  AUROC {span}"
            f"  ECE {some['ece']:.3f}  Brier {some['brier']:.3f}  AURC {some['aurc']:.3f}"
            f"  at .85 {some['at_0.85']['coverage']:.1%} kept, {some['at_0.85']['error']:.1%} wrong"
        )


def ship(found: dict[str, list[Judged]]) -> None:
    """Fit on everything and keep it as what comes with Ondol."""
    with Parts(config.load()) as parts:
        grounded = parts.manner().model
        chat = parts.store.get(parts.config["models.chat"]).name
        names = {"grounded": grounded, QUOTED: "", CHAT: chat}
        for task, some in found.items():
            digest = parts.oversight.identify(names[task])
            made = calibration.fit(
                [one.labelled for one in some],
                model=names[task],
                digest=digest,
                task=task,
                source="benchmarks/confidence",
            )
            SHIPPED.mkdir(exist_ok=True)
            (SHIPPED / file_name(digest, task)).write_text(made.to_json(), "utf-8")
            print(f"shipped {made.name}: AUROC {made.auroc}, ECE {made.ece:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where collect.py kept it all")
    parser.add_argument("--write", action="store_true", help="keep the result")
    parser.add_argument("--ship", action="store_true", help="keep the calibrators")
    arguments = parser.parse_args()
    rows = [row for file in sorted(arguments.folder.glob("*.jsonl.gz")) for row in read_rows(file)]
    found = tasks(rows)
    results = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "nothing_found": sum(not r.evidence.quotes for r in rows if r.set != CHAT),
        "tasks": {task: report(task, some) for task, some in found.items()},
    }
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "results.json").write_text(text, "utf-8")
    if arguments.ship:
        ship(found)


if __name__ == "__main__":
    main()
