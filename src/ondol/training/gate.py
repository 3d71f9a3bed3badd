"""May an adapter ship? Paired on the same questions, before and after; and the table that shows it.

It ships when accuracy and F1 improve beyond chance and nothing gets worse: it abstains where it
should, mostly and no less than before, and rarely beside the proof; it cites what proves the
answer; and no language and no set of questions pays for another. Being on in plain chat needs more:
that everything else the model could do is at least as good as it was.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training.bootstrap import Estimate, difference
from ondol.training.drift import Drift
from ondol.training.evaluation import METRICS, Outcome, Scores, scores

MAX_ABSTAINS_BESIDE_PROOF = 0.10
MIN_ABSTENTION_RECALL = 0.70
MIN_CITATION_CORRECTNESS = 0.80
# Nats per word of plain text that may be lost before a model counts as worse at it: 2 % perplexity.
MAX_LOSS_INCREASE = 0.02
MIN_CHAT_LENGTH_RATIO = 0.5

IMPROVED = ("accuracy", "f1")
OWN_FAULT = "abstains_beside_proof"
"""To abstain where retrieval missed the proof is right of the model, and no reason against it."""
IN_EACH_SET = ("accuracy", "abstention_recall")
"""What may not get worse beyond chance in any one set."""
Pair = tuple[Sequence[Outcome], Sequence[Outcome]]
"""Outcomes of the same cases, before and after."""
SHARES = tuple(name for name in METRICS if name not in ("f1", "words"))


@dataclass(frozen=True, slots=True)
class Verdict:
    """``reasons`` are the sentences that say why not; none when it ships. ``chat_reasons`` say why
    it stays off in plain chat, where it also stays off when it does not ship."""

    ships: bool
    reasons: tuple[str, ...]
    chat_ok: bool
    chat_reasons: tuple[str, ...]
    differences: Mapping[str, Estimate]


def verdict(
    before: Sequence[Outcome],
    after: Sequence[Outcome],
    drift: Drift | None = None,
    *,
    sets: Mapping[str, Pair] | None = None,
    min_citation_correctness: float = MIN_CITATION_CORRECTNESS,
    min_abstention_recall: float = MIN_ABSTENTION_RECALL,
    max_abstains_beside_proof: float = MAX_ABSTAINS_BESIDE_PROOF,
) -> Verdict:
    """Judge ``after`` beside ``before``: outcomes of the same cases in the same order.

    ``sets`` are the parts of them, by name, that may each not get worse. Raises ``TrainingError``
    when the cases are not the same. Without ``drift`` the adapter stays off in chat.
    """
    changes = differences(before, after)
    now = scores(after, parts=False).estimates
    reasons = [_not_better(name, changes[name]) for name in IMPROVED]
    reasons.append(_worse("abstention_recall", changes["abstention_recall"]))
    for name, least in (
        ("abstention_recall", min_abstention_recall),
        ("citation_correctness", min_citation_correctness),
    ):
        reasons.append(_below(name, now[name], least))
    reasons.append(_above(OWN_FAULT, now[OWN_FAULT], max_abstains_beside_proof))
    reasons += _harmed_languages(before, after, max_abstains_beside_proof)
    reasons += _harmed_sets(sets or {})
    against = tuple(dict.fromkeys(filter(None, reasons)))
    against_chat = tuple(filter(None, _drifted(drift)))
    return Verdict(not against, against, not against and not against_chat, against_chat, changes)


def differences(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[str, Estimate]:
    """Every metric of ``after`` minus ``before``, paired. Raises ``TrainingError`` when they are
    not outcomes of the same cases."""
    if [o.case for o in before] != [o.case for o in after]:
        raise TrainingError(t("training.gate_other_cases"), t("training.gate_other_cases_hint"))
    groups = [o.case.group for o in before]
    return {
        name: difference(groups, [metric(o) for o in before], [metric(o) for o in after])
        for name, metric in METRICS.items()
    }


def table(columns: Mapping[str, Scores], changes: Mapping[str, Estimate] | None = None) -> str:
    """One plain-text table: a row for every metric, a column for each of ``columns`` with its 95 %
    interval, and one for the paired difference; below, each language and kind by what it is
    asked for: accuracy, or abstaining."""
    heads = ["", *columns]
    if changes is not None:
        heads.append(t("training.gate_difference"))
    rows = [heads, [t("training.gate_row_cases"), *(str(c.cases) for c in columns.values())]]
    for name in METRICS:
        row = [label(name), *(shown(name, c.estimates[name]) for c in columns.values())]
        if changes is not None:
            row.append(shown(name, changes[name], sign=True))
        rows.append(row)
    seconds = [f"{c.median_seconds:.2f}" for c in columns.values()]
    rows.append([t("training.gate_row_seconds"), *seconds])
    for part in dict.fromkeys(name for c in columns.values() for name in c.parts):
        known = [c.parts.get(part) for c in columns.values()]
        answerable = any(p and p.estimates["accuracy"].n for p in known)
        name = "accuracy" if answerable else "abstention_recall"
        cells = [shown(name, p.estimates[name]) if p else "" for p in known]
        rows.append([f"  {part}: {label(name)}", *cells])
    return aligned(rows)


def label(metric: str) -> str:
    """What a metric is called in the table."""
    return t(f"training.gate_row_{metric}")


def shown(metric: str, estimate: Estimate, *, sign: bool = False) -> str:
    """``66.0 % [61.2, 70.5]``; a dash when nothing was counted."""
    if math.isnan(estimate.value):
        return "–"
    scale, unit, places = (100, " %", 1) if metric in SHARES else (1, "", 3)
    if metric == "words":
        places = 1
    form = f"{'+' if sign else ''}.{places}f"
    value = f"{estimate.value * scale:{form}}{unit}"
    if math.isnan(estimate.low):
        return value
    return f"{value} [{estimate.low * scale:{form}}, {estimate.high * scale:{form}}]"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, the first column to the left and the others to the right; a row may
    be shorter than the first."""
    widths = [max(_width(r[i]) for r in rows if i < len(r)) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=False)]
        first = row[0] + cells[0]
        lines.append("  ".join([first, *(p + c for p, c in zip(cells[1:], row[1:], strict=True))]))
    return "\n".join(line.rstrip() for line in lines)


def _width(text: str) -> int:
    """Columns on a terminal: a syllable of Hangul takes two."""
    return sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def _harmed_languages(
    before: Sequence[Outcome], after: Sequence[Outcome], max_abstains_beside_proof: float
) -> Iterator[str]:
    """A language may gain nothing, but what it gains elsewhere is no excuse for losing here."""
    languages = sorted({o.case.language for o in after if o.case.answerable})
    for language in languages if len(languages) > 1 else ():
        first, second = (
            [o for o in outcomes if o.case.language == language and o.case.answerable]
            for outcomes in (before, after)
        )
        where = f" ({language})"
        yield _worse("accuracy", differences(first, second)["accuracy"], where)
        now = scores(second, parts=False).estimates[OWN_FAULT]
        yield _above(OWN_FAULT, now, max_abstains_beside_proof, where)


def _harmed_sets(sets: Mapping[str, Pair]) -> Iterator[str]:
    """What gets worse in one set; a set without questions that tell says nothing against it."""
    for set_name, (before, after) in sets.items() if len(sets) > 1 else ():
        changes = differences(before, after)
        for name in IN_EACH_SET:
            if not math.isnan(changes[name].value):
                yield _worse(name, changes[name], f" ({set_name})")


def _not_better(name: str, change: Estimate) -> str:
    if math.isnan(change.value):
        return t("training.gate_not_measured", metric=label(name))
    # False for NaN too: an interval that is not known is no proof.
    if change.low > 0:
        return ""
    return t("training.gate_not_better", metric=label(name), change=shown(name, change, sign=True))


def _worse(name: str, change: Estimate, where: str = "") -> str:
    if math.isnan(change.value):
        return t("training.gate_not_measured", metric=label(name))
    certain = change.value if math.isnan(change.high) else change.high
    if certain >= 0:
        return ""
    return t(
        "training.gate_worse", metric=label(name) + where, change=shown(name, change, sign=True)
    )


def _above(name: str, now: Estimate, limit: float, where: str = "") -> str:
    if math.isnan(now.value):
        return t("training.gate_not_measured", metric=label(name))
    if now.value <= limit:
        return ""
    return t(
        "training.gate_above",
        metric=label(name) + where,
        value=shown(name, now),
        limit=f"{limit:.0%}",
    )


def _below(name: str, now: Estimate, limit: float) -> str:
    if math.isnan(now.value):
        return t("training.gate_not_measured", metric=label(name))
    if now.value >= limit:
        return ""
    return t(
        "training.gate_below", metric=label(name), value=shown(name, now), limit=f"{limit:.0%}"
    )


def _drifted(drift: Drift | None) -> list[str]:
    if drift is None:
        return [t("training.drift_not_measured")]
    reasons = []
    change = drift.loss_difference
    certain = change.value if math.isnan(change.high) else change.high
    if not certain <= MAX_LOSS_INCREASE:
        reasons.append(
            t(
                "training.drift_loss",
                before=f"{drift.perplexity_off:.2f}",
                after=f"{drift.perplexity_on:.2f}",
            )
        )
    off, on = drift.chat_passed
    if on < off:
        reasons.append(t("training.drift_chat", before=off, after=on, total=len(drift.replies)))
    if drift.length_ratio < MIN_CHAT_LENGTH_RATIO:
        reasons.append(t("training.drift_short", ratio=f"{drift.length_ratio:.0%}"))
    return reasons
