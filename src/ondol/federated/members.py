"""Who is in a federation, as everybody in it reckons it from public keys alone: home makes no name
and no number of anybody.

A member's ``node`` is 48 bits of a hash of its key, so that it fits a JSON number everywhere; the
pseudonym says nothing outside of its federation. The safety number is over all keys and the plan:
members who read the same one to each other know that home shows nobody else in their place (as
messengers do it, e.g. Signal's).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

NODE_BYTES = 6
_PSEUDONYM_LETTERS = 6
_GROUPS, _GROUP_DIGITS = 6, 5


@dataclass(frozen=True, slots=True)
class Member:
    """A device of a federation. ``public_key`` is its Ed25519 key (32 bytes)."""

    federation: str
    public_key: bytes
    joined_at: str = ""

    @property
    def node(self) -> int:
        """What rounds call it: positive, below 2**48."""
        found = hashlib.sha256(b"ondol node\0" + self._told).digest()
        return int.from_bytes(found[:NODE_BYTES]) or 1

    @property
    def pseudonym(self) -> str:
        """What people see of it: six letters and digits, e.g. "3fa2c1"."""
        found = hashlib.sha256(b"ondol pseudonym\0" + self._told).hexdigest()
        return found[:_PSEUDONYM_LETTERS]

    @property
    def _told(self) -> bytes:
        return self.federation.encode() + b"\0" + self.public_key

    def json(self) -> dict[str, Any]:
        """As it is kept and sent."""
        return {"public_key": self.public_key.hex(), "joined_at": self.joined_at}

    @classmethod
    def of(cls, federation: str, fields: Mapping[str, Any]) -> Self:
        """The member that ``json`` wrote. Raises ``ValueError``, ``KeyError``, ``TypeError``."""
        key = bytes.fromhex(fields["public_key"])
        if len(key) != 32:
            raise ValueError("public_key")
        return cls(federation, key, str(fields.get("joined_at", "")))


def keys_of(members: Iterable[Member]) -> dict[int, bytes]:
    """Public keys by node. Raises ``ValueError`` where two have the same node."""
    found: dict[int, bytes] = {}
    for one in members:
        if found.setdefault(one.node, one.public_key) != one.public_key:
            raise ValueError("node")
    return found


def safety_number(plan_digest: str, members: Iterable[Member]) -> str:
    """Six groups of five digits, the same for everybody who sees the same plan and members."""
    keys = b"".join(sorted({one.public_key for one in members}))
    found = hashlib.sha512(b"ondol safety\0" + plan_digest.encode() + b"\0" + keys).digest()
    digits = f"{int.from_bytes(found) % 10 ** (_GROUPS * _GROUP_DIGITS):030d}"
    return " ".join(digits[at : at + _GROUP_DIGITS] for at in range(0, len(digits), _GROUP_DIGITS))
