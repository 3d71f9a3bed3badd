"""``ondol lock`` and ``unlock``: the library encrypted with a passphrase, and plain again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from ondol.cli.command import F, command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.cli.passphrase import ask, new_passphrase
from ondol.cli.stdin import is_terminal
from ondol.errors import ConfigError, LockedError, UsageError
from ondol.i18n import t

HARD_TO_GUESS = 12


def passphrase_file_option() -> Callable[[F], F]:
    """``--passphrase-file FILE``: the new passphrase, for who cannot type it."""
    return option(
        "--passphrase-file",
        key="passphrase_file",
        metavar="FILE",
        type=click.Path(path_type=Path, allow_dash=False),
    )


@command("lock")
@option("--change", key="change", is_flag=True)
@option("--off", key="off", is_flag=True)
@option("--keychain/--no-keychain", key="keychain", default=None)
@passphrase_file_option()
@pass_output
def lock(
    output: Output, change: bool, off: bool, keychain: bool | None, passphrase_file: Path | None
) -> None:
    if off and (change or keychain is not None or passphrase_file):
        raise UsageError(t("encryption.off_alone"))
    with house(output):
        if off:
            _unlock(output)
        else:
            _lock(output, change, keychain, passphrase_file)


@command("unlock")
@pass_output
def unlock(output: Output) -> None:
    with house(output):
        _unlock(output)


def _lock(
    output: Output, change: bool, use_keychain: bool | None, passphrase_file: Path | None
) -> None:
    from ondol import encryption, exchange, keychain, keys, paths

    file = paths.database_file()
    if use_keychain:
        keychain.check()
    was_locked = encryption.is_locked(file)
    if was_locked and not change:
        if use_keychain is not None:
            # Nobody takes the last copy of a passphrase out of the keychain without knowing it.
            passphrase = _present_passphrase(file, passphrase_file)
            if use_keychain:
                keychain.keep(passphrase)
            else:
                keychain.forget()
        _report(output, file, is_locked=True, has_changed=False)
        if use_keychain is not None:
            output.note(
                t("encryption.in_keychain" if use_keychain else "encryption.out_of_keychain")
            )
        return
    # Before anybody types anything: is it free, and does the old passphrase open it?
    with exchange.alone(file):
        pass
    # The one in the environment opens a locked library: it is the old one then.
    given = None if was_locked or passphrase_file else keys.given()
    passphrase = given or new_passphrase(passphrase_file)
    # One that is kept already opens nothing from now on.
    if use_keychain or (use_keychain is None and keychain.read() is not None):
        with keychain.keeping(passphrase):
            encryption.lock(file, passphrase)
    else:
        encryption.lock(file, passphrase)
    if use_keychain is False:
        with suppress(ConfigError):
            keychain.forget()
    _report(output, file, is_locked=True, has_changed=True)
    # A keychain that could not be asked may hold what opens nothing any more, but old backups.
    if was_locked and (silence := keychain.silence()):
        output.note(t("encryption.keychain_keeps", kind=silence))
    if len(passphrase) < HARD_TO_GUESS:
        output.note(t("encryption.short"))
    output.note(t("encryption.now_locked_hint"))


def _unlock(output: Output) -> None:
    from ondol import encryption, keychain, paths

    file = paths.database_file()
    was_locked = encryption.is_locked(file)
    if was_locked:
        encryption.unlock(file)
    # Also of one that is plain: the last time the keychain may not have answered.
    with suppress(ConfigError):
        keychain.forget()
    _report(output, file, is_locked=False, has_changed=was_locked)
    if silence := keychain.silence():
        output.note(t("encryption.keychain_keeps_plain", kind=silence))


def _present_passphrase(file: Path, passphrase_file: Path | None) -> str:
    """The passphrase that a locked library has now."""
    from ondol import cipher, keys

    given = keys.read_file(passphrase_file) if passphrase_file else keys.given()
    if given is None and not is_terminal():
        raise LockedError(t("encryption.nobody_to_ask"), t("encryption.nobody_to_ask_hint"))
    passphrase = ask(file, 0) if given is None else given
    if not cipher.opens_with(file, passphrase):
        raise LockedError(
            t("encryption.wrong_passphrase", file=file), t("encryption.wrong_passphrase_hint")
        )
    return passphrase


def _report(output: Output, file: Path, *, is_locked: bool, has_changed: bool) -> None:
    from ondol import keychain

    if output.json:
        state = {"locked": is_locked, "changed": has_changed, "file": str(file)}
        output.emit(state | {"keychain": is_locked and keychain.read() is not None})
    elif is_locked:
        output.line(t("encryption.now_locked" if has_changed else "encryption.locked_already"))
        if not has_changed:
            output.note(t("encryption.locked_already_hint"))
    else:
        output.line(t("encryption.now_plain" if has_changed else "encryption.plain_already"))
