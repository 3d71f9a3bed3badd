"""Files that are encrypted while the library is: under a key made of the library's own.

ChaCha20-Poly1305 (RFC 8439) in blocks, each bound to its place and to the file's name, so that no
block can be moved or left out. Raises ``ValueError`` for a file that was damaged or is another's,
``OSError``.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import IO

from ondol import cipher, paths

BLOCK_BYTES = 16 << 20
NONCE_BYTES, TAG_BYTES = 12, 16
PURPOSE = b"ondol saved states"


def secret() -> bytes | None:
    """The key for saved states; b"" while the library is plain, None while it is locked and this
    process has not opened it."""
    if not is_locked():
        return b""
    key = cipher.key_of(paths.database_file())
    if key is None:
        return None
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(hashes.SHA256(), 32, key.salt, PURPOSE).derive(key.secret)


def is_locked() -> bool:
    """Whether the library is encrypted. Asked at every request, so SQLite is not asked every time:
    a library is locked and unlocked by another file in its place."""
    file = paths.database_file()
    try:
        found = file.stat()
    except OSError:
        return False
    # The number of a file that is gone may soon be another's, the time of its change is not.
    place = found.st_dev, found.st_ino, found.st_ctime_ns
    return found.st_size > 0 and _is_encrypted(file, place)


@lru_cache(maxsize=8)
def _is_encrypted(file: Path, place: tuple[int, int, int]) -> bool:
    return cipher.is_encrypted(file)


def seal(plain: Path, sealed: Path, key: bytes, bound: str) -> None:
    """Write ``plain`` encrypted to the file ``sealed``, for whoever calls it ``bound``."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    box, left, number = ChaCha20Poly1305(key), plain.stat().st_size, 0
    with plain.open("rb") as source, _new(sealed) as target:
        while left or not number:
            block = source.read(BLOCK_BYTES)
            left -= len(block)
            nonce = os.urandom(NONCE_BYTES)
            target.write(nonce + box.encrypt(nonce, block, _place(bound, number, left == 0)))
            number += 1


def unseal(sealed: Path, plain: Path, key: bytes, bound: str) -> None:
    """Write what ``seal`` encrypted to the file ``plain``."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    box, left, number = ChaCha20Poly1305(key), sealed.stat().st_size, 0
    with sealed.open("rb") as source, _new(plain) as target:
        while left > 0:
            block = source.read(NONCE_BYTES + BLOCK_BYTES + TAG_BYTES)
            left -= len(block)
            nonce, content = block[:NONCE_BYTES], block[NONCE_BYTES:]
            try:
                target.write(box.decrypt(nonce, content, _place(bound, number, left <= 0)))
            except InvalidTag:
                raise ValueError("not sealed with this key") from None
            number += 1


def _place(bound: str, number: int, is_last: bool) -> bytes:
    return f"{bound} {number} {is_last}".encode()


def _new(path: Path) -> IO[bytes]:
    # Into the file that is there, if any: who made it has a lock on that one.
    how = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    return os.fdopen(os.open(path, how, 0o600), "wb")
