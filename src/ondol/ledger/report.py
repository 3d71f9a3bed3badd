"""What a stretch of time came to: answers by route, what left, energy, and money here and there.

Measured and estimated joules stand side by side and are never added. Money is KRW, and USD at the
rate of the settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ondol.ledger import cost, entries
from ondol.ledger.cost import Pricing
from ondol.ledger.entries import Entry
from ondol.ledger.explanation import went_home
from ondol.ledger.ledger import Ledger

DAYS_PER_MONTH = 365.25 / 12


@dataclass(slots=True)
class Report:
    """``since`` and ``until`` are times (``until`` is not included). ``answers`` are by route;
    ``asked_home`` are those whose question left, whoever answered in the end. ``bytes_out`` is by
    purpose, ``joules`` by source; of ``unmeasured`` answers no energy is known."""

    since: str
    until: str
    pricing: Pricing
    answers: dict[str, int] = field(default_factory=dict)
    asked_home: int = 0
    bytes_out: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    joules: dict[str, float] = field(default_factory=dict)
    unmeasured: int = 0
    here_krw: float = 0.0
    cloud_usd: float = 0.0
    cloud_krw: float = 0.0
    cloud_models: tuple[str, ...] = ()

    @property
    def num_answers(self) -> int:
        return sum(self.answers.values())

    @property
    def share_here(self) -> float | None:
        """The share of questions that never left this device; ``None`` without any."""
        if not self.num_answers:
            return None
        return 1 - self.asked_home / self.num_answers

    @property
    def months(self) -> float:
        """How long it is, in months."""
        begin, end = (datetime.fromisoformat(t) for t in (self.since, self.until))
        return max((end - begin) / timedelta(days=DAYS_PER_MONTH), 1e-9)

    @property
    def break_even_months(self) -> float | None:
        """Months until the hardware has paid for itself at this rate of use; ``None`` when its
        price is not set, or when it never does."""
        electricity = sum(map(self.pricing.energy_krw, self.joules.values()))
        saved = (self.cloud_krw - electricity) / self.months
        if not self.pricing.hardware_price_krw or saved <= 0:
            return None
        return self.pricing.hardware_price_krw / saved

    def add(self, entry: Entry) -> None:
        """Count one entry in."""
        if entry.kind == "answer":
            self._add_answer(entry)
        elif entry.kind == "egress":
            name = entry.purpose or "other"
            self.bytes_out[name] = self.bytes_out.get(name, 0) + (entry.bytes_out or 0)
        elif entry.kind == "refused":
            self.refused += 1

    def json(self) -> dict[str, Any]:
        """For CLI and API."""
        rate = self.pricing.krw_per_usd
        return {
            "since": self.since,
            "until": self.until,
            "answers": self.answers,
            "num_answers": self.num_answers,
            "asked_home": self.asked_home,
            "share_here": self.share_here,
            "bytes_out": self.bytes_out,
            "refused": self.refused,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "seconds": round(self.seconds, 3),
            "energy_joules": {name: round(joules, 3) for name, joules in self.joules.items()},
            "answers_without_energy": self.unmeasured,
            "cost_here": {"krw": round(self.here_krw, 6), "usd": round(self.here_krw / rate, 9)},
            "cost_cloud": {
                "krw": round(self.cloud_krw, 6),
                "usd": round(self.cloud_usd, 9),
                "models": list(self.cloud_models),
                "prices": cost.table_date(),
            },
            "hardware_price_krw": self.pricing.hardware_price_krw,
            "break_even_months": self.break_even_months,
        }

    def _add_answer(self, entry: Entry) -> None:
        self.answers[entry.route] = self.answers.get(entry.route, 0) + 1
        self.asked_home += went_home(entry)
        self.prompt_tokens += entry.prompt_tokens or 0
        self.completion_tokens += entry.completion_tokens or 0
        self.seconds += entry.seconds or 0.0
        if entry.energy_joules is None:
            self.unmeasured += 1
        else:
            name = entry.energy_source
            self.joules[name] = self.joules.get(name, 0.0) + entry.energy_joules
        self.here_krw += entry.cost_krw or 0.0
        self.cloud_usd += entry.cloud_usd or 0.0
        self.cloud_krw += (entry.cloud_usd or 0.0) * (entry.krw_per_usd or 0.0)
        if entry.cloud_model and entry.cloud_model not in self.cloud_models:
            self.cloud_models = (*self.cloud_models, entry.cloud_model)


def month_of(moment: datetime) -> tuple[datetime, datetime]:
    """The beginning of the month that ``moment`` is in, and that of the next one, in its zone."""
    begin = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return begin, (begin + timedelta(days=32)).replace(day=1)


def report(ledger: Ledger, pricing: Pricing, since: datetime, until: datetime) -> Report:
    """The report of the entries from ``since`` to before ``until``; not beyond now."""
    until = max(since, min(until, datetime.now(UTC) + timedelta(milliseconds=1)))
    made = Report(entries.as_time(since), entries.as_time(until), pricing)
    for entry in ledger.entries(since=made.since, until=made.until):
        made.add(entry)
    return made
