"""The group ``ondol train``, which three modules add commands to."""

from __future__ import annotations

from ondol.cli.command import Group
from ondol.i18n import t

train = Group("train", help=t("cli.train_help"), subcommand_metavar="COMMAND …")

# Without tqdm's own guess of the time left, which a resumed training misleads.
BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {postfix}"
