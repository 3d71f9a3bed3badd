"""Keys of a hub on the command line: which file, and its passphrase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ondol.cli import passphrase as asking
from ondol.cli.command import PathName, option
from ondol.cli.stdin import is_terminal
from ondol.errors import LockedError, SigningError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

F = TypeVar("F", bound=Callable[..., Any])

ATTEMPTS = 3


def passphrase_option(function: F) -> F:
    """``--passphrase-file FILE``."""
    return option("--passphrase-file", "passphrase_file", key="passphrase_file", type=PathName())(
        function
    )


def key_options(function: F) -> F:
    """``--key FILE``, again and again, and ``--passphrase-file FILE``."""
    text = t("hub_cli.option_key")
    declared = click.option("--key", "key_files", type=PathName(), multiple=True, help=text)
    return declared(passphrase_option(function))


def hub_argument(function: F) -> F:
    """The folder of the hub."""
    return click.argument("folder", type=PathName())(function)


def unlocked(files: Sequence[Path], passphrase_file: Path | None) -> list[CryptoSigner]:
    """The keys in ``files``. One passphrase that was given is tried on all of them; who sits at
    the terminal is asked for each that it does not open."""
    from ondol import keys as passphrases
    from ondol.hub.repository import keys

    said = passphrases.read_file(passphrase_file) if passphrase_file else passphrases.given() or ""
    found = []
    for file in files:
        for attempt in range(ATTEMPTS):
            if not said and keys.is_locked(file) and is_terminal():
                said = asking.ask(file, attempt)
            try:
                found.append(keys.load(file, said))
                break
            except SigningError:
                if passphrase_file or not keys.is_locked(file) or not is_terminal():
                    raise
                said = ""
        else:
            raise SigningError(t("hub_repository.wrong_passphrase", file=file))
    return found


def new_passphrase(passphrase_file: Path | None) -> str:
    """What new keys are sealed with; LockedError where nobody can say."""
    from ondol import keys as passphrases

    given = passphrases.given() if passphrase_file is None else None
    found = given if given is not None else asking.new_passphrase(passphrase_file)
    if not found:
        raise LockedError(t("encryption.nobody_to_ask"), t("encryption.nobody_to_ask_hint"))
    return found


def public_key(text: str) -> SSlibKey:
    """The public key that ``text`` is, or that is in the file of that name."""
    from ondol.hub.repository import keys

    file = Path(text).expanduser()
    return keys.public_key(keys.public_of(file) if file.is_file() else text)


def one_key(files: Sequence[Path], passphrase_file: Path | None) -> CryptoSigner:
    """The one key that a publisher signs with."""
    if len(files) != 1:
        raise UsageError(t("hub_cli.one_key"), param="key")
    return unlocked(files, passphrase_file)[0]
