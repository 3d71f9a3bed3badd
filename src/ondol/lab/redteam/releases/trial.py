"""Every malformed release, looked at by the scanner: one that passes would have been loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ondol.hub.scan import scan
from ondol.lab.redteam.releases.collected import all_cases, written
from ondol.lab.redteam.report import Breach, Outcome

HELPLESS = {"ended_child", "not_looked", "too_slow", "too_much_memory", "unreadable"}
"""Refused, but only because something gave in."""
AT_ONCE = 100


def releases(folder: Path, progress: Callable[[int, int], None]) -> Outcome:
    """Scan all of the corpus; ``folder`` takes its files."""
    cases = {str(number): case for number, case in enumerate(all_cases())}
    breaches: list[Breach] = []
    protections: set[str] = set()
    for done in range(0, len(cases), AT_ONCE):
        progress(done, len(cases))
        some = dict(list(cases.items())[done : done + AT_ONCE])
        place = folder / str(done)
        place.mkdir(parents=True)
        report = scan(written(some, place))
        protections |= set(report.protections)
        found: dict[str, list[str]] = {}
        for finding in report.findings:
            found.setdefault(finding.file.partition("/")[0], []).append(finding.code)
        for number, case in some.items():
            codes = found.get(number, [])
            if not codes:
                breaches.append(Breach(case.name, "it passed"))
            elif HELPLESS & set(codes):
                breaches.append(Breach(case.name, f"the scanner gave in: {', '.join(codes)}"))
    kinds = {case.shape for case in cases.values() if case.shape}
    figures = {"published_holes": len(kinds), "protections": ", ".join(sorted(protections))}
    return Outcome(len(cases), tuple(breaches), figures)
