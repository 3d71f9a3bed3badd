"""Do further answers to the same prompt tell which answer is right? See README.md.

Reads what ``collect.py --samples 4 --backwards`` kept; no model is needed. The same folds with and
without the signals of agreement; intervals of the differences by a paired bootstrap of whole
articles.
--write keeps agreement.json and agreement.svg.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import pictures  # noqa: E402
from collect import CHAT, read_rows, turned_around  # noqa: E402
from meanings import Meaning, agreeing, of_samples  # noqa: E402
from run import RESAMPLES, XQUAD, Judged, as_served, at_targets, figures, tasks  # noqa: E402

from ondol import __version__  # noqa: E402
from ondol.confidence import calibration, measures, signals  # noqa: E402
from ondol.prompt import MARKS  # noqa: E402

COUNTS = (1, 2, 4)
DOUBTFUL = (0.3, 0.7)
PARTS: Mapping[str, Callable[[Judged], bool]] = {
    "answers given": lambda one: one.answered,
    "all, abstentions too": lambda one: True,
    "abstentions": lambda one: not one.answered,
    "XQuAD, answers given": lambda one: one.answered and one.row.set in XQUAD,
    "Ondol's own documents, answers given": lambda one: one.answered and one.row.set not in XQUAD,
}


def with_samples(one: Judged, drawn: Sequence[int], only: Iterable[str] = ()) -> Any:
    """The labels of ``one`` with what its samples of these numbers say; ``only`` some signals."""
    assert one.row.completion is not None
    samples = [one.row.samples[i] for i in drawn]
    found = of_samples(one.row.completion.text, samples)
    if only:
        found = {n: v for n, v in found.items() if n.rpartition("samples_")[2] in only}
    return one.labelled._replace(signals={**one.labelled.signals, **found})


def with_second(one: Judged, only: Iterable[str] = ()) -> Any:
    """The labels of ``one`` with what the second reading says: whether it agrees, and how sure it
    was of that (negative: of another answer)."""
    said, turned = one.row.completion, one.row.backwards
    if said is None or turned is None:
        return one.labelled
    again = MARKS.sub(lambda found: f"[{len(one.row.given) + 1 - int(found[1])}]", turned.text)
    agrees = bool(agreeing(said.text, [again]))
    tokens = signals.of_grounded(
        one.row.case.question, one.row.evidence, turned_around(one.row.given), as_served(turned)
    )
    sure = tokens.get("sequence_logprob", tokens.get("abstained_first_logprob"))
    found = {"second_agrees": float(agrees)}
    if sure is not None:
        found["second_sure"] = (1 if agrees else -1) * math.exp(sure)
    prefix = "" if one.answered else "abstained_"
    kept = {f"{prefix}{name}": v for name, v in found.items() if not only or name in only}
    return one.labelled._replace(signals={**one.labelled.signals, **kept})


def validated(
    some: Sequence[Judged], drawn: Sequence[int], only: Iterable[str] = ()
) -> list[float]:
    """For every answer the probability from those of other articles."""
    return calibration.cross_validated([with_samples(one, drawn, only) for one in some])


def gained(
    before: Sequence[float], after: Sequence[float], some: Sequence[Judged]
) -> dict[str, float | None]:
    """By how much the AUROC of ``after`` is above that of ``before``, both from the same draws."""
    right = [one.right for one in some]
    members: dict[str, list[int]] = {}
    for i, one in enumerate(some):
        members.setdefault(one.labelled.group or str(i), []).append(i)

    def between(places: Sequence[int]) -> float | None:
        truths = [right[i] for i in places]
        first = measures.auroc([before[i] for i in places], truths)
        second = measures.auroc([after[i] for i in places], truths)
        return None if first is None or second is None else second - first

    rng, names = random.Random(0), list(members)
    drawn = (rng.choices(names, k=len(names)) for _ in range(RESAMPLES))
    found = sorted(
        value
        for some_names in drawn
        if (value := between([i for name in some_names for i in members[name]])) is not None
    )
    value = between(range(len(some)))
    if value is None or not found:
        return {"value": value, "low": None, "high": None}
    low, high = found[int(0.025 * len(found))], found[int(0.975 * len(found)) - 1]
    return {"value": value, "low": low, "high": high}


def only_doubtful(before: Sequence[float], after: Sequence[float]) -> list[float]:
    """The second probability where the first is doubtful: the others are not asked again."""
    low, high = DOUBTFUL
    return [b if low <= a <= high else a for a, b in zip(before, after, strict=True)]


def compared(some: Sequence[Judged], most: int) -> dict[str, Any]:
    """Everything that was looked at, by its name; the first is what ships today."""
    every = tuple(range(most))
    plain = validated(some, ())
    ways = {"none": plain}
    ways |= {str(k): validated(some, every[:k]) for k in COUNTS if k <= most}
    ways[f"{most}, the share that agrees alone"] = validated(some, every, ("agree",))
    ways[f"{most}, only where it is doubtful"] = only_doubtful(plain, ways[str(most)])
    for seed in every:
        ways[f"1, seed {seed + 1}"] = validated(some, (seed,))
    return measured(ways, some)


def twice_read(some: Sequence[Judged]) -> dict[str, Any]:
    """The same with a second reading in the samples' place, of those that were read twice."""
    those = [one for one in some if one.row.backwards]
    if not those:
        return {}
    plain = validated(those, ())
    both = calibration.cross_validated([with_second(one) for one in those])
    agrees = [with_second(one, ("second_agrees",)) for one in those]
    ways = {
        "none": plain,
        "second reading": both,
        "second reading, whether it agrees alone": calibration.cross_validated(agrees),
        "second reading, only where it is doubtful": only_doubtful(plain, both),
    }
    every = range(min(len(one.row.samples) for one in those))
    ways[f"{len(every)}, of the same"] = validated(those, every)
    return measured(ways, those)


def measured(ways: Mapping[str, Sequence[float]], some: Sequence[Judged]) -> dict[str, Any]:
    """The figures of every way, and what it gains over none."""
    plain = ways["none"]
    found: dict[str, Any] = {}
    for way, probabilities in ways.items():
        found[way] = {}
        for part, is_in in PARTS.items():
            places = [i for i, one in enumerate(some) if is_in(one)]
            those = [some[i] for i in places]
            if len({one.right for one in those}) < 2:
                continue
            after = [probabilities[i] for i in places]
            found[way][part] = figures(after, those)
            if way != "none":
                found[way][part]["gain"] = gained([plain[i] for i in places], after, those)
        found[way]["targets"] = at_targets(probabilities, [one.right for one in some])
        show(way, found[way])
    low, high = DOUBTFUL
    found["doubtful"] = sum(low <= p <= high for p in plain) / len(plain)
    return found


def show(way: str, parts: Mapping[str, Any]) -> None:
    for part in PARTS:
        if part not in parts:
            continue
        one = parts[part]
        a, gain = one["auroc"], one.get("gain")
        by = f"  {gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]" if gain else ""
        print(
            f"{way:34} {part:37} n {one['n']:4}  AUROC {a['value']:.3f} [{a['low']:.3f}, "
            f"{a['high']:.3f}]  ECE {one['ece']:.3f}  AURC {one['aurc']:.4f}{by}"
        )


def as_read(one: Judged) -> Judged:
    """``one`` with the label that a reader would rather give it, by a rule: right is also an answer
    that holds the gold answer's content words, or half of them or more and no other."""
    said = Meaning.of(one.row.completion.text if one.row.completion else "").content
    golds = [Meaning.of(gold).content for gold in one.row.case.answers]
    right = one.answered and any(
        gold and (gold <= said or (said <= gold and 2 * len(said) >= len(gold))) for gold in golds
    )
    return replace(one, labelled=one.labelled._replace(right=one.right or right))


def read(some: Sequence[Judged], most: int) -> dict[str, Any]:
    """The same with the labels of a reader: how much of what is missed is in the labels."""
    those = [as_read(one) for one in some]
    places = [i for i, one in enumerate(those) if one.answered]
    given = [those[i] for i in places]
    before, after = (
        [probabilities[i] for i in places]
        for probabilities in (validated(those, ()), validated(those, range(most)))
    )
    found = {
        "wrong": sum(one.answered and not one.right for one in some),
        "right to a reader": sum(a.right and not b.right for a, b in zip(those, some, strict=True)),
        "none": figures(before, given),
        str(most): figures(after, given) | {"gain": gained(before, after, given)},
    }
    print("to a reader", found["right to a reader"], "of", found["wrong"])
    for way in ("none", str(most)):
        show(way, {"answers given": found[way]})
    return found


def alone(some: Sequence[Judged], most: int) -> dict[str, float | None]:
    """The AUROC of every signal of agreement by itself, on what it is about."""
    found: dict[str, list[tuple[float, bool]]] = {}
    for one in some:
        new = with_samples(one, range(most)).signals.keys() - one.labelled.signals.keys()
        for name in new:
            value = with_samples(one, range(most)).signals[name]
            found.setdefault(name, []).append((value, one.right))
    return {
        name: measures.auroc(*zip(*pairs, strict=True)) for name, pairs in sorted(found.items())
    }


def cost(some: Sequence[Judged], file: Path) -> dict[str, float]:
    """Medians of what collect.py measured: an answer, a further one to the same prompt, and one to
    the sentences turned around."""
    entries = [json.loads(line)["completion"] for line in file.read_text("utf-8").splitlines()]
    # Log-probabilities were asked for with the others alone.
    further = [e["seconds"] for e in entries if not any(top for _, _, top in e["tokens"])]
    answers = [one.row.completion.usage.total_seconds for one in some if one.row.completion]
    turned = [one.row.backwards.usage.total_seconds for one in some if one.row.backwards]
    found = {"answer": answers, "further": further, "turned around": turned}
    return {name: statistics.median(values) for name, values in found.items() if values}


def agreement_of_seeds(some: Sequence[Judged], most: int) -> list[float]:
    """The share of each seed's samples that agree with the answer: a seed's first draw is the same
    number whatever the prompt, so one always strays and another never does."""
    return [
        statistics.mean(
            value
            for one in some
            for name, value in with_samples(one, (seed,), ("agree",)).signals.items()
            if name.endswith("samples_agree")
        )
        for seed in range(most)
    ]


def draw(results: Mapping[str, Any]) -> None:
    """AUROC over the number of further answers."""
    ways = results["ways"]
    counts = [str(k) for k in (0, *COUNTS) if str(k) in ways or k == 0]
    best = max(
        (ways[k]["answers given"]["gain"] for k in counts[1:]), key=lambda gain: gain["value"]
    )
    helps = best["low"] is not None and best["low"] > 0
    title = (
        "Asking again tells a little more about what is right"
        if helps
        else "Asking again hardly tells more about what is right"
    )
    sets = results["sets"]
    asked = f"of the set {sets[0]}" if len(sets) == 1 else f"of {len(sets)} sets"
    subtitle = (
        f"{ways['none']['all, abstentions too']['n']} answers from documents {asked}; AUROC, "
        "cross-validated; bars: 95 %, whole articles drawn"
    )
    fig, ax = pictures.figure(title, subtitle, size=(8, 4.4))
    for number, part in enumerate(("answers given", "XQuAD, answers given", "abstentions")):
        those = [ways["none" if k == "0" else k].get(part) for k in counts]
        if any(one is None for one in those):
            continue
        values = [one["auroc"]["value"] for one in those]
        spread = [
            [v - one["auroc"]["low"] for v, one in zip(values, those, strict=True)],
            [one["auroc"]["high"] - v for v, one in zip(values, those, strict=True)],
        ]
        places = [int(k) + (number - 1) * 0.05 for k in counts]
        ax.errorbar(places, values, spread, marker="o", capsize=3, label=part)
    ax.axhline(0.85, color=pictures.YARDSTICK, linestyle="--", linewidth=1)
    ax.text(COUNTS[-1], 0.853, "wanted: .85", size=8, color=pictures.MUTED, ha="right")
    ax.set_xticks([int(k) for k in counts], counts)
    ax.set_xlabel("further answers to the same prompt, temperature 0.7")
    ax.set_ylabel("AUROC")
    ax.set_ylim(0.5, 0.95)
    ax.legend(loc="lower right", ncols=3, fontsize=8)
    pictures.save(fig, HERE / "agreement.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where collect.py kept it all")
    parser.add_argument("--write", action="store_true", help="keep the result")
    arguments = parser.parse_args()
    rows = [row for file in sorted(arguments.folder.glob("*.jsonl.gz")) for row in read_rows(file)]
    some = tasks([row for row in rows if row.set != CHAT and row.is_read])["grounded"]
    most = min(len(one.row.samples) for one in some)
    if not most:
        parser.error("nothing was asked again: collect.py --samples 4")
    results = {
        "date": date.today().isoformat(),
        "ondol": __version__,
        "sets": sorted({one.row.set for one in some}),
        "samples": most,
        "ways": compared(some, most),
        "second reading": twice_read(some),
        "labels of a reader": read(some, most),
        "alone": alone(some, most),
        "agree_by_seed": agreement_of_seeds(some, most),
        "seconds": cost(some, arguments.folder / "said.jsonl"),
    }
    for name in ("alone", "agree_by_seed", "seconds"):
        print(name, results[name])
    print("doubtful", results["ways"]["doubtful"])
    if arguments.write:
        text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
        (HERE / "agreement.json").write_text(text, "utf-8")
        draw(results)


if __name__ == "__main__":
    main()
