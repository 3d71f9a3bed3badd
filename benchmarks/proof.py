"""The picture in the README: what the benchmarks beside it found, four of them at a glance.

``proof.py`` draws ``docs/pictures/proof.svg`` from their ``results.json``; it measures nothing.
What is measured anew is in the picture when that is drawn anew (``tests/test_proof_picture.py``).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PICTURE = HERE.parent / "docs" / "pictures" / "proof.svg"
NEEDLES = "4000"
KNOWN = "1500"


def main() -> None:
    draw(PICTURE)


def draw(path: Path) -> None:
    """Write the picture."""
    sys.path.insert(0, str(HERE))
    import pictures

    fig, axes = pictures.figure(
        "What Ondol makes of a model of 135 million parameters, on two cores",
        "smollm2:135m; each figure with its command: docs/measured.md",
        size=(10, 6.4),
        columns=2,
        rows=2,
    )
    panels = (_words(), _facts(), _request(), _first_word())
    for ax, (title, unit, form, values) in zip(axes.flat, panels, strict=True):
        colours = [pictures.YARDSTICK] * (len(values) - 1) + [pictures.ACCENT]
        drawn = ax.bar(list(values), list(values.values()), 0.6, color=colours)
        ax.bar_label(drawn, [form.format(v) for v in values.values()], size=9, padding=2)
        ax.set_title(title, size=10.5, weight="bold")
        ax.set_ylabel(unit)
        ax.margins(y=0.18)
        ax.grid(axis="x", visible=False)
    pictures.save(fig, path)


Panel = tuple[str, str, str, dict[str, float]]


def _words() -> Panel:
    found = _results("grounding")["sets"]["unseen articles"]
    right = {side: 100 * found[side]["accuracy"]["value"] for side in ("off", "on")}
    values = {"the model": right["off"], "with Ondol's\nadapter": right["on"]}
    return "Its own words hold the answer", "% of 276 questions", "{:.0f}", values


def _facts() -> Panel:
    found = _results("needle")["lengths"][NEEDLES]
    values = {
        "the text\nread whole": 100 * found["whole"]["share"],
        "ondol ask": 100 * found["retrieval"]["share"],
    }
    return "Nine facts hidden in 4,000 tokens", "% found", "{:.0f}", values


def _request() -> Panel:
    found = _results("tune")["request"]["median_seconds"]
    values = {
        "as installed": found["before"],
        "native engine": found["native"],
        "and tuned": found["after"],
    }
    return "480 tokens read, 64 written", "seconds", "{:.2f}", values


def _first_word() -> Panel:
    found = _results("known_documents")["lengths"][KNOWN]["seconds"]
    values = {"read anew": found["cold"], "known\n(ondol pin)": found["restored"]}
    return "The first word about a document of 1,500 tokens", "seconds", "{:.2f}", values


def _results(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / name / "results.json").read_text("utf-8"))
    return found


if __name__ == "__main__":
    main()
