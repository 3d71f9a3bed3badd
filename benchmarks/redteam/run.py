"""Does anything get through? ``ondol redteam`` in full, as a figure.

.venv/bin/python benchmarks/redteam/run.py [--quick] [--write]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import pictures

from ondol.cli.redteam import CHILD
from ondol.config import load
from ondol.i18n import use_language
from ondol.lab.redteam import running
from ondol.models.hardware import machine

HERE = Path(__file__).parent
NAMES = {
    "orders": "orders in\ndocuments",
    "releases": "models and\nadapters",
    "documents": "documents",
    "doors": "the door",
    "requests": "requests",
    "egress": "what leaves",
}


def picture(found: dict[str, Any]) -> None:
    through = found["got_through"]
    title = (
        f"{found['attacks']:,} attacks on one's own installation, {through or 'none'} got through"
    )
    seconds = sum(part["seconds"] for part in found["parts"])
    subtitle = f"ondol redteam, every corpus that comes with it; {seconds / 60:.0f} minutes"
    fig, ax = pictures.figure(title, subtitle, size=(9, 4))
    tried = {NAMES[part["name"]]: float(part["attacks"]) for part in found["parts"]}
    got = {NAMES[part["name"]]: float(part["got_through"]) for part in found["parts"]}
    colours = {"attacks": pictures.YARDSTICK, "got through": pictures.ACCENT}
    bars = {"attacks": tried, "got through": got}
    pictures.bars(ax, bars, unit="attacks", form="{:,.0f}", colours=colours)
    pictures.save(fig, HERE / "picture.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="fewer requests, and less on its way out"
    )
    parser.add_argument("--write", action="store_true", help="keep results.json and the picture")
    given = parser.parse_args()
    with use_language("en"):
        report = running.run(CHILD, load(), quick=given.quick)
    found = report.json() | {"cpu": machine().cpu}
    text = json.dumps(found, indent=1, ensure_ascii=False)
    print(text)
    if given.write:
        (HERE / "results.json").write_text(text + "\n", "utf-8")
        picture(found)
    sys.exit(0 if report.ok else 1)


if __name__ == "__main__":
    main()
