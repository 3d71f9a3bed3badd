"""How slow a mirror may be before another one is asked, and what its requests are called."""

from __future__ import annotations

from dataclasses import dataclass

from ondol.egress.connections import Pace
from ondol.errors import HubUnreachableError
from ondol.i18n import t

PURPOSE = "hub"
METADATA_PACE = Pace(grace_seconds=30.0, least_bytes_per_second=4096.0)
FILES_PACE = Pace(grace_seconds=60.0, least_bytes_per_second=1024.0)


@dataclass(frozen=True, slots=True)
class Limits:
    """With metadata, which are small, and with files, which come over the slowest of lines."""

    metadata: Pace = METADATA_PACE
    files: Pace = FILES_PACE


def too_slow(mirror: str) -> HubUnreachableError:
    """The error for who keeps us waiting."""
    return HubUnreachableError(t("hub_client.too_slow", mirror=mirror), t("hub_client.mirror_hint"))
