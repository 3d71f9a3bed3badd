"""The last months day by day, for charts, and each in one line: what stayed here, what left, energy
and money. A day is that of the machine's own zone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ondol.ledger import entries
from ondol.ledger.cost import Pricing
from ondol.ledger.ledger import Ledger
from ondol.ledger.report import Report, month_of

MOST_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Summary:
    """``months`` and ``days`` have the oldest first; days without an entry are not among them."""

    months: dict[str, Report]
    days: dict[str, Report]

    def json(self) -> dict[str, Any]:
        """For the API."""
        return {
            "months": [{"month": name, **_figures(one)} for name, one in self.months.items()],
            "days": [{"day": name, **_figures(one)} for name, one in self.days.items()],
        }


def summary(ledger: Ledger, pricing: Pricing, now: datetime, months: int = 1) -> Summary:
    """The month of ``now``, which has a zone, and ``months`` − 1 before it."""
    begin, end = month_of(now)
    spans = [(begin, end)]
    for _ in range(months - 1):
        begin, end = month_of(begin - timedelta(days=1))
        spans.insert(0, (begin, end))
    since, until = entries.as_time(spans[0][0]), entries.as_time(spans[-1][1])
    by_month = {_month(begin): _report(pricing, begin, end) for begin, end in spans}
    by_day: dict[str, Report] = {}
    for entry in ledger.entries(since=since, until=until):
        moment = datetime.fromisoformat(entry.time).astimezone(now.tzinfo)
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        name = day.date().isoformat()
        if name not in by_day:
            by_day[name] = _report(pricing, day, day + timedelta(days=1))
        by_day[name].add(entry)
        if _month(moment) in by_month:
            by_month[_month(moment)].add(entry)
    return Summary(by_month, dict(sorted(by_day.items())))


def _figures(report: Report) -> dict[str, Any]:
    whole = report.json()
    names = (
        *("answers", "num_answers", "asked_home", "bytes_out", "refused", "seconds"),
        *("energy_joules", "answers_without_energy", "cost_here", "cost_cloud"),
    )
    stayed = report.num_answers - report.asked_home
    return {name: whole[name] for name in names} | {"stayed_here": stayed}


def _report(pricing: Pricing, begin: datetime, end: datetime) -> Report:
    return Report(entries.as_time(begin), entries.as_time(end), pricing)


def _month(moment: datetime) -> str:
    return moment.strftime("%Y-%m")
