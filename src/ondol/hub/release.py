"""What a publisher released: one version of an item, its card and its files, as it was signed.

``signed`` turns a release into a role's targets and ``releases_of`` turns them back. The card is
signed as one text of JSON, for the canonical JSON of TUF has no fractions. Whoever calls
``releases_of`` has verified the metadata: it reads what a publisher signed, which may still be
nonsense. A release of which anything is not what it must be is left out, and the others stay.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import HubError
from ondol.hub.card import MAX_CARD_BYTES, MAX_ITEMS, MAX_NUMBER, MAX_TEXT, Card, Channel
from ondol.hub.targets import Target, Version

if TYPE_CHECKING:
    from tuf.api.metadata import TargetFile, Targets

HEX = re.compile(r"[0-9a-f]{64}")
FIRST_ROLES = ("weights", "adapter", "pack")
"""Whose file carries the card; without one of these the first file by name does."""


@dataclass(frozen=True, slots=True)
class ReleaseFile:
    """One file of a release. ``role`` is in the words of ``models.manifest``, ``digest`` is
    ``sha256:`` and 64 hexadecimal digits."""

    name: str
    role: str
    digest: str
    size_bytes: int

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")


@dataclass(frozen=True, slots=True)
class Release:
    """``version`` of ``publisher/item``. ``yanked`` is why its publisher withdrew it, or empty:
    such a release is not offered, and who has it may keep it."""

    publisher: str
    item: str
    version: Version
    card: Card
    files: tuple[ReleaseFile, ...]
    yanked: str = ""

    @property
    def name(self) -> str:
        """``publisher/item``: what people type."""
        return f"{self.publisher}/{self.item}"

    @property
    def reference(self) -> str:
        """``publisher/item@version``."""
        return f"{self.name}@{self.version}"

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def first(self) -> ReleaseFile:
        """The file that carries the card."""
        return first(self.files)

    def file(self, name: str) -> ReleaseFile | None:
        return next((file for file in self.files if file.name == name), None)

    def path(self, file: ReleaseFile) -> str:
        """The target that ``file`` is."""
        return Target(self.publisher, self.item, self.version, file.name).path

    def json(self) -> dict[str, Any]:
        """As the API and ``--json`` show it."""
        return {
            "publisher": self.publisher,
            "item": self.item,
            "version": str(self.version),
            "card": self.card.json(),
            "files": [
                {
                    "name": file.name,
                    "role": file.role,
                    "digest": file.digest,
                    "size_bytes": file.size_bytes,
                }
                for file in self.files
            ],
            "size_bytes": self.size_bytes,
            "yanked": self.yanked,
        }


def first(files: Sequence[ReleaseFile]) -> ReleaseFile:
    """Whichever of ``files`` carries the card."""
    by_name = sorted(files, key=lambda file: file.name)
    main = (file for role in FIRST_ROLES for file in by_name if file.role == role)
    return next(main, by_name[0])


def signed(release: Release) -> dict[str, TargetFile]:
    """The targets that ``release`` is, by path: what its publisher signs."""
    from tuf.api.metadata import TargetFile

    found = {}
    for file in release.files:
        custom: dict[str, Any] = {"role": file.role}
        if file == release.first:
            custom["card"] = json.dumps(
                release.card.json(), ensure_ascii=False, allow_nan=False, sort_keys=True
            )
        if release.yanked:
            custom["yanked"] = release.yanked
        path = release.path(file)
        found[path] = TargetFile(file.size_bytes, {"sha256": file.hex}, path, {"custom": custom})
    return found


def releases_of(publisher: str, targets: Targets) -> list[Release]:
    """What ``publisher`` released, by item and version, read from its verified role. Only what
    lies in its own namespace is looked at."""
    found: defaultdict[tuple[str, Version], list[TargetFile]] = defaultdict(list)
    for path, file in targets.targets.items():
        try:
            target = Target.of(path)
        except HubError:
            continue
        if target.publisher == publisher:
            found[target.item, target.version].append(file)
    releases = []
    for item, version in sorted(found):
        try:
            releases.append(_release(publisher, item, version, found[item, version]))
        except (HubError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
            continue
    return releases


def newest(releases: Iterable[Release], channel: Channel = "stable") -> Release | None:
    """The highest version that is offered on ``channel`` and not withdrawn; a device on beta is
    offered stable ones too."""
    offered = [
        release
        for release in releases
        if not release.yanked and (release.card.channel == "stable" or channel == "beta")
    ]
    return max(offered, key=lambda release: release.version, default=None)


def _release(publisher: str, item: str, version: Version, found: list[TargetFile]) -> Release:
    files = tuple(sorted(map(_file, found), key=lambda file: file.name))
    customs = {Target.of(target.path).file: target.custom for target in found}
    text = customs[first(files).name]["card"]
    if not isinstance(text, str) or len(text) > MAX_CARD_BYTES:
        raise ValueError("card")
    card = Card.of(json.loads(text, parse_constant=_no_number))
    roles: Mapping[str, str] = {file.name: file.role for file in files}
    if len(files) > MAX_ITEMS or card.files != roles:
        raise ValueError("files")
    reasons = {custom.get("yanked", "") for custom in customs.values()}
    if not all(isinstance(reason, str) and len(reason) <= MAX_TEXT for reason in reasons):
        raise ValueError("yanked")
    return Release(publisher, item, version, card, files, max(reasons))


def _file(target: TargetFile) -> ReleaseFile:
    role, digest = target.custom["role"], target.hashes.get("sha256")
    if not isinstance(role, str) or not role or len(role) > MAX_TEXT:
        raise ValueError("role")
    if not isinstance(digest, str) or not HEX.fullmatch(digest):
        raise ValueError("digest")
    if type(target.length) is not int or not 0 <= target.length < MAX_NUMBER // MAX_ITEMS:
        raise ValueError("length")
    return ReleaseFile(Target.of(target.path).file, role, f"sha256:{digest}", target.length)


def _no_number(text: str) -> float:
    """NaN and the infinities are no JSON, though Python reads them."""
    raise ValueError(text)
