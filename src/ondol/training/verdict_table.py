"""The table of a verdict: what was measured, row by row, as data and as plain text.

``unit`` says how a number is shown: "nats" (log-probability), "share", "count", "brier".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ondol.i18n import t
from ondol.training.bootstrap import Estimate
from ondol.training.gate import aligned

FLIPS = 0.1
"""Of a probe's prompts that may turn out otherwise: greedy replies flip by a hair."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured, without and with the adapter. ``difference`` has no interval
    where there is nothing to resample."""

    name: str
    before: float
    after: float
    difference: Estimate
    is_ok: bool
    is_better: bool = False
    unit: str = "share"

    def json(self) -> dict[str, Any]:
        """For CLI, API and pages: the same table everywhere."""
        return {
            "name": self.name,
            "label": t(f"activation.row_{self.name}"),
            "before": _known(self.before),
            "after": _known(self.after),
            "difference": self.difference.as_dict(),
            "unit": self.unit,
            "is_ok": self.is_ok,
        }


def table(rows: Iterable[Mapping[str, Any]]) -> str:
    """A verdict's rows, as ``Row.json`` gives them, as plain text; what speaks against the adapter
    is marked."""
    heads = ("", t("activation.without"), t("activation.with"), t("activation.difference"), "")
    lines = [list(heads)]
    for row in rows:
        unit = str(row["unit"])
        change = row["difference"]
        told = _shown(change["value"], unit, sign=True)
        if change["low"] is not None:
            low, high = (_shown(change[end], unit, sign=True) for end in ("low", "high"))
            told += f" [{low}, {high}]"
        mark = "" if row["is_ok"] else "✗"
        before, after = (_shown(row[side], unit) for side in ("before", "after"))
        lines.append([str(row["label"]), before, after, told, mark])
    return aligned(lines)


def more(name: str, before: int, after: int, total: int) -> Row:
    """A count that may not fall."""
    return _counted(name, before, after, total, after >= before - _flips(total))


def fewer(name: str, before: int, after: int, total: int) -> Row:
    """A count that may not rise."""
    return _counted(name, before, after, total, after <= before + _flips(total))


def _counted(name: str, before: int, after: int, total: int, is_ok: bool) -> Row:
    change = Estimate(after - before, math.nan, math.nan, total)
    return Row(name, before, after, change, is_ok, unit="count")


def _flips(total: int) -> int:
    return max(1, math.floor(total * FLIPS))


def reason(row: Row) -> str:
    found = row.json()
    told = {side: _shown(found[side], row.unit) for side in ("before", "after")}
    return t(f"activation.reason_{row.name}", **told, total=row.difference.n)


def _known(value: float) -> float | None:
    return round(value, 4) if math.isfinite(value) else None


def _shown(value: float | None, unit: str, *, sign: bool = False) -> str:
    if value is None:
        return "–"
    plus = "+" if sign else ""
    if unit == "share":
        return f"{value * 100:{plus}.1f} %"
    return f"{value:{plus}.0f}" if unit == "count" else f"{value:{plus}.3f}"
