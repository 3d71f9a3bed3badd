"""From a passphrase to the key of a database: where passphrases come from, what is made of them.

Sources, in this order: ONDOL_PASSPHRASE, the file that ONDOL_PASSPHRASE_FILE names, the operating
system's keychain (``ondol.keychain``), and whoever sits at the terminal. A key costs 64 MiB and a
tenth of a second, so the keys that opened something are kept in the process, by the salt of the
file; passphrases are not. Raises ``LockedError`` and ``ConfigError``. Nothing here is ever logged.
"""

from __future__ import annotations

import json
import os
import threading
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ondol import keychain
from ondol.errors import ConfigError, LockedError
from ondol.i18n import t

PASSPHRASE = "ONDOL_PASSPHRASE"
PASSPHRASE_FILE = "ONDOL_PASSPHRASE_FILE"
# Keys that the process which started this one had at hand; for ``hand_over`` only.
KEYS_DESCRIPTOR = "ONDOL_KEYS_DESCRIPTOR"
SECRET_VARIABLES = (PASSPHRASE, PASSPHRASE_FILE, KEYS_DESCRIPTOR)

KEY_BYTES = 32
SALT_BYTES = 16
ATTEMPTS = 3
LONGEST_FILE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Parameters:
    """How hard a key is to compute: argon2id's passes, memory and lanes."""

    passes: int
    memory_kib: int
    lanes: int


# What a library was locked with is not written anywhere: each is tried, the first one first. Add a
# stronger one in front; never change or remove one. This is RFC 9106's second recommendation.
PARAMETERS = (Parameters(passes=3, memory_kib=64 << 10, lanes=4),)


@dataclass(frozen=True, slots=True, repr=False)
class Key:
    """The key of one file: 32 bytes, and the 16 bytes of salt that the file begins with."""

    secret: bytes
    salt: bytes

    @property
    def raw(self) -> str:
        """In SQLCipher's raw form, which is not derived from again."""
        return f"x'{self.secret.hex()}{self.salt.hex()}'"


def derive(passphrase: str, salt: bytes, parameters: Parameters = PARAMETERS[0]) -> Key:
    """The key that ``passphrase`` gives with ``salt``. Unicode is normalised (NFC, as RFC 8265
    says), because 한글 typed on a Mac may arrive in other bytes than on Linux."""
    from argon2.low_level import Type, hash_secret_raw

    secret = hash_secret_raw(
        unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape"),
        salt,
        time_cost=parameters.passes,
        memory_cost=parameters.memory_kib,
        parallelism=parameters.lanes,
        hash_len=KEY_BYTES,
        type=Type.ID,
    )
    return Key(secret, salt)


def new_key(passphrase: str) -> Key:
    """A key for a file that is about to be written, with a salt of its own."""
    return derive(passphrase, os.urandom(SALT_BYTES))


Ask = Callable[[Path, int], str]


class _Process:
    """What this process knows: the keys that opened something, and whom to ask."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Key] = {}
        self.ask: Ask | None = None
        # Held while a key is computed or asked for: eight threads ask, and compute, once.
        self.lock = threading.RLock()


_process = _Process()
lock = _process.lock


def ask_with(ask: Ask | None) -> None:
    """Call ``ask(file, attempt)`` for a passphrase that nothing else gives; attempts count from
    0. None: there is nobody to ask."""
    _process.ask = ask


def remember(key: Key) -> None:
    """Keep a key that opened something, as long as the process lives, and nowhere else: from now on
    a crash writes no memory to disk."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    _process.keys[key.salt] = key


def known(salt: bytes) -> Key | None:
    """The key that opened a file with this salt before."""
    with lock:
        _take_over()
        return _process.keys.get(salt)


def forget_all() -> None:
    """Know no key any more."""
    _process.keys.clear()


def passphrases(file: Path) -> Iterator[str]:
    """What to try on ``file``, one after the other. A passphrase that was given to this process is
    the only one; a stale one in the keychain is followed by the question."""
    passphrase = given()
    if passphrase is not None:
        yield passphrase
        return
    yield from keychain.kept()
    for attempt in range(ATTEMPTS if _process.ask else 0):
        assert _process.ask is not None
        yield _process.ask(file, attempt)


def given() -> str | None:
    """The passphrase in the environment, or in the file that the environment names."""
    if os.environ.get(PASSPHRASE):
        return os.environ[PASSPHRASE]
    name = os.environ.get(PASSPHRASE_FILE)
    return read_file(Path(name)) if name else None


def refusal(file: Path, has_tried: bool) -> LockedError:
    """What to say when none of ``passphrases`` opened ``file``."""
    if not has_tried:
        silence = keychain.silence()
        hint = t("encryption.silent_hint", kind=silence) if silence else t("encryption.locked_hint")
        return LockedError(t("encryption.locked", file=file), hint)
    if _process.ask or given():
        sentence, hint = "encryption.wrong_passphrase", "encryption.wrong_passphrase_hint"
    else:
        sentence, hint = "encryption.stale_keychain", "encryption.stale_keychain_hint"
    return LockedError(t(sentence, file=file), t(hint))


def public_environ() -> dict[str, str]:
    """The environment without passphrases: for children that never open the library."""
    return {name: value for name, value in os.environ.items() if name not in SECRET_VARIABLES}


def read_file(file: Path) -> str:
    """The passphrase in ``file``: its first line. Raises ``ConfigError``, without the content."""
    try:
        with file.open("rb") as stream:
            line = stream.read(LONGEST_FILE_BYTES).partition(b"\n")[0].removesuffix(b"\r")
        passphrase = line.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "UTF-8"
        raise ConfigError(
            t("encryption.unreadable_file", file=file, reason=reason),
            t("encryption.unreadable_file_hint"),
        ) from None
    if not passphrase:
        raise ConfigError(
            t("encryption.empty_file", file=file), t("encryption.unreadable_file_hint")
        )
    return passphrase


@contextmanager
def hand_over() -> Iterator[tuple[dict[str, str], tuple[int, ...]]]:
    """The environment and the descriptors (for ``subprocess``) with which a child knows every key
    that is known here. They go through a pipe: no file and no list of processes shows them."""
    held = [[key.secret.hex(), key.salt.hex()] for key in _process.keys.values()]
    if not held:
        yield {}, ()
        return
    reader, writer = os.pipe()
    try:
        with os.fdopen(writer, "w") as stream:
            json.dump(held, stream)
        yield {KEYS_DESCRIPTOR: str(reader)}, (reader,)
    finally:
        os.close(reader)


def _take_over() -> None:
    """Read what ``hand_over`` gave, once."""
    descriptor = os.environ.pop(KEYS_DESCRIPTOR, None)
    if descriptor is None:
        return
    try:
        with os.fdopen(int(descriptor), "r") as stream:
            held = json.load(stream)
        for secret, salt in held:
            remember(Key(bytes.fromhex(secret), bytes.fromhex(salt)))
    except (OSError, ValueError, TypeError):
        pass  # an environment that was copied to another process: it asks like any other
