"""The drawings of a simulation's report. Run in the environment that has matplotlib:
``python -m ondol.federated.simulating.plots FOLDER`` reads report.json there and writes .png files.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DRAWINGS = ("learning", "rounds", "data")
COLOURS = {"taken": "#2f6f4f", "rolled_back": "#c0392b", "refused": "#d98c2b", "failed": "#8e8e8e"}


def main(folder: Path) -> None:
    """Draw all of ``DRAWINGS``."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    report = json.loads((folder / "report.json").read_text("utf-8"))
    for name, draw in zip(DRAWINGS, (_learning, _rounds, _data), strict=True):
        figure, axes = pyplot.subplots(figsize=(7.2, 3.8), layout="constrained")
        axes.xaxis.get_major_locator().set_params(integer=True)
        draw(axes, report)
        figure.savefig(folder / f"{name}.png", dpi=120, metadata={"Software": None})
        pyplot.close(figure)


def _learning(axes: Any, report: dict[str, Any]) -> None:
    rounds = report["rounds"]
    numbers = [0, *(one["number"] for one in rounds)]
    accuracy = [report["accuracy_before"], *(one["accuracy"] for one in rounds)]
    axes.plot(numbers, [100 * x for x in accuracy], color=COLOURS["taken"], label="shared")
    axes.axhline(100 * report["accuracy_alone"], color="#555", ls="--", lw=1, label="alone (mean)")
    for ended in ("rolled_back", "refused", "failed"):
        at = [one for one in rounds if one["ended"] == ended]
        if at:
            axes.scatter(
                [one["number"] for one in at],
                [100 * one["accuracy"] for one in at],
                color=COLOURS[ended],
                label=ended.replace("_", " "),
                s=18,
                zorder=3,
            )
    axes.set(xlabel="round", ylabel="accuracy on unseen text, %", ylim=(0, None))
    axes.grid(alpha=0.2)
    axes.legend(frameon=False, loc="lower right")


def _rounds(axes: Any, report: dict[str, Any]) -> None:
    rounds = report["rounds"]
    numbers = [one["number"] for one in rounds]
    axes.bar(numbers, [one["chosen"] for one in rounds], color="#ddd", label="asked")
    for ended, colour in COLOURS.items():
        at = [one for one in rounds if one["ended"] == ended]
        if at:
            clients = [one["clients"] for one in at]
            label = f"in the sum: {ended.replace('_', ' ')}"
            axes.bar([one["number"] for one in at], clients, color=colour, label=label)
    if any(one["attackers"] for one in rounds):
        axes.plot(numbers, [one["attackers"] for one in rounds], "k.", ms=4, label="attackers")
    axes.set(xlabel="round", ylabel="devices")
    axes.legend(frameon=False, ncols=5, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.14))


def _data(axes: Any, report: dict[str, Any]) -> None:
    labels = report["labels"]
    shares = [[count / max(1, sum(row)) for count in row] for row in labels]
    drawn = axes.imshow(shares, aspect="auto", cmap="Greens", interpolation="nearest")
    letters = [chr(ord("a") + at) for at in range(len(labels[0]))]
    axes.set_xticks(range(len(letters)), letters)
    axes.set(xlabel="letter to be found", ylabel=f"device (the first {len(labels)})")
    axes.figure.colorbar(drawn, label="share of its examples")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
