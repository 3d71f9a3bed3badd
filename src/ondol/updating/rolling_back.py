"""Back to a version that was kept, and pins. Needs no network and no hub; the floor stays where it
is, so that only what the owner kept can be returned to.

Raises ``HubNotFoundError``, ``UpdateFailedError``, ``UsageError``, ``InvalidModelError`` where the
kept bytes are not what they were.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.errors import UpdateFailedError, UsageError
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.updating import installed, switching
from ondol.updating.bringing import Outcome, accept, locked, settle
from ondol.updating.installs import ROLLED_BACK, Event, Install, Installs
from ondol.updating.model_place import not_kept
from ondol.updating.switching import LOCAL

if TYPE_CHECKING:
    from ondol.parts import Parts


def rollback(
    parts: Parts, name: str, version: str = "", *, reason: str = "", leaving: str = ""
) -> Outcome:
    """Make the version that was active before the active one (or ``version``) active again.
    ``reason`` is a sentence, where it was not the owner who wanted it; ``leaving`` the version that
    it is about: with another one active by now, nothing is done."""
    with Installs.open() as kept:
        row = kept.named(name)
        place = switching.place_of(parts, row)
        with locked(parts, row):
            settle(parts, kept, row, place)
            before, here = place.active(), place.kept()
            if leaving and leaving != before:
                return Outcome("unchanged", row, before, before)
            wanted = _text(version) if version else _previous(kept.events(row), here, before)
            if not wanted:
                raise UsageError(
                    t("updating.nothing_before", name=row.name), t("updating.history_hint")
                )
            if wanted == before:
                return Outcome("unchanged", row, before, before)
            if wanted not in here:
                raise not_kept(row, wanted, here)
            stale_before = switching.stale_now(parts, row)
            place.switch(wanted, verify=True)
            accept(parts, kept, row, ROLLED_BACK, wanted, before, reason)
            stale = switching.stale_now(parts, row)
    new = tuple(one for one in stale if one not in stale_before)
    words = (t("updating.stale_after", adapters=", ".join(new)),) if new else ()
    return Outcome("rolled_back", row, wanted, before, words, new)


def pin(parts: Parts, name: str, version: str = "") -> Install:
    """Stay at ``version``, by default the active one: updates bring that one or none."""
    with Installs.open() as kept:
        row = kept.named(name)
        active = switching.place_of(parts, row).active()
        wanted = _text(version) if version else active
        if not wanted or wanted == LOCAL:
            raise UsageError(t("updating.nothing_to_pin", name=row.name), param="version")
        found = Version.of(wanted)
        if found < row.floor and wanted != active:
            raise UpdateFailedError(
                t("updating.below_floor", name=f"{row.reference}@{wanted}", floor=row.floor),
                t("updating.below_floor_hint"),
            )
        kept.pin(row, found)
        return kept.named(name)


def unpin(parts: Parts, name: str) -> Install:
    """Follow the channel again."""
    with Installs.open() as kept:
        row = kept.named(name)
        if row.pinned is not None:
            kept.pin(row, None)
        return kept.named(name)


def history(parts: Parts, name: str) -> list[Event]:
    """What happened to an item, the latest first."""
    with Installs.open() as kept:
        return kept.events(kept.named(name))


def _previous(events: list[Event], here: list[str], active: str) -> str:
    order = [one for one in installed.states(events) if one in here or one == active]
    below = order[: order.index(active)] if active in order else order
    return below[-1] if below else ""


def _text(version: str) -> str:
    return version if version == LOCAL else str(Version.of(version))
