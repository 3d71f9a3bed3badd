"""Asks people for passphrases. What they type is never shown, and asked twice when it is new."""

from __future__ import annotations

from pathlib import Path

import click

from ondol.cli.stdin import is_terminal
from ondol.errors import LockedError, UsageError
from ondol.i18n import t


def ask_people() -> None:
    """Let whoever sits at the terminal open what is locked; call once a command."""
    from ondol import keys

    keys.ask_with(ask if is_terminal() else None)


def ask(file: Path, attempt: int) -> str:
    """The passphrase of ``file``."""
    if attempt:
        click.echo(t("encryption.wrong_passphrase", file=file), err=True)
    return _prompt(t("encryption.prompt", file=file.name))


def new_passphrase(file: Path | None) -> str:
    """A new passphrase: the first line of ``file``, or typed twice."""
    from ondol import keys

    if file is not None:
        return keys.read_file(file)
    if not is_terminal():
        raise LockedError(t("encryption.nobody_to_ask"), t("encryption.nobody_to_ask_hint"))
    first = _prompt(t("encryption.prompt_new"))
    if _prompt(t("encryption.prompt_again")) != first:
        raise UsageError(t("encryption.not_the_same"))
    return first


def _prompt(text: str) -> str:
    said: str = click.prompt(text, hide_input=True, err=True, type=str)
    return said
