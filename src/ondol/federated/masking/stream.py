"""Masks: the key stream of ChaCha20 (RFC 8439) as integers modulo ``2**bits``.

One key makes one mask (the nonce is zero). Words are 16 bits where the ring has no more, else 32,
little-endian; a word's high bits fall away at the end, in ``reduce``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ondol.errors import MaskingError
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np

    Words = np.ndarray[Any, np.dtype[np.unsignedinteger[Any]]]

_BLOCK_BYTES = 1 << 20  # both the stream and the words that it changes stay in the cache


def keystream(key: bytes, size_bytes: int) -> bytes:
    """The first bytes of the stream of ``key`` (32 bytes)."""
    made: bytes = _cipher(key).update(bytes(size_bytes))
    return made


def words(length: int, bits: int) -> Words:
    """``length`` zeros to sum in."""
    import numpy as np

    return np.zeros(length, np.uint16 if bits <= 16 else np.uint32)


def checked(vector: Any, length: int, bits: int) -> Words:
    """``vector`` as words, if it is one of ``length`` integers from 0 to ``2**bits - 1``. Raises
    ``MaskingError``."""
    if (
        vector.shape != (length,)
        or vector.dtype.kind not in "ui"
        or int(vector.min()) < 0
        or int(vector.max()) >> bits
    ):
        raise MaskingError(t("federated_masking.vector"))
    narrow: Words = vector.astype(words(0, bits).dtype)
    return narrow


def apply(total: Words, key: bytes, *, adds: bool) -> None:
    """Add the mask of ``key`` to ``total`` in place, or take it off; sums wrap around."""
    import numpy as np

    cipher = _cipher(key)
    step = _BLOCK_BYTES // total.itemsize
    zeros = bytes(_BLOCK_BYTES)
    kind = total.dtype.newbyteorder("<")
    for at in range(0, len(total), step):
        part = total[at : at + step]
        mask = np.frombuffer(cipher.update(memoryview(zeros)[: part.nbytes]), kind)
        if adds:
            part += mask
        else:
            part -= mask


def reduce(total: Words, bits: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """``total`` modulo ``2**bits``, in 32 bits each."""
    import numpy as np

    return total.astype(np.uint32) & np.uint32((1 << bits) - 1)


def _cipher(key: bytes) -> Any:
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    # 32 bits of counter and 96 of nonce, both zero.
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor()
