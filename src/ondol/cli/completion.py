"""``ondol completion``: a script that makes the shell complete commands, options and names."""

from __future__ import annotations

import click

from ondol.cli.command import command, pass_output
from ondol.cli.output import Output
from ondol.i18n import t


@command("completion")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@pass_output
def completion(output: Output, shell: str) -> None:
    from click.shell_completion import get_completion_class

    from ondol.cli.main import COMPLETE

    made = get_completion_class(shell)
    assert made is not None
    root = click.get_current_context().find_root().command
    output.line(made(root, {}, "ondol", COMPLETE).source())
    output.note(t(f"cli.completion_hint_{shell}"))
