"""Who may sign for this device: hubs that are added and removed, each time with an entry in the
ledger (kind "hub"). Raises what ``Hubs.add`` and ``Hubs.remove`` raise, and ``LedgerError``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ondol.ledger.entries import Entry

if TYPE_CHECKING:
    from ondol.hub.client.rows import HubRow, Hubs
    from ondol.parts import Parts

KIND = "hub"


def add(
    parts: Parts,
    hubs: Hubs,
    url: str,
    fingerprint: str,
    name: str = "",
    mirrors: Sequence[str] = (),
) -> HubRow:
    """Trust the keys of the hub of ``fingerprint``, from here on."""
    row = hubs.add(url, fingerprint, name, mirrors, egress=parts.egress)
    _note(parts, row, "added")
    return row


def remove(parts: Parts, hubs: Hubs, name: str) -> HubRow:
    """Trust them no more. What was installed stays."""
    row = hubs.remove(name)
    _note(parts, row, "removed")
    return row


def _note(parts: Parts, row: HubRow, deed: str) -> None:
    parts.ledger.append(Entry(KIND, destination=row.url, reasons=(deed, row.fingerprint)))
