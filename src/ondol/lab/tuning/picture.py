"""The table as a picture: an SVG of what a request takes in each way, reading and writing apart.

Drawn without a library, because whoever tunes need not have one.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape

from ondol.i18n import t
from ondol.lab.tuning.choosing import Row
from ondol.lab.tuning.report import Report

WIDTH, LEFT, RIGHT, ROW, TOP = 760, 110, 150, 34, 84
READING, WRITING, PAPER, INK, MUTED = "#c2410c", "#f4a261", "#fffaf5", "#3b2f2a", "#8a7a70"
FONT = "font-family='system-ui, sans-serif'"


def drawn(report: Report) -> str:
    """The SVG."""
    rows = [row for row in report.rows if row.prefill]
    if report.chosen.running:
        rows.append(report.chosen)
    height = TOP + ROW * len(rows) + 24
    return "\n".join(
        [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img'>",
            f"<rect width='{WIDTH}' height='{height}' fill='{PAPER}'/>",
            *_head(report),
            *(line for place, row in enumerate(rows) for line in _bar(row, place, rows, report)),
            "</svg>\n",
        ]
    )


def _head(report: Report) -> Iterator[str]:
    mix = report.mix
    title = t("tune.picture_title", prompt=mix.prompt_tokens, answer=mix.answer_tokens)
    yield _text(24, 34, f"{report.model}: {title}", size=18, weight=600)
    yield _text(24, 58, f"{report.cpu} ({report.cores}), {report.engine}", colour=MUTED)


def _bar(row: Row, place: int, rows: list[Row], report: Report) -> Iterator[str]:
    mix, top = report.mix, TOP + ROW * place
    scale = (WIDTH - LEFT - RIGHT) / max(one.seconds(mix) for one in rows)
    reading = mix.prompt_tokens / row.prefill * scale
    writing = mix.answer_tokens / row.decode * scale
    is_chosen = row == report.chosen
    yield _text(LEFT - 12, top + 17, row.format, anchor="end", weight=700 if is_chosen else 400)
    yield f"<rect x='{LEFT}' y='{top}' width='{reading:.1f}' height='22' fill='{READING}'/>"
    start = LEFT + reading
    yield f"<rect x='{start:.1f}' y='{top}' width='{writing:.1f}' height='22' fill='{WRITING}'/>"
    told = f"{row.seconds(mix):.2f} s"
    if row.loss is not None:
        told += f"  {row.loss.value * 100:+.2f} %"
    yield _text(start + writing + 8, top + 17, told, weight=700 if is_chosen else 400)


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: int = 14,
    weight: int = 400,
    colour: str = INK,
    anchor: str = "start",
) -> str:
    style = f"font-size='{size}' font-weight='{weight}' fill='{colour}' text-anchor='{anchor}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {FONT} {style}>{escape(text)}</text>"
