"""A decision in words: why an answer came from where it came, and what it took.

Made from the ledger alone, so that it can be told long afterwards; nothing that was asked or
answered is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from ondol.i18n import t
from ondol.ledger import entries
from ondol.ledger.entries import Entry
from ondol.ledger.ledger import Ledger
from ondol.types import Route

ASKED_HOME = frozenset({"home_failed", "home_knew_no_better"})
"""Reasons of an answer that home was asked for and the device gave."""

LONGEST = timedelta(hours=1)


class Quality(NamedTuple):
    """How well a calibrator's probabilities held on ``n`` answers it was not made from: they were
    off by ``ece`` on average (expected calibration error)."""

    n: int
    ece: float


def passages_of(ledger: Ledger, answer: Entry) -> list[Entry]:
    """What left, or was to leave, while ``answer`` was made; in order."""
    end = datetime.fromisoformat(answer.time)
    took = timedelta(seconds=min(max(answer.seconds or 0.0, 0.0), LONGEST.total_seconds()))
    since = entries.as_time(end - took)
    found = ledger.entries(since=since, before=answer.number)
    return [one for one in found if one.kind in ("egress", "refused")][::-1]


def explain(entry: Entry, passages: Sequence[Entry] = (), quality: Quality | None = None) -> str:
    """A few lines about ``entry``."""
    if entry.kind == "answer":
        return "\n".join(_answer(entry, passages, quality))
    return "\n".join(_other(entry))


def went_home(entry: Entry) -> bool:
    """Whether the question of an answer left the device."""
    return entry.route == Route.HOME.value or not ASKED_HOME.isdisjoint(entry.reasons)


def sentence(kind: str, code: str) -> str:
    """What a code means; one that has no sentence is shown as it is."""
    name, _, detail = code.partition(":")
    try:
        return t(f"ledger.{kind}_{name}", detail=detail)
    except KeyError:
        return code


def money(amount: float) -> str:
    """An amount with as many digits as it needs to be more than nothing."""
    if amount and abs(amount) < 0.0001:
        return "< 0.0001"
    return f"{amount:,.2f}" if abs(amount) >= 1 else f"{amount:.4f}"


def energy(joules: float, source: str, meter: str = "") -> str:
    """Joules, with whether they are measured or estimated."""
    how = t(f"ledger.energy_{source}")
    amount = f"{joules / 3600:,.2f} Wh" if joules >= 3600 else f"{joules:,.1f} J"
    return f"{amount} ({how}{', ' + meter if meter and source == 'measured' else ''})"


def _answer(entry: Entry, passages: Sequence[Entry], quality: Quality | None) -> Iterator[str]:
    model = entry.model or t("ledger.no_model")
    route = entry.route if entry.route in ("home", "abstain") else "local"
    yield t(f"ledger.route_{route}", time=_when(entry), model=model)
    if entry.draft_model:
        yield t("ledger.draft", model=entry.draft_model)
    yield from (f"- {sentence('reason', code)}" for code in entry.reasons)
    if entry.probability is not None:
        yield t("ledger.probability", percent=_percent(entry.probability))
        if quality is not None:
            yield t("ledger.quality", n=quality.n, points=f"{quality.ece * 100:.1f}")
    elif entry.model:
        yield t("ledger.no_probability")
    if entry.threshold is not None:
        yield t("ledger.threshold", percent=_percent(entry.threshold))
    if entry.sensitivity:
        yield sentence("label", entry.sensitivity)
        yield from (f"- {sentence('reason', code)}" for code in entry.label_reasons)
    yield from _left(entry, passages)
    yield t(
        "ledger.took",
        seconds=f"{entry.seconds or 0:.2f}",
        prompt=entry.prompt_tokens or 0,
        completion=entry.completion_tokens or 0,
    )
    yield from _cost(entry)


def _left(entry: Entry, passages: Sequence[Entry]) -> Iterator[str]:
    for one in passages:
        yield _passage(one)
    if not passages:
        yield t("ledger.nothing_left")


def _cost(entry: Entry) -> Iterator[str]:
    if entry.energy_joules is None:
        yield t("ledger.energy_unknown")
    else:
        used = energy(entry.energy_joules, entry.energy_source, entry.energy_meter)
        yield t("ledger.energy", energy=used)
    if entry.cost_krw is not None:
        yield t("ledger.cost_here", krw=money(entry.cost_krw))
    if entry.cloud_usd is not None and entry.krw_per_usd is not None:
        yield t(
            "ledger.cost_cloud",
            model=entry.cloud_model,
            krw=money(entry.cloud_usd * entry.krw_per_usd),
            usd=money(entry.cloud_usd),
            date=entry.prices,
            rate=f"{entry.krw_per_usd:,.2f}",
        )


def _other(entry: Entry) -> Iterator[str]:
    if entry.kind in ("egress", "refused", "received"):
        yield f"{_when(entry)} {_passage(entry)}"
        if entry.sensitivity:
            yield sentence("label", entry.sensitivity)
        yield from (f"- {sentence('reason', code)}" for code in entry.reasons)
    elif entry.kind == "break":
        yield from (f"{_when(entry)} {sentence('where', code)}" for code in entry.reasons)
    else:
        yield f"{_when(entry)} {sentence('kind', entry.kind)}"
        yield from (
            f"- {name}: {' '.join(value) if isinstance(value, list) else value}"
            for name, value in entry.json().items()
            if name not in ("kind", "time", "number")
        )


def _passage(entry: Entry) -> str:
    num_bytes = entry.bytes_in if entry.kind == "received" else entry.bytes_out
    return t(
        f"ledger.passage_{entry.kind}",
        bytes=f"{num_bytes or 0:,}",
        destination=entry.destination or "?",
        purpose=entry.purpose or "?",
    )


def _when(entry: Entry) -> str:
    return datetime.fromisoformat(entry.time).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _percent(probability: float) -> str:
    return f"{probability * 100:.0f}"
