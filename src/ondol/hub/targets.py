"""What a hub's targets are called: ``<publisher>/<item>/<version>/<file name>``.

A publisher signs what lies under its own name and nothing else. What a path is not, no part of a
hub takes: a name becomes a folder, a URL and a line in a terminal. Raises ``HubError``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from ondol.errors import HubError
from ondol.i18n import t

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
FILE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
VERSION = re.compile(r"(?:0|[1-9]\d{0,8})(?:\.(?:0|[1-9]\d{0,8})){0,3}")
RESERVED = frozenset({"root", "targets", "snapshot", "timestamp", "blobs", "metadata"})
"""Names of TUF's own roles and of a hub's folders: no publisher."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """``1``, ``1.2`` ... ``1.2.3.4``: numbers, compared one by one; ``1.2`` equals ``1.2.0``."""

    numbers: tuple[int, int, int, int]

    @classmethod
    def of(cls, text: str) -> Self:
        """HubError unless ``text`` is one to four numbers without leading zeros."""
        if not VERSION.fullmatch(text):
            raise HubError(t("hub.bad_version", version=text), t("hub.bad_version_hint"))
        numbers = [int(number) for number in text.split(".")]
        first, second, third, fourth = numbers + [0] * (4 - len(numbers))
        return cls((first, second, third, fourth))

    def __str__(self) -> str:
        kept = list(self.numbers)
        while len(kept) > 1 and not kept[-1]:
            kept.pop()
        return ".".join(map(str, kept))


@dataclass(frozen=True, slots=True)
class Target:
    """One file of one release of an item."""

    publisher: str
    item: str
    version: Version
    file: str

    @classmethod
    def of(cls, path: str) -> Self:
        """What ``path`` names; HubError unless it is a target's in its one form."""
        parts = path.split("/")
        if len(parts) != 4:
            raise HubError(t("hub.bad_path", path=path))
        publisher, item, version, file = parts
        found = cls(name(publisher), name(item), Version.of(version), file)
        if publisher in RESERVED or not FILE_NAME.fullmatch(file) or found.path != path:
            raise HubError(t("hub.bad_path", path=path))
        return found

    @property
    def path(self) -> str:
        return f"{self.publisher}/{self.item}/{self.version}/{self.file}"


def name(text: str) -> str:
    """``text`` if a publisher or an item may be called that, else HubError."""
    if not NAME.fullmatch(text) or ".." in text:
        raise HubError(t("hub.bad_name", name=text), t("hub.bad_name_hint"))
    return text
