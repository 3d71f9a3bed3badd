"""The passphrase in the keychain of the operating system, for who wants it there.

Through ``keyring``, which the extra ``ondol[keychain]`` brings; without it nothing is kept and
nothing is found. One entry for each data directory. Raises ``ConfigError`` where it cannot write.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ondol import paths
from ondol.errors import ConfigError
from ondol.i18n import t

SERVICE = "ondol"


def read() -> str | None:
    """The passphrase that is kept for this data directory; None also when there is no keychain."""
    try:
        import keyring

        found = keyring.get_password(SERVICE, _account())
    except Exception:
        # A keychain that is locked, broken or not there is one that has nothing: others follow.
        return None
    return found or None


def keep(passphrase: str) -> None:
    """Keep ``passphrase``, in place of any other."""
    keyring = _keyring()
    try:
        keyring.set_password(SERVICE, _account(), passphrase)
    except Exception as error:
        raise ConfigError(
            t("encryption.keychain_failed", kind=type(error).__name__),
            t("encryption.keychain_failed_hint"),
        ) from None


@contextmanager
def keeping(passphrase: str, before: str | None) -> Iterator[None]:
    """Keep ``passphrase`` for what the block does; where that fails, what was kept ``before``. So a
    keychain that takes nothing is known before anything else is changed."""
    keep(passphrase)
    try:
        yield
    except BaseException:
        if before is None:
            forget()
        else:
            keep(before)
        raise


def check() -> None:
    """Raise now what ``keep`` would raise where there is no keychain at all."""
    _keyring()


def forget() -> bool:
    """Remove the entry; whether there was one."""
    if read() is None:
        return False
    try:
        _keyring().delete_password(SERVICE, _account())
    except Exception as error:
        raise ConfigError(
            t("encryption.keychain_failed", kind=type(error).__name__),
            t("encryption.keychain_failed_hint"),
        ) from None
    return True


def _account() -> str:
    return str(paths.database_file())


def _keyring() -> Any:
    try:
        import keyring
    except ImportError:
        raise ConfigError(t("encryption.no_keychain"), t("encryption.no_keychain_hint")) from None
    return keyring
