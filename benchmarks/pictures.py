"""The house style of every benchmark's picture: ``figure`` begins one, ``save`` writes it as SVG.

Knows colours, letters and axes; nothing of what is measured. The file is the same byte for byte
when it is drawn again from the same results: no date, no path, no random ids. Called by
``benchmarks/*/run.py``; raises what matplotlib raises.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#3a2f28"
MUTED = "#8a7b70"
GRID = "#e9dfd6"
PAPER = "#fffaf5"
ACCENT = "#c8552b"
PALETTE = (ACCENT, "#e0a458", "#7d8f69", "#5f6f8c", "#9c6b8f", "#b7a99a")
"""The first is for Ondol, or for what the picture is about; the last is for a yardstick."""
YARDSTICK = PALETTE[-1]

_STYLE = {
    "svg.fonttype": "path",  # the same letters wherever it is looked at
    "svg.hashsalt": "ondol",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.facecolor": PAPER,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "figure.facecolor": PAPER,
    "savefig.facecolor": PAPER,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "lines.markersize": 6,
}


def figure(
    title: str,
    subtitle: str = "",
    *,
    size: tuple[float, float] = (8, 4.5),
    columns: int = 1,
    rows: int = 1,
) -> tuple[Figure, Any]:
    """A figure and its axes: one ``Axes``, or an array of them where there is more than one column
    or row. The title says what was found, the subtitle on what and how."""
    import matplotlib

    matplotlib.use("svg")
    from cycler import cycler
    from matplotlib import pyplot

    matplotlib.rcParams.update({**_STYLE, "axes.prop_cycle": cycler(color=PALETTE)})
    fig, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    # Room above the axes for both lines, in inches whatever the size.
    above = 0.75 if subtitle else 0.45
    fig.get_layout_engine().set(rect=(0, 0, 1, 1 - above / size[1]), w_pad=0.12, h_pad=0.08)
    left = 0.12 / size[0]
    fig.text(left, 1 - 0.12 / size[1], title, size=13, weight="bold", va="top")
    fig.text(left, 1 - 0.44 / size[1], subtitle, size=9, color=MUTED, va="top")
    return fig, axes


def bars(
    ax: Axes,
    groups: dict[str, dict[str, float]],
    *,
    unit: str = "",
    form: str = "{:.0f}",
    colours: dict[str, str] | None = None,
    has_legend: bool = True,
    has_figures: bool = True,
) -> None:
    """Grouped upright bars, each with its figure on it: ``{series: {group: value}}``. A series may
    lack a group."""
    names = list(dict.fromkeys(name for series in groups.values() for name in series))
    width = 0.8 / len(groups)
    for number, (series, values) in enumerate(groups.items()):
        places = [names.index(name) + (number - (len(groups) - 1) / 2) * width for name in values]
        colour = (colours or {}).get(series, PALETTE[number % len(PALETTE)])
        drawn = ax.bar(places, list(values.values()), width * 0.92, label=series, color=colour)
        if has_figures:
            ax.bar_label(drawn, [form.format(v) for v in values.values()], size=8, padding=2)
    ax.set_xticks(range(len(names)), names)
    ax.grid(axis="x", visible=False)
    ax.set_ylabel(unit)
    if has_legend and len(groups) > 1:
        where = {"loc": "upper left", "bbox_to_anchor": (0, 1.12), "borderaxespad": 0}
        # Wider than its axes it may be; it must not make them narrower. An empty title keeps its
        # line free.
        ax.legend(ncols=len(groups), **where).set_in_layout(False)
        ax.set_title(" ", loc="center", pad=18)


def save(fig: Figure, path: Path | str) -> None:
    """Write the picture, with a line end at its end as every text file here has it."""
    from matplotlib import pyplot

    nothing = {"Date": None, "Creator": None, "Format": None, "Type": None}
    fig.savefig(path, format="svg", metadata=nothing)
    pyplot.close(fig)
    # matplotlib leaves spaces at line ends, which git and editors take away.
    lines = Path(path).read_text("utf-8").splitlines()
    Path(path).write_text("\n".join(line.rstrip() for line in lines) + "\n", "utf-8")
