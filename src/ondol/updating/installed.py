"""What came from a hub and is here, and which of its versions one can go back through.

Raises ``HubNotFoundError``, ``UsageError`` and what the database raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import HubNotFoundError
from ondol.i18n import t
from ondol.updating.installs import (
    FAILED,
    INSTALLED,
    ROLLED_BACK,
    UPDATED,
    Event,
    Install,
    Installs,
)

if TYPE_CHECKING:
    from ondol.parts import Parts

__all__ = ["Event", "Install", "Installed", "Installs", "all", "one"]


@dataclass(frozen=True, slots=True)
class Installed:
    """An item that is here, as API and CLI show it. ``version`` is the active one, ``previous``
    those that are kept beside it, the last active first; ``stale`` are the adapters of a model that
    were made for other weights than its."""

    install: Install
    hub_name: str
    version: str
    previous: tuple[str, ...]
    stale: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        row = self.install
        return {
            "name": row.name,
            "kind": row.kind,
            "hub": self.hub_name,
            "fingerprint": row.hub,
            "publisher": row.publisher,
            "item": row.item,
            "version": self.version,
            "channel": row.channel,
            "pin": str(row.pinned) if row.pinned else None,
            "floor": str(row.floor),
            "previous": list(self.previous),
            "installed_at": row.installed_at,
            "stale": list(self.stale),
        }


def states(events: Iterable[Event]) -> list[str]:
    """The versions that one can go back through, from ``events`` with the latest first: what was
    active, one after the other; the last is active now. A rollback takes away what it left."""
    found: list[str] = []
    for event in reversed(list(events)):
        if event.deed in (INSTALLED, UPDATED):
            before = [event.before] if event.before else []
            found = [*(one for one in found if one not in (*before, event.version)), *before]
            found.append(event.version)
        elif event.deed == ROLLED_BACK:
            found = found[: found.index(event.version)] if event.version in found else found[:-1]
            found.append(event.version)
    return found


def avoided(events: Iterable[Event]) -> dict[str, str]:
    """Versions that failed here, or that were left by a rollback, and why: they are not offered
    again until somebody asks for one by its number."""
    found: dict[str, str] = {}
    for event in reversed(list(events)):
        if event.deed == FAILED:
            found[event.version] = event.reason
        elif event.deed == ROLLED_BACK:
            found[event.before] = event.reason
        elif event.deed in (INSTALLED, UPDATED):
            found.pop(event.version, None)
    return found


def all(parts: Parts) -> list[Installed]:
    """Everything that came from a hub and is here."""
    with Installs.open() as kept:
        found = [_seen(parts, kept, row) for row in kept.rows()]
    return [one for one in found if one is not None]


def one(parts: Parts, name: str) -> Installed:
    """The one called ``name``; HubNotFoundError."""
    with Installs.open() as kept:
        row = kept.named(name)
        found = _seen(parts, kept, row)
    if found is None:
        raise HubNotFoundError(
            t("updating.not_installed", name=name), t("updating.not_installed_hint")
        )
    return found


def _seen(parts: Parts, kept: Installs, row: Install) -> Installed | None:
    """None for one that was removed since, or of which nothing was ever accepted."""
    from ondol.updating import switching

    place = switching.place_of(parts, row)
    active = place.active()
    if not active:
        return None
    order = states(kept.events(row))
    previous = sorted((one for one in place.kept() if one != active), key=_latest(order))
    return Installed(
        row, hub_name(row.hub), active, tuple(previous), switching.stale_now(parts, row)
    )


def hub_name(fingerprint: str) -> str:
    """What the hub is called here; "" where it was taken out."""
    from ondol.hub.client.rows import Hubs

    with Hubs.open() as hubs:
        return next((one.name for one in hubs.list() if one.fingerprint == fingerprint), "")


def _latest(order: Sequence[str]) -> Any:
    return lambda version: (-order.index(version) if version in order else 1, version)
