"""What attacks came to: by part how many there were, what got through, and what could not be tried.

Knows no part and no attack; ``running`` fills it, the command line shows it, and ``markdown`` is
what can be handed on: no path, no name and no text of its owner is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ondol.i18n import t

MOST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Breach:
    """One attack that got through: which, and what was seen."""

    attack: str
    told: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one part found. ``figures`` are its own numbers, for who knows the part."""

    attacks: int
    breaches: tuple[Breach, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> dict[str, Any]:
        """As a part's process says it; the first breaches in words, and how many there are."""
        shown = [{"attack": b.attack, "told": b.told} for b in self.breaches[:MOST_SHOWN]]
        return {
            "attacks": self.attacks,
            "got_through": len(self.breaches),
            "breaches": shown,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a report. ``status``: "held", "got_through", "not_run" (this system cannot;
    ``reason`` says why) or "broken" (it did not come to its end)."""

    name: str
    status: str
    seconds: float = 0.0
    attacks: int = 0
    got_through: int = 0
    breaches: tuple[Breach, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    @classmethod
    def of(cls, name: str, said: Mapping[str, Any], seconds: float) -> Part:
        """From what the part's process said (``Outcome.json``)."""
        breaches = tuple(Breach(b["attack"], b["told"]) for b in said["breaches"])
        return cls(
            name,
            "got_through" if said["got_through"] else "held",
            seconds,
            said["attacks"],
            said["got_through"],
            breaches,
            said["figures"],
        )

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "name": self.name,
            "status": self.status,
            "attacks": self.attacks,
            "got_through": self.got_through,
            "seconds": round(self.seconds, 1),
            "breaches": [{"attack": b.attack, "told": b.told} for b in self.breaches],
            "figures": dict(self.figures),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """All parts, and what was attacked."""

    about: Mapping[str, str]
    parts: Sequence[Part]

    @property
    def attacks(self) -> int:
        return sum(part.attacks for part in self.parts)

    @property
    def got_through(self) -> int:
        return sum(part.got_through for part in self.parts)

    @property
    def ok(self) -> bool:
        """Nothing got through, every part came to its end, and there was one that ran."""
        states = {part.status for part in self.parts}
        return "held" in states and not states & {"got_through", "broken"}

    def json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "ok": self.ok,
            **self.about,
            "attacks": self.attacks,
            "got_through": self.got_through,
            "parts": [part.json() for part in self.parts],
        }


def markdown(report: Report) -> str:
    """The report as a page: what was attacked, with what, what came of it, how to do it again."""
    columns = [t(f"redteam.column_{name}") for name in ("part", "attacks", "through", "seconds")]
    about = "\n".join(f"- {key}: {value}" for key, value in report.about.items())
    lines = [
        f"# {t('redteam.title')}",
        "",
        verdict(report),
        "",
        about,
        "",
        f"| {' | '.join(columns)} |",
        "|---|---:|---:|---:|",
        *(f"| {' | '.join(row(part))} |" for part in report.parts),
        "",
    ]
    for part in report.parts:
        lines += [f"## {t(f'redteam.part_{part.name}')}", "", t(f"redteam.about_{part.name}"), ""]
        if part.reason:
            lines += [part.reason, ""]
        lines += [f"- **{_cell(b.attack)}**: {_cell(b.told)}" for b in part.breaches]
        lines += [f"- {key}: {_cell(str(value))}" for key, value in part.figures.items()]
        lines.append("")
    lines += [t("redteam.again"), "", "```", report.about.get("command", "ondol redteam"), "```"]
    return "\n".join(lines) + "\n"


def row(part: Part) -> list[str]:
    """A part as a line of a table."""
    through = {
        "held": "0",
        "got_through": str(part.got_through),
        "not_run": t("redteam.not_run"),
        "broken": t("redteam.broken"),
    }[part.status]
    attacks = f"{part.attacks:,}" if part.attacks else "–"
    return [t(f"redteam.part_{part.name}"), attacks, through, f"{part.seconds:.0f}"]


def verdict(report: Report) -> str:
    """The report in one sentence."""
    count = f"{report.attacks:,}"
    left = [t(f"redteam.part_{p.name}") for p in report.parts if p.status in ("not_run", "broken")]
    if report.got_through:
        told = t("redteam.got_through", count=count, through=f"{report.got_through:,}")
    else:
        told = t("redteam.held", count=count)
    return f"{told} {t('redteam.left_out', parts=', '.join(left))}" if left else told


def _cell(text: str) -> str:
    """Text that was made to attack, where Markdown is read: nothing in it is a mark."""
    plain = " ".join(text.split())[:400]
    return "".join(c if c.isalnum() or c in " .,:;-/()%+='" else f"&#{ord(c)};" for c in plain)
