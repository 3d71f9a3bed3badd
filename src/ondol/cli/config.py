"""``ondol config``: see and change settings.

A value is checked before it is written. The API key is shown only to who asks for it by name.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from ondol.cli.command import Group, command, pass_output
from ondol.cli.output import Output
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.config import Setting, Value

SECRET = "server.api_key"

config = Group("config", help=t("cli.config_help"), subcommand_metavar="COMMAND …")


def _complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from ondol.config import SETTINGS

    return [s.name for s in SETTINGS if s.name.startswith(incomplete)]


setting_argument = click.argument("name", shell_complete=_complete)


@command("list", config)
@pass_output
def list_settings(output: Output) -> None:
    from ondol.config import SETTINGS, load

    values = load()
    shown = {s.name: "…" if _is_secret(s, values[s.name]) else values[s.name] for s in SETTINGS}
    if output.json:
        output.emit({n: {"value": v, "source": values.source(n)} for n, v in shown.items()})
        return
    rows = [(n, _text(v), t(f"cli.source_{values.source(n)}")) for n, v in shown.items()]
    output.table([t(f"cli.column_{name}") for name in ("setting", "value", "source")], rows)


@command("get", config)
@setting_argument
@pass_output
def get(output: Output, name: str) -> None:
    from ondol.config import load

    values = load()
    if output.json:
        output.emit({"name": name, "value": values[name], "source": values.source(name)})
    else:
        output.line(_text(values[name]))


@command("set", config)
@setting_argument
@click.argument("value")
@pass_output
def set_setting(output: Output, name: str, value: str) -> None:
    from ondol import paths, settings_file
    from ondol.config import parse, setting

    wanted = setting(name)
    parsed = parse(wanted, value, t("config.a_flag"))
    settings_file.write(paths.config_file(), {name: parsed})
    _report(output, wanted, parsed)


@command("unset", config)
@setting_argument
@pass_output
def unset(output: Output, name: str) -> None:
    from ondol import paths, settings_file
    from ondol.config import setting

    wanted = setting(name)
    settings_file.write(paths.config_file(), {name: None})
    _report(output, wanted, wanted.default)


def _report(output: Output, changed: Setting, value: Value) -> None:
    """What is so from now on, and whether something else still wins."""
    from ondol import paths

    shown = "…" if _is_secret(changed, value) else value
    if output.json:
        output.emit({"name": changed.name, "value": shown})
    else:
        output.line(f"{changed.name} = {_text(shown)}")
    if changed.name == "models.embedding" and paths.database_file().exists():
        output.note(t("vectors.reembed_first"))
    if os.environ.get(changed.env):
        output.note(t("cli.environment_wins", env=changed.env))


def _is_secret(setting: Setting, value: object) -> bool:
    return setting.name == SECRET and bool(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)
