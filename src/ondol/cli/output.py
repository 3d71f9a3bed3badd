"""What a command says: its result on stdout, everything else on stderr.

Result: text or a table, one JSON object with ``--json``, bare names with ``--quiet``. Notes and
progress are silent with either. Text from documents and models is stripped of control characters,
so that no file can drive the terminal.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from shutil import get_terminal_size
from typing import Any

import click

# Everything below space but tab and line feed, delete, the C1 controls, and what turns the order of
# letters around, so that "exe.jpg" is written and "gpj.exe" is read.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_ESCAPED = re.compile(r"[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


@dataclass(slots=True)
class Output:
    """One run's stdout and stderr, as the global options ask for it."""

    json: bool = False
    quiet: bool = False
    no_color: bool = False
    debug: bool = False

    @property
    def color(self) -> bool | None:
        """False: none at all. None: where it goes to a terminal."""
        return False if self.no_color or os.environ.get("NO_COLOR") else None

    @property
    def has_progress(self) -> bool:
        """Whether progress is drawn: only for somebody who watches."""
        return not (self.json or self.quiet) and sys.stderr.isatty()

    def emit(self, value: object) -> None:
        """The result as one JSON object."""
        import json

        indent = 2 if sys.stdout.isatty() else None
        text = json.dumps(value, ensure_ascii=False, indent=indent)
        click.echo(_ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))

    def line(self, text: str = "", **style: Any) -> None:
        """A line of the result."""
        click.echo(click.style(text, **style) if style else text, color=self.color)

    def write(self, text: str) -> None:
        """A piece of the result, shown at once."""
        click.echo(text, nl=False, color=self.color)

    def note(self, text: str, **style: Any) -> None:
        """Something to know that is not the result."""
        if not (self.json or self.quiet):
            click.echo(click.style(text, **style) if style else text, err=True, color=self.color)

    def warn(self, text: str) -> None:
        """Something that went wrong and did not stop the work; JSON says it in its own way."""
        if not self.json:
            click.echo(clean(text), err=True)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns padded to their width on the screen; with ``--quiet`` the first column only."""
        if self.quiet:
            for row in rows:
                self.line(name_line(row[0]))
            return
        cells = [list(columns), *([one_line(cell) for cell in row] for row in rows)]
        widths = [max(width(row[i]) for row in cells) for i in range(len(columns))]
        for number, row in enumerate(cells):
            padded = (c + " " * (w - width(c)) for c, w in zip(row, widths, strict=True))
            self.line("   ".join(padded).rstrip(), **({"bold": True} if number == 0 else {}))

    @contextmanager
    def bar(self, total: int | None, *, is_shown: bool = True, **settings: Any) -> Iterator[Any]:
        """A progress bar on stderr; one that shows nothing when nobody watches."""
        from tqdm import tqdm

        disable = not (is_shown and self.has_progress)
        # tqdm, asked to find out itself, draws nothing on a terminal that gives no size.
        columns, lines = get_terminal_size()
        settings = {"leave": False, "ncols": columns, "nrows": lines, **settings}
        with tqdm(total=total, file=sys.stderr, disable=disable, **settings) as bar:
            yield bar


def clean(text: str) -> str:
    """``text`` without the characters that could drive a terminal."""
    return _CONTROL.sub("", text)


def one_line(text: str) -> str:
    """``text`` on one line."""
    return clean(" ".join(text.split()))


def name_line(name: str) -> str:
    """``name`` on a line of its own. A line feed is a letter of a name like any other: nobody's
    file adds a line, or the name of another."""
    shown = name.replace("\n", "\\n").replace("\t", "\\t")
    return clean(shown.replace("\u2028", "").replace("\u2029", ""))


def width(text: str) -> int:
    """Columns that ``text`` takes on a screen; Korean letters take two."""
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def place(source: str, page: int | None = None) -> str:
    """Where something stands, as short as it can be said from here."""
    try:
        near = os.path.relpath(source) if os.path.isabs(source) else source
    except ValueError:  # on another drive
        near = source
    shown = name_line(source if near.startswith("..") else near)
    return shown if page is None else f"{shown}:{page}"
