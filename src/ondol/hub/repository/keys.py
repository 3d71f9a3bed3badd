"""Keys of a hub: Ed25519 (RFC 8032), each in a file of its own.

A key that is used by hand lies sealed: ChaCha20-Poly1305 (RFC 8439) under a key that argon2id
(RFC 9106) makes of a passphrase, with the public half as what is authenticated beside it. The two
online keys lie open in ``state/``, for nobody is there at night to type. Raises ``SigningError``;
``UsageError`` for what is no public key. Nothing here is ever logged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import keys as passphrases
from ondol import paths, whole_file
from ondol.errors import SigningError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, Key, SSlibKey

FORMAT = 1
LONGEST_FILE_BYTES = 16 << 10
NONCE_BYTES = 12
_PUBLIC = re.compile(r"ed25519:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, repr=False)
class Offline:
    """The keys that an operator keeps away from the hub: those of root, and that of targets."""

    root: tuple[CryptoSigner, ...]
    targets: CryptoSigner


def make() -> CryptoSigner:
    """A new key."""
    from securesystemslib.signer import CryptoSigner

    return CryptoSigner.generate_ed25519()


def make_offline(root_keys: int = 3) -> Offline:
    return Offline(tuple(make() for _ in range(root_keys)), make())


def new_online(folder: Path, role: str) -> SSlibKey:
    """The public half of a new key for ``role``, which lies open in ``folder`` from now on."""
    key = make()
    save(folder / f"{role}-{key.public_key.keyid[:16]}.json", key)
    return key.public_key


def public_text(key: Key | CryptoSigner) -> str:
    """``ed25519:`` and 64 hexadecimal digits: what a publisher gives to an operator."""
    public: Any = getattr(key, "public_key", key)
    return f"ed25519:{public.keyval['public']}"


def public_key(text: str) -> SSlibKey:
    """The key that ``text``, in the form of ``public_text``, is; UsageError if it is none."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from securesystemslib.signer import SSlibKey

    plain = text.strip().lower()
    if not _PUBLIC.fullmatch(plain):
        raise UsageError(t("hub_repository.no_key"), t("hub_repository.no_key_hint"), param="key")
    raw = bytes.fromhex(plain.removeprefix("ed25519:"))
    return SSlibKey.from_crypto(Ed25519PublicKey.from_public_bytes(raw))


def save(file: Path, key: CryptoSigner, passphrase: str = "") -> None:
    """Write ``key`` into the new ``file`` (mode 600), sealed if there is a ``passphrase``. A file
    that is there is not touched: SigningError, for it may be the only copy of another key."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    if file.exists():
        raise SigningError(
            t("hub_repository.key_exists", file=file), t("hub_repository.key_exists_hint")
        )
    public, raw = public_text(key), _raw(key)
    content: dict[str, Any] = {"ondol_hub_key": FORMAT, "public": public}
    if passphrase:
        nonce = os.urandom(NONCE_BYTES)
        derived = passphrases.new_key(passphrase)
        sealed = ChaCha20Poly1305(derived.secret).encrypt(nonce, raw, public.encode())
        content |= {"salt": derived.salt.hex(), "sealed": (nonce + sealed).hex()}
    else:
        content["private"] = raw.hex()
    whole_file.write(file, json.dumps(content, indent=1) + "\n", keeps_first=True)


def save_all(made: Sequence[tuple[Path, CryptoSigner]], passphrase: str) -> None:
    """Write each key into its file, for its owner alone; SigningError, before anything is written,
    where one of the files is there."""
    for file, _ in made:
        if file.exists():
            raise SigningError(
                t("hub_repository.key_exists", file=file), t("hub_repository.key_exists_hint")
            )
        paths.ensure(file.parent)
    for file, key in made:
        save(file, key, passphrase)


def load(file: Path, passphrase: str = "") -> CryptoSigner:
    """The key in ``file``; SigningError where there is none, or it stays locked."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

    content = _read(file)
    try:
        public = str(content["public"])
        if "private" in content:
            raw = bytes.fromhex(content["private"])
        else:
            raw = _unseal(content, public, passphrase)
        key = CryptoSigner(Ed25519PrivateKey.from_private_bytes(raw))
    except InvalidTag:
        sentence = "wrong_passphrase" if passphrase else "locked_key"
        raise SigningError(
            t(f"hub_repository.{sentence}", file=file), t("hub_repository.locked_key_hint")
        ) from None
    except (KeyError, TypeError, ValueError) as error:
        raise _no_key_file(file) from error
    if public_text(key) != public:
        raise _no_key_file(file)
    return key


def is_locked(file: Path) -> bool:
    """Whether the key in ``file`` needs a passphrase."""
    return "private" not in _read(file)


def public_of(file: Path) -> str:
    """The public half of the key in ``file``, which needs no passphrase."""
    return public_text(public_key(str(_read(file).get("public", ""))))


def load_all(files: Sequence[Path]) -> tuple[CryptoSigner, ...]:
    """The open keys in ``files``."""
    return tuple(load(file) for file in sorted(files))


def _unseal(content: dict[str, Any], public: str, passphrase: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    salt, sealed = bytes.fromhex(content["salt"]), bytes.fromhex(content["sealed"])
    for parameters in passphrases.PARAMETERS if passphrase else ():
        secret = passphrases.derive(passphrase, salt, parameters).secret
        try:
            return ChaCha20Poly1305(secret).decrypt(
                sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], public.encode()
            )
        except InvalidTag:
            continue
    raise InvalidTag


def _raw(key: CryptoSigner) -> bytes:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private: Any = load_pem_private_key(key.private_bytes, None)
    return bytes(private.private_bytes_raw())


def _read(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            content = json.loads(stream.read(LONGEST_FILE_BYTES))
    except FileNotFoundError:
        raise SigningError(
            t("hub_repository.lost_key", file=file), t("hub_repository.lost_key_hint")
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise _no_key_file(file) from error
    if not isinstance(content, dict) or content.get("ondol_hub_key") != FORMAT:
        raise _no_key_file(file)
    return content


def _no_key_file(file: Path) -> SigningError:
    return SigningError(t("hub_repository.no_key_file", file=file))
