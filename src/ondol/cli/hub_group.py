"""The group ``ondol hub``, which several modules add commands to; ``ondol.cli.hub`` loads them."""

from __future__ import annotations

from ondol.cli.command import Group
from ondol.i18n import t

hub = Group("hub", help=t("cli.hub_help"), subcommand_metavar="COMMAND …")
