"""A secret of 32 bytes in shares, of which any ``threshold`` give it back and fewer say nothing.

Shamir, How to share a secret (CACM 1979), over the integers modulo ``PRIME``: the secret is the
value at 0 of a random polynomial of degree ``threshold - 1``, a share its value at 1, 2, ...
Plain Python integers: not made to hide anything from who measures time on the same machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from ondol.federated.masking import stream

PRIME = (1 << 256) + 297
"""The smallest prime above every secret."""
SHARE_BYTES = 33
_SECRET_BYTES = 32
_COEFFICIENT_BYTES = 64  # twice the prime's size: what the remainder prefers is below 2**-255


def split(secret: bytes, points: Sequence[int], threshold: int, key: bytes) -> list[bytes]:
    """A share at each of ``points`` (1 or more, below ``PRIME``, none twice). ``key`` (32 random
    bytes, never used for another secret) makes the polynomial: the same again for the same key."""
    random = stream.keystream(key, _COEFFICIENT_BYTES * (threshold - 1))
    steps = range(0, len(random), _COEFFICIENT_BYTES)
    higher = [int.from_bytes(random[at : at + _COEFFICIENT_BYTES]) % PRIME for at in steps]
    shares = []
    for point in points:
        value = 0
        for coefficient in higher:
            value = (value + coefficient) * point % PRIME
        value = (value + int.from_bytes(secret)) % PRIME
        shares.append(value.to_bytes(SHARE_BYTES))
    return shares


def combine(shares: Mapping[int, bytes]) -> bytes | None:
    """The secret of the polynomial through ``shares`` (at least ``threshold`` of them, by point);
    None where that is no secret that ``split`` was ever given."""
    values = [int.from_bytes(share) for share in shares.values()]
    total = sum(w * v for w, v in zip(_weights(tuple(shares)), values, strict=True)) % PRIME
    return None if total >> (8 * _SECRET_BYTES) else total.to_bytes(_SECRET_BYTES)


@lru_cache(maxsize=256)
def _weights(points: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's weights for the value at 0; all secrets that the same members hold share them."""
    weights = []
    for point in points:
        above = below = 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
