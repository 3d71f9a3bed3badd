"""Draws docs/pictures/ask.svg: real commands, run now, as a terminal shows them.

``.venv/bin/python docs/pictures/terminal.py``
"""

from __future__ import annotations

import subprocess
import sys
from html import escape
from pathlib import Path
from unicodedata import east_asian_width

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
QUESTIONS = (
    ("When was the boiler serviced?", "docs/example"),
    ("새 창고의 임대료는 얼마인가요?", "docs/example"),
    ("Who won the 1998 World Cup?", "docs/example"),
)
WIDTH, LINE, LEFT, COLUMNS = 860, 21, 24, 94


def lines() -> list[tuple[str, str]]:
    """(class, text) for every line of the picture."""
    shown: list[tuple[str, str]] = []
    for question, folder in QUESTIONS:
        shown.append(("prompt", f'$ ondol ask "{question}" {folder}'))
        command = [sys.executable, "-m", "ondol", "ask", question, folder, "--quiet"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        for line in done.stdout.rstrip().splitlines():
            kind = "quote" if line.startswith("[") else "source" if line.startswith("  ") else "say"
            shown.extend((kind, part) for part in wrapped(line))
        shown.append(("say", ""))
    return shown[:-1]


def wrapped(line: str) -> list[str]:
    parts, width = [""], 0
    for character in line:
        width += 2 if east_asian_width(character) in "WF" else 1
        if width > COLUMNS:
            parts.append("    ")
            width = 5
        parts[-1] += character
    return parts


def draw(rows: list[tuple[str, str]]) -> str:
    height = LINE * len(rows) + 70
    texts = "\n".join(
        f'<text x="{LEFT}" y="{62 + LINE * n}" class="{kind}" xml:space="preserve">'
        f"{escape(text)}</text>"
        for n, (kind, text) in enumerate(rows)
        if text
    )
    dots = "".join(
        f'<circle cx="{LEFT + 4 + 18 * n}" cy="22" r="6" fill="{colour}"/>'
        for n, colour in enumerate(("#d9695f", "#dba94b", "#6faa5d"))
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}"
  viewBox="0 0 {WIDTH} {height}" role="img" aria-label="ondol ask in a terminal">
<style>
text {{ font: 14px ui-monospace, SFMono-Regular, Menlo, Consolas, "Noto Sans Mono CJK KR",
  "D2Coding", monospace; fill: #e8e2d8 }}
.prompt {{ fill: #e9a35f; font-weight: 600 }} .quote {{ fill: #f4eee2 }} .source {{ fill: #8f887c }}
</style>
<rect width="{WIDTH}" height="{height}" rx="10" fill="#231f1b"/>
{dots}
{texts}
</svg>
"""


if __name__ == "__main__":
    (HERE / "ask.svg").write_text(draw(lines()), "utf-8")
