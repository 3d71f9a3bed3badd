"""Finding something in what a hub offers: words in names and cards, each item once.

Knows verified releases only; reads no file and asks nobody.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable

from ondol.hub.card import Channel
from ondol.hub.release import Release, newest


def found_in(
    releases: Iterable[Release], words: str = "", channel: Channel = "stable"
) -> list[Release]:
    """The newest offered release of each item that has all of ``words`` in it, those that have them
    in their name first. What was withdrawn is not offered."""
    items: defaultdict[str, list[Release]] = defaultdict(list)
    for release in releases:
        items[release.name].append(release)
    wanted = _plain(words).split()
    offered = (newest(found, channel) for found in items.values())
    found = [one for one in offered if one and all(word in _text(one) for word in wanted)]
    return sorted(found, key=lambda one: (_misses(one, wanted), one.name))


def _misses(release: Release, wanted: list[str]) -> int:
    name = _plain(f"{release.name} {release.card.name}")
    return sum(word not in name for word in wanted)


def _text(release: Release) -> str:
    card = release.card
    said = (card.name, card.title, card.description, card.kind, card.base_model, card.licence)
    return _plain(" ".join((release.name, *said, card.architecture, *card.languages)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()
