"""The passphrase in the keychain of the operating system, for who wants it there.

Through ``keyring``, which the extra ``ondol[keychain]`` brings; without it nothing is kept and
nothing is found. One entry for each data directory, and beside it, while a change is under way, the
new one. Raises ``ConfigError`` where it cannot write; one that does not answer has nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ondol import paths
from ondol.errors import ConfigError
from ondol.i18n import t

SERVICE = "ondol"
# The new passphrase, until the library has it: after a kill in between, one of the two opens it.
NEXT = " (next)"
# A person types into the keychain's own window meanwhile; a daemon that hangs says nothing at all.
PATIENCE_SECONDS = 30.0


class _Silence:
    """What the keychain gave for an answer when it gave none."""

    kind = ""
    has_hung = False


_silence = _Silence()


def kept() -> Iterator[str]:
    """What may open this data directory, one after the other; nothing where there is no keychain,
    or one that is locked or broken: others follow."""
    for account in _accounts():
        try:
            found = _ask("get_password", account)
        except Exception:
            # Its owner may have closed its window just now: it is not opened twice.
            return
        if found:
            yield found


def read() -> str | None:
    """The passphrase that is kept for this data directory; None also when there is no keychain."""
    return next(kept(), None)


def silence() -> str:
    """Why the keychain that is there could not be asked, the last time: the name of its error."""
    return _silence.kind


def keep(passphrase: str) -> None:
    """Keep ``passphrase``, in place of any other."""
    account, following = _accounts()
    _write("set_password", account, passphrase)
    _drop(following)


@contextmanager
def keeping(passphrase: str) -> Iterator[None]:
    """Keep ``passphrase`` from the end of the block on; until then, beside what is kept. So a
    keychain that takes nothing is known before anything else is changed."""
    _, following = _accounts()
    _write("set_password", following, passphrase)
    try:
        yield
    except BaseException:
        with suppress(ConfigError):
            _drop(following)
        raise
    # What stays beside the old one opens the library, too.
    with suppress(ConfigError):
        keep(passphrase)


def check() -> None:
    """Raise now what ``keep`` would raise where there is no keychain at all."""
    _keyring()


def forget() -> bool:
    """Remove what is kept; whether there was anything."""
    return any([_drop(account) for account in _accounts()])


def _drop(account: str) -> bool:
    if not _write("get_password", account):
        return False
    _write("delete_password", account)
    return True


def _accounts() -> tuple[str, str]:
    account = str(paths.database_file())
    return account, account + NEXT


def _write(method: str, *arguments: str) -> Any:
    """As ``_ask``, for who has to know that it was done."""
    _keyring()
    try:
        return _ask(method, *arguments)
    except Exception as error:
        raise ConfigError(
            t("encryption.keychain_failed", kind=type(error).__name__),
            t("encryption.keychain_failed_hint"),
        ) from None


def _ask(method: str, *arguments: str) -> Any:
    """What ``keyring`` answers, within our patience. Whoever waits for a daemon that hangs waits in
    a thread that is left behind."""
    if _silence.has_hung:
        raise TimeoutError
    answers: list[Any] = []
    errors: list[Exception] = []

    def ask() -> None:
        try:
            answers.append(getattr(_keyring(), method)(SERVICE, *arguments))
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=ask, name="keychain", daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    if not answers and not errors:
        _silence.has_hung = True
        errors.append(TimeoutError())
    # A machine without any keychain has nothing to be silent about.
    absent = errors and isinstance(errors[0], ConfigError)
    kind = type(errors[0]).__name__ if errors and not absent else ""
    _silence.kind = "" if kind == "NoKeyringError" else kind
    if errors:
        raise errors[0]
    return answers[0]


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        raise ConfigError(t("encryption.no_keychain"), t("encryption.no_keychain_hint")) from None
    return keyring
