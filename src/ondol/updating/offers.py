"""What a hub has for what is installed: which release comes next, and what there is to know of it.

Only what was verified is looked at. A release below the floor is none: a hub that was turned back,
or whoever holds its keys, cannot return a device to what it has left behind. The operator's way
back is old bytes under a new version. Raises ``UsageError``, ``HubNotFoundError``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol import __version__
from ondol.errors import HubNotFoundError, UpdateFailedError, UsageError
from ondol.hub.release import Release
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.updating import installed
from ondol.updating.installs import Event, Install
from ondol.updating.switching import LOCAL, Place

if TYPE_CHECKING:
    from ondol.parts import Parts


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is for an installed item: ``release``, or none. ``yanked`` is why the active
    version was withdrawn, ``stale`` names the adapters that would not fit any more, ``left`` says
    why a newer version is not taken by itself."""

    install: Install
    hub_name: str
    current: str
    release: Release | None
    download_bytes: int = 0
    stale: tuple[str, ...] = ()
    yanked: str = ""
    left: str = ""

    def json(self) -> dict[str, Any]:
        row, release = self.install, self.release
        return {
            "name": row.name,
            "kind": row.kind,
            "hub": self.hub_name,
            "publisher": row.publisher,
            "item": row.item,
            "installed": self.current,
            "version": str(release.version) if release else "",
            "channel": release.card.channel if release else row.channel,
            "size_bytes": release.size_bytes if release else 0,
            "download_bytes": self.download_bytes,
            "is_pinned": row.pinned is not None,
            "yanked": self.yanked,
            "stale": list(self.stale),
            "left": self.left,
            "card": release.card.json() if release else None,
        }


def for_install(
    parts: Parts,
    row: Install,
    place: Place,
    releases: Iterable[Release],
    events: Sequence[Event],
    *,
    hub_name: str = "",
    channel: str = "",
) -> Offer:
    """The newest release for ``row`` that may be active here."""
    current = place.active()
    own = [one for one in releases if (one.publisher, one.item) == (row.publisher, row.item)]
    yanked = next((one.yanked for one in own if str(one.version) == current), "")
    follows = channel or row.channel or parts.config["update.channel"]
    newer = [
        one
        for one in own
        if _may_be(parts, row, one, follows) and _is_newer(one.version, current, row.floor)
    ]
    if row.pinned is not None:
        newer = [one for one in newer if one.version == row.pinned]
    avoided = installed.avoided(events)
    taken = [one for one in newer if str(one.version) not in avoided]
    release = max(taken, key=lambda one: one.version, default=None)
    left = ""
    if release is None and newer:
        newest = max(newer, key=lambda one: one.version)
        why = avoided[str(newest.version)]
        left = t("updating.left", version=newest.version, reason=why).strip()
    if release is None:
        return Offer(row, hub_name, current, None, yanked=yanked, left=left)
    return Offer(
        row,
        hub_name,
        current,
        release,
        download_bytes=sum(file.size_bytes for file in release.files if place.path(file) is None),
        stale=place.stale(release),
        yanked=yanked,
    )


def to_install(
    parts: Parts,
    releases: Iterable[Release],
    publisher: str,
    item: str,
    version: str,
    channel: str,
    floor: Version,
) -> Release:
    """The release that ``publisher/item``, at ``version`` where that is said, means."""
    own = [one for one in releases if (one.publisher, one.item) == (publisher, item)]
    name = f"{publisher}/{item}"
    if not own:
        raise HubNotFoundError(
            t("updating.no_item", name=name), t("updating.no_item_hint", words=item)
        )
    follows = channel or parts.config["update.channel"]
    if version:
        wanted = Version.of(version)
        found = [one for one in own if one.version == wanted]
        if not found:
            here = ", ".join(str(one.version) for one in sorted(own, key=lambda one: one.version))
            raise HubNotFoundError(
                t("updating.no_version", name=name, version=version),
                t("updating.no_version_hint", versions=here),
            )
        release = found[0]
        _check(release, floor)
        return release
    found = [
        one for one in own if one.version >= floor and _is_offered(one, follows) and _is_able(one)
    ]
    if not found:
        raise UpdateFailedError(
            t("updating.nothing_offered", name=name, channel=follows),
            t("updating.nothing_offered_hint"),
        )
    fitting = [one for one in found if _fits_any(parts, one)]
    return max(fitting or found, key=lambda one: one.version)


def _check(release: Release, floor: Version) -> None:
    """Raise for a release that was asked for by its number and cannot be had."""
    name = release.reference
    if release.yanked:
        raise UpdateFailedError(t("updating.yanked", name=name, reason=release.yanked))
    check_floor(release, floor)
    if not _is_able(release):
        raise UpdateFailedError(
            t("updating.needs_ondol", name=name, version=release.card.min_ondol),
            t("updating.needs_ondol_hint", version=__version__),
        )


def check_floor(release: Release, floor: Version) -> None:
    """UpdateFailedError for what lies below what was accepted once."""
    if release.version < floor:
        raise UpdateFailedError(
            t("updating.below_floor", name=release.reference, floor=floor),
            t("updating.below_floor_hint"),
        )


def _may_be(parts: Parts, row: Install, release: Release, channel: str) -> bool:
    if release.card.kind != row.kind or not _is_able(release):
        return False
    if row.kind == "adapter" and not _fits(parts, row, release):
        return False
    is_pinned = release.version == row.pinned and not release.yanked
    return is_pinned or _is_offered(release, channel)


def _is_offered(release: Release, channel: str) -> bool:
    return not release.yanked and (release.card.channel == "stable" or channel == "beta")


def _is_newer(version: Version, current: str, floor: Version) -> bool:
    if not current or current == LOCAL:
        return False  # it was removed, or something else has its name
    return version >= floor and version > Version.of(current)


def _is_able(release: Release) -> bool:
    """Whether this Ondol is new enough for it."""
    needed = release.card.min_ondol
    here = re.match(r"\d+(?:\.\d+){0,3}", __version__)
    return not needed or (here is not None and Version.of(here[0]) >= Version.of(needed))


def _fits(parts: Parts, row: Install, release: Release) -> bool:
    """Whether an adapter is for the weights that its model has now."""
    from ondol.errors import ModelError

    try:
        weights = parts.store.get(row.name.rpartition(":")[0]).file("weights")
    except (ModelError, UsageError):
        return False
    return weights is not None and weights.digest == release.card.base_digest


def _fits_any(parts: Parts, release: Release) -> bool:
    from ondol.updating.model_place import base_of

    card = release.card
    return card.kind != "adapter" or base_of(parts, card.base_digest, card.base_model) is not None
