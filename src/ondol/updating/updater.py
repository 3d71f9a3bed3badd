"""From hubs to what is active here: what there is to update, install, update.

Raises what a hub, the scanner and the trial raise (``HubError`` and its kin), ``UsageError``,
``StorageError``, ``DownloadError``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from ondol.errors import HubNotFoundError, OndolError, UsageError
from ondol.hub.release import Release
from ondol.i18n import t
from ondol.updating import fetching, offers, switching
from ondol.updating.bringing import Bringing, How, Outcome
from ondol.updating.installs import NO_VERSION, Install, Installs
from ondol.updating.offers import Offer
from ondol.updating.switching import LOCAL, Progress, Tell

if TYPE_CHECKING:
    from ondol.hub.client.hub import Hub
    from ondol.hub.client.known import Refreshed
    from ondol.parts import Parts

__all__ = ["Checked", "Outcome", "Progress", "check", "install", "update"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What there is for each installed item; ``troubles``, of what could not be asked, and
    ``notes``, of publishers with new keys, are hubs and sentences. ``is_unheard``: hubs were asked
    and none of them answered."""

    offers: tuple[Offer, ...]
    troubles: tuple[tuple[str, str], ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    is_unheard: bool = False

    def json(self) -> dict[str, Any]:
        return {
            "offers": [one.json() for one in self.offers],
            "troubles": [{"hub": hub, "sentence": told} for hub, told in self.troubles],
            "notes": [{"hub": hub, "sentence": told} for hub, told in self.notes],
        }


def check(
    parts: Parts, names: Sequence[str] = (), *, channel: str = "", refresh: bool = True
) -> Checked:
    """What there is for what is installed, or for those ``names``. Without ``refresh`` as the hubs
    said last. A hub that cannot be asked is told of, and what it said before still counts."""
    with Installs.open() as kept, fetching.hubs(parts) as hubs:
        rows = [kept.named(name) for name in names] if names else kept.rows()
        troubles: list[tuple[str, str]] = []
        notes: list[tuple[str, str]] = []
        found: list[Offer] = []
        by_key = {hub.fingerprint: hub for hub in hubs}
        answers: list[bool] = []
        for fingerprint in dict.fromkeys(row.hub for row in rows):
            hub = by_key.get(fingerprint)
            if hub is None or not refresh:
                continue
            try:
                done = hub.refresh()
            except OndolError as error:
                troubles.append((hub.name, error.message))
                answers.append(False)
                continue
            answers.append(True)
            notes += _rekeyed(hub, done)
            wrong = done.troubles.items()
            troubles += [(f"{hub.name}/{whose}", error.message) for whose, error in wrong]
        for row in rows:
            place, hub = switching.place_of(parts, row), by_key.get(row.hub)
            if hub is None or not place.active():
                continue
            releases = hub.releases(row.publisher)
            events = kept.events(row)
            found.append(
                offers.for_install(
                    parts, row, place, releases, events, hub_name=hub.name, channel=channel
                )
            )
    is_unheard = bool(answers) and not any(answers)
    return Checked(tuple(found), tuple(troubles), tuple(notes), is_unheard)


def install(
    parts: Parts,
    reference: str,
    *,
    hub: str = "",
    channel: str = "",
    name: str = "",
    allow_stale: bool = False,
    replace: bool = False,
    on_progress: Tell | None = None,
    cancel: Flag | None = None,
) -> Outcome:
    """Bring ``publisher/item``, or ``publisher/item@version``, here and make it active; ``name`` is
    what to call it. Whoever has it already is brought to that version, or the newest."""
    publisher, item, version = _read(reference)
    how = How(allow_stale, replace, on_progress or How().tell, cancel or Flag())
    with Installs.open() as kept, fetching.hubs(parts) as hubs:
        source = _hub_with(hubs, publisher, item, hub)
        notes = _rekeyed(source, source.refresh(publisher))
        known = kept.get((source.fingerprint, publisher, item))
        floor = known.floor if known else NO_VERSION
        follows = channel or (known.channel if known else "")
        releases = source.releases(publisher)
        release = offers.to_install(parts, releases, publisher, item, version, follows, floor)
        here = known.name if known and _is_here(parts, known) else ""
        row = Install(
            source.fingerprint,
            publisher,
            item,
            release.card.kind,
            _name_here(parts, release, name or here),
            floor,
            channel=channel,
        )
        outcome = Bringing(parts, kept, source, how).bring(row, release)
    words = [told for _, told in notes]
    if here and here != outcome.name:
        words.append(t("updating.stays", name=here, new=outcome.name))
    return dataclasses.replace(outcome, words=(*outcome.words, *words))


def update(
    parts: Parts,
    name: str,
    *,
    channel: str = "",
    allow_stale: bool = False,
    on_progress: Tell | None = None,
    cancel: Flag | None = None,
) -> Outcome:
    """Bring what is installed as ``name`` to the newest release that is offered to it."""
    how = How(allow_stale, False, on_progress or How().tell, cancel or Flag())
    with Installs.open() as kept, fetching.hubs(parts) as hubs:
        row = kept.named(name)
        hub = next((one for one in hubs if one.fingerprint == row.hub), None)
        if hub is None:
            raise HubNotFoundError(t("updating.hub_gone", name=row.name))
        notes = _rekeyed(hub, hub.refresh(row.publisher))
        place = switching.place_of(parts, row)
        found = offers.for_install(
            parts, row, place, hub.releases(row.publisher), kept.events(row), channel=channel
        )
        if found.release is None:
            told = [sentence for _, sentence in notes] + ([found.left] if found.left else [])
            if found.yanked:
                told.append(t("updating.yanked_here", name=row.name, reason=found.yanked))
            return Outcome("unchanged", row, found.current, found.current, tuple(told))
        outcome = Bringing(parts, kept, hub, how).bring(row, found.release)
    words = (*outcome.words, *(told for _, told in notes))
    return dataclasses.replace(outcome, words=words)


def _rekeyed(hub: Hub, found: Refreshed) -> list[tuple[str, str]]:
    """For whom the operator lets other keys sign than before: it is told once, so whoever asks
    tells the owner."""
    return [
        (hub.name, t("hub_browsing.rekeyed", publisher=publisher, hub=hub.name))
        for publisher in found.rekeyed
    ]


def _read(reference: str) -> tuple[str, str, str]:
    name, _, version = reference.strip().partition("@")
    publisher, slash, item = name.partition("/")
    if not (publisher and slash and item) or "/" in item:
        raise UsageError(
            t("updating.bad_reference", name=reference), t("updating.bad_reference_hint")
        )
    return publisher, item, version


def _hub_with(hubs: Sequence[Hub], publisher: str, item: str, wanted: str) -> Hub:
    """The hub called ``wanted``, or the one that has the item."""
    if wanted:
        hubs = [one for one in hubs if wanted in (one.name, one.fingerprint)]
        if not hubs:
            raise HubNotFoundError(t("updating.no_hub", name=wanted), t("updating.no_hub_hint"))
        return hubs[0]
    if not hubs:
        raise HubNotFoundError(t("updating.no_hubs"), t("updating.no_hub_hint"))
    if len(hubs) == 1:
        return hubs[0]
    found, errors = [], []
    for hub in hubs:
        try:
            hub.refresh()
        except OndolError as error:
            errors.append(error)
        if any((one.publisher, one.item) == (publisher, item) for one in hub.releases()):
            found.append(hub)
    name = f"{publisher}/{item}"
    if len(found) > 1:
        told = ", ".join(one.name for one in found)
        raise UsageError(t("updating.several_hubs", name=name, hubs=told), param="hub")
    if found:
        return found[0]
    if errors:
        raise errors[0]
    raise HubNotFoundError(t("updating.no_item", name=name), t("updating.no_item_hint", words=item))


def _is_here(parts: Parts, row: Install) -> bool:
    return switching.place_of(parts, row).active() not in ("", LOCAL)


def _name_here(parts: Parts, release: Release, name: str) -> str:
    """What an item is called here: as its owner says, or as its card does."""
    if release.card.kind == "adapter":
        from ondol.updating.adapter_place import full_name

        return full_name(parts, release, name)
    from ondol.models import names

    said = names.normalize(name or release.card.name)
    if names.is_reference(said):
        raise UsageError(t("models.bad_name", name=said), t("models.bad_name_hint"), param="name")
    return said
