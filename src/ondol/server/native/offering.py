"""What the hubs of this device offer, as JSON: each item with its newest release, what of it is
installed, and what stands in the way of it here.

Only what was verified is shown, and nothing here asks the network. Raises ``HubNotFoundError`` and
what the database raises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol import __version__
from ondol.errors import HubError, HubNotFoundError
from ondol.hub.card import Card, Channel
from ondol.hub.release import Release, newest
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.parts import Parts

if TYPE_CHECKING:
    from ondol.updating.installed import Installed

SEARCHED = ("name", "title", "description", "base_model", "architecture", "licence")


@dataclass(frozen=True)
class Here:
    """What is on this machine: ``weights`` names models by the digest of their weights."""

    weights: Mapping[str, str]
    installed: Sequence[Installed]

    @classmethod
    def of(cls, parts: Parts) -> Here:
        from ondol.updating import installed

        found = {}
        for model in parts.store.list():
            file = model.file("weights")
            if file is not None:
                found[file.digest] = model.name
        return cls(found, installed.all(parts))

    def item(self, fingerprint: str, publisher: str, item: str) -> Installed | None:
        """What is installed of an item of the hub with that fingerprint."""
        return next(
            (one for one in self.installed if one.install.key == (fingerprint, publisher, item)),
            None,
        )

    def obstacle(self, card: Card) -> str:
        """Why what has that card cannot be used here, in a sentence; "" where nothing is known."""
        if card.min_ondol and Version.of(card.min_ondol) > _own_version():
            return t("hub_page.too_new", version=card.min_ondol, here=__version__)
        if card.kind != "model" and card.base_digest and card.base_digest not in self.weights:
            return t("hub_page.no_base", model=card.base_model or card.base_digest[:19])
        return ""

    def shown(self, own: Sequence[Release], installed: Installed | None) -> Release:
        """Which release of an item is shown: the newest one on the channel that is followed, of
        those that can be used here if there are any; else one of any channel; else one that was
        withdrawn."""
        able = [one for one in own if not self.obstacle(one.card)]
        follows_beta = installed is not None and installed.install.channel == "beta"
        channel: Channel = "beta" if follows_beta else "stable"
        found = newest(able, channel) or newest(own, channel) or newest(able, "beta")
        return found or newest(own, "beta") or max(own, key=_version)


def items(
    releases: Iterable[Release],
    here: Here,
    fingerprint: str,
    *,
    words: str = "",
    kind: str = "",
) -> list[dict[str, Any]]:
    """The items of one hub that have all of the ``words`` somewhere, by publisher and name."""
    by_item: dict[tuple[str, str], list[Release]] = {}
    for release in releases:
        by_item.setdefault((release.publisher, release.item), []).append(release)
    found = []
    for (publisher, item), own in sorted(by_item.items()):
        installed = here.item(fingerprint, publisher, item)
        shown = here.shown(own, installed)
        if (kind and shown.card.kind != kind) or not _has(shown, words):
            continue
        found.append(_item(own, shown, installed, here))
    return found


def item(
    releases: Iterable[Release], here: Here, fingerprint: str, publisher: str, item: str
) -> dict[str, Any]:
    """One item, with all its releases, the newest first. HubNotFoundError."""
    own = [one for one in releases if (one.publisher, one.item) == (publisher, item)]
    if not own:
        name = f"{publisher}/{item}"
        raise HubNotFoundError(t("hub_page.no_item", name=name), t("hub_page.no_item_hint"))
    own.sort(key=lambda one: one.version, reverse=True)
    installed = here.item(fingerprint, publisher, item)
    told = _item(own, here.shown(own, installed), installed, here)
    return told | {"releases": [one.json() | {"obstacle": here.obstacle(one.card)} for one in own]}


def _item(
    own: Sequence[Release], shown: Release, installed: Installed | None, here: Here
) -> dict[str, Any]:
    return shown.json() | {
        "versions": [str(one.version) for one in sorted(own, key=_version, reverse=True)],
        "installed": installed.json() if installed is not None else None,
        "is_newer": installed is not None and _is_newer(shown, installed.version),
        "obstacle": here.obstacle(shown.card),
    }


def _is_newer(shown: Release, active: str) -> bool:
    from ondol.updating.switching import LOCAL

    if shown.yanked:
        return False
    return active == LOCAL or shown.version > Version.of(active)


def _version(release: Release) -> Version:
    return release.version


def _has(release: Release, words: str) -> bool:
    texts = [release.publisher, release.item, *release.card.languages]
    texts += [str(getattr(release.card, name)) for name in SEARCHED]
    text = " ".join(texts).lower()
    return all(word in text for word in words.lower().split())


def _own_version() -> Version:
    # "0.9.0.dev3" and the like are as good as their numbers.
    numbers = []
    for part in __version__.split(".")[:4]:
        if not part.isdecimal():
            break
        numbers.append(part)
    try:
        return Version.of(".".join(numbers) or "0")
    except HubError:
        return Version.of("0")
