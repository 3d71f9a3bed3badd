"""The group ``ondol adapters``, which several modules add commands to, and names for the shell."""

from __future__ import annotations

import click

from ondol.cli.command import Group
from ondol.i18n import t

adapters = Group("adapters", help=t("cli.adapters_help"), subcommand_metavar="COMMAND …")


def complete_adapters(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[str]:
    """Full names of adapters; silent when anything is wrong, for there is nobody to tell."""
    from ondol.config import load
    from ondol.models.adapters import AdapterStore
    from ondol.models.store import ModelStore

    try:
        names = [a.full_name for a in AdapterStore(ModelStore(load().models_dir)).list()]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]
