"""The kinds of command: a group that imports a command when it is used, and commands that all take
the global options, before or after their own.

Knows click and the sentences; knows nothing of what commands do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t

F = TypeVar("F", bound=Callable[..., Any])

WIDTH = 88

pass_output = click.make_pass_decorator(Output, ensure=True)


def output_of(context: click.Context) -> Output:
    """The one output of this run."""
    return context.find_root().ensure_object(Output)


class _Translated(click.Command):
    """A command whose help has our own headings, and whose lines stay readable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("context_settings", {}).setdefault("max_content_width", WIDTH)
        kwargs["help"] = _paragraphs(kwargs.get("help") or "")
        super().__init__(*args, **{**kwargs, "add_help_option": False})
        self.params += _global_options()

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = " ".join(self.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, pieces, prefix=f"{t('cli.usage')} ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [
            record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and (record := parameter.get_help_record(ctx))
        ]
        with formatter.section(t("cli.options")):
            formatter.write_dl(records)


class Command(_Translated):
    """A command."""


class Group(_Translated, click.Group):
    """A command with subcommands."""

    command_class = Command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and self.no_args_is_help and not ctx.resilient_parsing:
            if output_of(ctx).json:
                raise UsageError(
                    t("cli.missing", name="COMMAND"), t("cli.see_help", command=ctx.command_path)
                )
            click.echo(self.get_help(ctx), color=ctx.color)
            ctx.exit()
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, (c.help or "").partition("\n")[0]) for name, c in self.commands.items()]
        with formatter.section(t("cli.commands")):
            formatter.write_dl(rows)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        command = self.get_command(ctx, args[0])
        if command is None and not ctx.resilient_parsing and not args[0].startswith("-"):
            raise _unknown(args[0], ctx, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class LazyGroup(Group):
    """A group that knows its commands by name; ``sections`` maps a heading's key to
    name → ``module:attribute``."""

    def __init__(
        self,
        *args: Any,
        sections: Mapping[str, Mapping[str, str]],
        aliases: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._aliases = aliases
        self._places = {name: place for part in sections.values() for name, place in part.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = self._places.get(self._aliases.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The first line of each command's help, without importing the command.
        for key, part in self._sections.items():
            with formatter.section(t(f"cli.{key}")):
                formatter.write_dl([(name, short_help(name)) for name in part])


def short_help(name: str) -> str:
    """The first line of a command's help."""
    return t(f"cli.{name}_help").partition("\n")[0]


def command(name: str, group: Group | None = None, **settings: Any) -> Callable[[F], Command]:
    """Declare a command; its help is ``help``, or else the sentence ``cli.<name>_help`` (with its
    group's name)."""
    key = f"{group.name}_{name}" if group else name
    if "help" not in settings:
        settings["help"] = t(f"cli.{key}_help")

    def declare(function: F) -> Command:
        made = click.command(name, cls=Command, **settings)(function)
        if group is not None:
            group.add_command(made)
        return made

    return declare


class PathName(click.Path):
    """The type of a path. An empty one, as a variable gives that is not set, is not the folder
    that we are in."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            raise UsageError(t("cli.empty_path"), t("cli.empty_path_hint"))
        return super().convert(value, param, ctx)


def words(said: str) -> str:
    """The type of what somebody says. Bytes that are no text, which Python keeps as half
    characters, become "?": neither models nor JSON take them."""
    return said.encode("utf-8", "replace").decode("utf-8")


def option(*names: str, key: str, **settings: Any) -> Callable[[F], F]:
    """An option whose help is the sentence ``cli.option_<key>``."""
    return click.option(*names, help=t(f"cli.option_{key}"), **settings)


def model_option() -> Callable[[F], F]:
    """``--model NAME``, completed from the models that are here."""
    return option("--model", key="model", metavar="NAME", shell_complete=complete_models)


def model_argument(**settings: Any) -> Callable[[F], F]:
    """A model's name as an argument, completed from the models that are here, and those with an
    adapter."""
    name = settings.pop("name", "name")
    return click.argument(name, shell_complete=complete_models, **settings)


def complete_models(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Names for the shell; silent when anything is wrong, for there is nobody to tell."""
    try:
        from ondol.config import load
        from ondol.models.adapters import AdapterStore
        from ondol.models.store import ModelStore

        store = ModelStore(load().models_dir)
        names = [model.name for model in (*store.list(), *AdapterStore(store).models())]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def _global_options() -> list[click.Parameter]:
    def flag(name: str, hidden: bool = False) -> click.Option:
        key = name.strip("-").replace("-", "_")
        return click.Option(
            [name, f"global_{key}"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            hidden=hidden,
            help=t(f"cli.option_{key}"),
            callback=_remember,
        )

    show_help = click.Option(
        ["-h", "--help", "global_help"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        help=t("cli.option_help"),
        callback=_show_help,
    )
    return [flag("--json"), flag("--quiet"), flag("--no-color"), flag("--debug"), show_help]


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value:
        setattr(output_of(context), str(parameter.name).removeprefix("global_"), True)


def _show_help(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        click.echo(context.get_help(), color=context.color)
        context.exit()


def _paragraphs(text: str) -> str:
    r"""Indented lines are examples: click keeps their line breaks after a ``\b``."""
    return "\n\n".join(
        f"\b\n{part}" if part.startswith("  ") else part for part in text.split("\n\n")
    )


def _unknown(name: str, context: click.Context, names: list[str]) -> UsageError:
    near = get_close_matches(name, names, n=1)
    hint = (
        t("cli.did_you_mean", command=f"{context.command_path} {near[0]}")
        if near
        else t("cli.see_help", command=context.command_path)
    )
    return UsageError(t("cli.no_such_command", name=name), hint)
