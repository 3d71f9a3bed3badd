"""``ondol config``: see and change settings. Comments in config.toml stay.

A value is checked before it is written, and the file is replaced at once or not at all. The API
key is shown only to who asks for it by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import Group, command, pass_output
from ondol.cli.output import Output
from ondol.i18n import t

if TYPE_CHECKING:
    import tomlkit

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
    from ondol.config import parse, setting

    wanted = setting(name)
    parsed = parse(wanted, value, t("config.a_flag"))
    write_setting(name, list(parsed) if isinstance(parsed, tuple) else parsed)
    _report(output, wanted, parsed)


def write_setting(name: str, value: object) -> None:
    """Put a value that has been checked into config.toml."""
    from ondol import paths

    file = paths.config_file()
    document = _read(file)
    _put(document, name, value)
    _write(file, document)


@command("unset", config)
@setting_argument
@pass_output
def unset(output: Output, name: str) -> None:
    from ondol import paths
    from ondol.config import setting

    wanted = setting(name)
    file = paths.config_file()
    document = _read(file)
    if _take(document, name):
        _write(file, document)
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


def _read(file: Path) -> tomlkit.TOMLDocument:
    import tomlkit

    from ondol.config import read_file

    read_file(file)  # says what is wrong with it, if anything
    return tomlkit.parse(file.read_text(encoding="utf-8")) if file.exists() else tomlkit.document()


def _write(file: Path, document: tomlkit.TOMLDocument) -> None:
    import tomlkit

    from ondol import paths

    paths.ensure(file.parent)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        # It may hold a key: nobody else's business from its first byte.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(tomlkit.dumps(document))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise paths.storage_error(error, file) from error


def _put(document: Any, name: str, value: object) -> None:
    import tomlkit

    table, _, key = name.rpartition(".")
    if table and table not in document:
        document[table] = tomlkit.table()
    (document[table] if table else document)[key] = value


def _take(document: Any, name: str) -> bool:
    table, _, key = name.rpartition(".")
    place = document.get(table, {}) if table else document
    return place.pop(key, None) is not None


def _is_secret(setting: Setting, value: object) -> bool:
    return setting.name == SECRET and bool(value)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(value) if isinstance(value, tuple) else str(value)
