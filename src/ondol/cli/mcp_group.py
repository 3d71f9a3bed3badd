"""The group ``ondol mcp``, which two modules add commands to."""

from __future__ import annotations

from ondol.cli.command import Group
from ondol.i18n import t

mcp = Group("mcp", help=t("cli.mcp_help"), subcommand_metavar="COMMAND …")
