"""What one masked sum is about. Both sides hold the same session, and its digest is in everything
that is signed, derived or encrypted: nothing of one round means anything in another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self

from ondol.errors import MaskingError
from ondol.federated.masking.rows import LARGEST_ID, malformed
from ondol.i18n import t

SMALLEST_SUM = 3
"""Vectors in a sum: of a sum of two, each of the two knows the other's."""
MOST_MEMBERS = 1000
MOST_BITS = 32
MOST_COORDINATES = 1 << 28
LARGEST_COUNT = (1 << 53) - 1
PUBLIC_KEY_BYTES = 32


@dataclass(frozen=True)
class Session:
    """``roster`` maps the node ids of the clients that this round chose to the Ed25519 keys that
    were pinned when they enrolled. ``threshold`` of them must answer to the end. Vectors have
    ``length`` coordinates, integers modulo ``2**bits``. ``attempt`` counts the tries of a round
    that ended before anybody masked.

    Raises ``MaskingError`` for a session that nobody should take part in.
    """

    federation: str
    plan_digest: str
    round: int
    attempt: int
    threshold: int
    bits: int
    length: int
    roster: Mapping[int, bytes]

    def __post_init__(self) -> None:
        object.__setattr__(self, "roster", MappingProxyType(dict(self.roster)))
        if type(self.federation) is not str or type(self.plan_digest) is not str:
            raise malformed("session")
        counts = (self.round, self.attempt, self.threshold, self.bits, self.length)
        if not all(type(count) is int and 0 <= count <= LARGEST_COUNT for count in counts):
            raise malformed("session")
        if not 1 <= self.bits <= MOST_BITS or not 1 <= self.length <= MOST_COORDINATES:
            raise malformed("session")
        keys = list(self.roster.values())
        if (
            not all(type(node) is int and 0 < node <= LARGEST_ID for node in self.roster)
            or any(len(key) != PUBLIC_KEY_BYTES for key in keys)
            or len(set(keys)) < len(keys)
            or len(keys) > MOST_MEMBERS
        ):
            raise malformed("roster")
        if len(keys) < SMALLEST_SUM:
            raise MaskingError(
                t("federated_masking.small", count=len(keys), needed=SMALLEST_SUM),
                t("federated_masking.small_hint"),
            )
        # Twice the threshold above all of them: two sets of survivors cannot both be signed.
        if not len(keys) < 2 * self.threshold <= 2 * len(keys):
            raise MaskingError(
                t("federated_masking.threshold", threshold=self.threshold, count=len(keys))
            )

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of every field, written in one way only."""
        text = json.dumps(self.json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(b"ondol federated masking 1, session\0" + text.encode()).digest()

    @property
    def least(self) -> int:
        """How many vectors must be in the sum."""
        return max(self.threshold, SMALLEST_SUM)

    def json(self) -> dict[str, Any]:
        """Every field, as it is sent and kept."""
        roster = {str(node): key.hex() for node, key in self.roster.items()}
        return {field.name: getattr(self, field.name) for field in fields(self)} | {
            "roster": roster
        }

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Self:
        """The session that ``json`` wrote. Raises ``MaskingError``."""
        try:
            roster = {int(node): bytes.fromhex(key) for node, key in said["roster"].items()}
            if {str(node) for node in roster} != said["roster"].keys():
                raise ValueError("an id that is written in another way")
            return cls(**{**said, "roster": roster})
        except (KeyError, TypeError, ValueError, AttributeError):
            raise malformed("session") from None

    @staticmethod
    def threshold_for(count: int, at_least: int = 0) -> int:
        """Two thirds of ``count`` clients, rounded up, or ``at_least``: home cannot get at one
        vector with the help of fewer than a third of them."""
        return min(max(at_least, -(-2 * count // 3)), count)
