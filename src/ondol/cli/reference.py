"""The reference pages: ``docs/cli.md`` from ``--help``, the settings table in
``docs/configuration.md`` from ``config.SETTINGS``.

``python -m ondol.cli.reference docs`` writes both; a test says when they are out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ondol import i18n
from ondol.config import SETTINGS, Setting

BEGIN = "<!-- settings:begin (python -m ondol.cli.reference docs) -->"
END = "<!-- settings:end -->"
WIDTH = 88


def pages(directory: Path) -> dict[Path, str]:
    """What each page should say."""
    settings = directory / "configuration.md"
    before, rest = settings.read_text("utf-8").split(BEGIN)
    _, after = rest.split(END)
    return {
        directory / "cli.md": command_page(),
        settings: f"{before}{BEGIN}\n{settings_table()}\n{END}{after}",
    }


def command_page() -> str:
    """Every command's help, in the order of ``ondol --help``."""
    from ondol.cli.main import make_group

    text = i18n.t("cli.reference_intro").strip()
    sections = [f"## `{path}`\n\n```text\n{help_}\n```" for path, help_ in _helps(make_group())]
    return "\n\n".join([f"# Commands\n\n{text}", *sections]) + "\n"


def settings_table() -> str:
    """One row a setting."""
    rows = ["| setting | variable | default | what it does |", "|---|---|---|---|"]
    return "\n".join([*rows, *(_row(setting) for setting in SETTINGS)])


def _helps(root: click.Command) -> Iterator[tuple[str, str]]:
    waiting: list[tuple[click.Command, str, click.Context | None]] = [(root, "ondol", None)]
    while waiting:
        command, name, parent = waiting.pop(0)
        context = click.Context(command, parent, name, terminal_width=WIDTH)
        yield context.command_path, command.get_help(context)
        if isinstance(command, click.Group):
            children = [
                (child, child_name, context)
                for child_name in command.list_commands(context)
                if (child := command.get_command(context, child_name)) is not None
            ]
            waiting = [*children, *waiting]


def _row(setting: Setting) -> str:
    default = setting.default
    shown = ", ".join(default) if isinstance(default, tuple) else str(default)
    if isinstance(default, bool):
        shown = shown.lower()
    limits = ""
    if setting.choices:
        limits = f" One of: {', '.join(f'`{choice}`' for choice in setting.choices)}."
    elif setting.minimum is not None:
        limits = f" {setting.minimum:,.0f} to {setting.maximum:,.0f}."
    cell = f"`{shown}`" if shown else "(empty)"
    return f"| `{setting.name}` | `{setting.env}` | {cell} | {setting.help}{limits} |"


if __name__ == "__main__":
    i18n.speak("en")
    for path, text in pages(Path(sys.argv[1])).items():
        path.write_text(text, encoding="utf-8")
