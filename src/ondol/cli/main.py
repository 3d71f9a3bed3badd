"""The ``ondol`` command: the list of commands, the global options, one way in and one way out.

``run`` takes arguments and returns an exit code; nothing it is given makes it raise.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import IO, Any

import click

from ondol import __version__, i18n
from ondol.cli import failures
from ondol.cli.command import LazyGroup
from ondol.cli.output import Output
from ondol.egress import guard
from ondol.i18n import t

COMPLETE = "_ONDOL_COMPLETE"

SECTIONS = {
    "section_answers": {
        "ask": "ondol.cli.ask:ask",
        "search": "ondol.cli.documents:search",
        "run": "ondol.cli.chat:run",
        "why": "ondol.cli.why:why",
        "thumb": "ondol.cli.feedback:thumb",
        "feedback": "ondol.cli.samples:feedback",
        "calibrate": "ondol.cli.calibrate:calibrate",
    },
    "section_documents": {
        "add": "ondol.cli.add:add",
        "sync": "ondol.cli.add:sync",
        "forget": "ondol.cli.forget:forget",
        "collection": "ondol.cli.collections:collection",
        "sensitivity": "ondol.cli.collections:limit",
        "lock": "ondol.cli.lock:lock",
        "unlock": "ondol.cli.lock:unlock",
        "remember": "ondol.cli.memory:remember",
        "memory": "ondol.cli.memory_group:memory",
        "persona": "ondol.cli.persona:persona",
        "pin": "ondol.cli.pins:pin",
        "unpin": "ondol.cli.pins:unpin",
        "pins": "ondol.cli.pins:pins",
        "library": "ondol.cli.library:library",
        "backup": "ondol.cli.backup:backup",
        "restore": "ondol.cli.backup:restore",
    },
    "section_models": {
        "pull": "ondol.cli.models:pull",
        "list": "ondol.cli.models:list_models",
        "show": "ondol.cli.models:show",
        "create": "ondol.cli.create:create",
        "cp": "ondol.cli.models:cp",
        "rm": "ondol.cli.models:rm",
        "adapters": "ondol.cli.adapters:adapters",
        "pack": "ondol.cli.pack:pack",
        "train": "ondol.cli.train:train",
        "recommend": "ondol.cli.recommend:recommend",
        "hub": "ondol.cli.hub:hub",
        "update": "ondol.cli.update:update",
    },
    "section_lab": {
        "tune": "ondol.cli.tune:tune",
        "engine": "ondol.cli.engine:engine",
        "bench": "ondol.cli.bench:bench",
        "perplexity": "ondol.cli.perplexity:perplexity",
        "eval": "ondol.cli.eval:evaluate",
        "explore": "ondol.cli.explore:explore",
        "redteam": "ondol.cli.redteam:redteam",
    },
    "section_server": {
        "up": "ondol.cli.server:up",
        "down": "ondol.cli.server:down",
        "serve": "ondol.cli.server:serve",
        "home": "ondol.cli.home_federation:home",
        "join": "ondol.cli.joining:join",
        "federation": "ondol.cli.federation:federation",
        "mcp": "ondol.cli.mcp:mcp",
        "key": "ondol.cli.key:key",
        "ps": "ondol.cli.loaded:ps",
        "stop": "ondol.cli.loaded:stop",
    },
    "section_trust": {
        "ledger": "ondol.cli.ledger:ledger",
        "report": "ondol.cli.report:report",
        "airgap": "ondol.cli.airgap:airgap",
    },
    "section_settings": {
        "config": "ondol.cli.config:config",
        "doctor": "ondol.cli.doctor:doctor",
        "completion": "ondol.cli.completion:completion",
    },
}


def make_group() -> LazyGroup:
    """The root command, in the language in force."""
    return LazyGroup(
        "ondol",
        sections=SECTIONS,
        aliases={"ls": "list", "start": "serve", "adapter": "adapters"},
        help=t("cli.ondol_help"),
        invoke_without_command=True,
        callback=_welcome,
        params=[_version_option()],
        subcommand_metavar="COMMAND …",
    )


def main() -> None:
    """The process: runs the command line and exits."""
    guard.install()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line; the exit code."""
    failures.exit_on_signals()
    for stream in (sys.stdout, sys.stderr):
        _print_anything(stream)
    output = Output()
    try:
        _speak_as_configured()
        group = make_group()
        if COMPLETE in os.environ:
            group.main(prog_name="ondol", complete_var=COMPLETE)
        with group.make_context("ondol", list(arguments), obj=output) as context:
            group.invoke(context)
        sys.stdout.flush()
        return failures.exit_code()
    except BaseException as error:
        # A command line that cannot be read has not set the options that come after the mistake.
        output.json = output.json or _has("--json", arguments)
        output.debug = output.debug or _has("--debug", arguments)
        return _report(error, output)


def _has(flag: str, arguments: Sequence[str]) -> bool:
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return flag in options


def _report(error: BaseException, output: Output) -> int:
    try:
        code = failures.report(error, output)
        sys.stdout.flush()
        return code
    except BrokenPipeError as gone:
        return failures.report(gone, output)


def _speak_as_configured() -> None:
    """The setting ``language`` decides, where the environment does not."""
    if os.environ.get("ONDOL_LANGUAGE"):
        return
    from ondol import config, paths
    from ondol.errors import ConfigError

    try:
        i18n.speak(str(config.read_file(paths.config_file()).get("language", "auto")))
    except ConfigError:
        pass  # whoever reads the settings will say so


def _print_anything(stream: IO[str]) -> None:
    """A letter the terminal lacks is shown as an escape; it is no reason to fail."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


@click.pass_context
def _welcome(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        context.find_object(Output).line(t("cli.welcome"))  # type: ignore[union-attr]


def _version_option() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        if value and not context.resilient_parsing:
            click.echo(f"ondol {__version__}")
            context.exit()

    return click.Option(
        ["--version", "global_version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        help=t("cli.option_version"),
        callback=show,
    )
