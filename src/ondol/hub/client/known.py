"""What was verified of a hub last: one file, whole or not at all, which answers without a network.

It holds the signed metadata as they came: the root, the operator's targets and each publisher's.
Reading it checks the signatures again, and forgets whom the operator no longer delegates to. How
old it is makes no difference here: only a refresh decides what is new. Raises ``StorageError``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import whole_file
from ondol.errors import HubError, OndolError
from ondol.hub.release import Release, releases_of
from ondol.hub.targets import NAME, RESERVED

if TYPE_CHECKING:
    from tuf.api.metadata import DelegatedRole, Targets

FILE = "known.json"


@dataclass(frozen=True, slots=True)
class Known:
    """``targets`` are each publisher's, verified; ``keys`` the ids of the keys that sign for them.
    ``at`` is when it was verified, ``expires_at`` until when it may be called new (ISO 8601)."""

    mirror: str
    at: str
    expires_at: str
    targets: Mapping[str, Targets] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def releases(self, publisher: str | None = None) -> list[Release]:
        """What the publishers released, by publisher, item and version."""
        names = sorted(self.targets) if publisher is None else [publisher]
        return [
            release
            for name in names
            if name in self.targets
            for release in releases_of(name, self.targets[name])
        ]


@dataclass(frozen=True, slots=True)
class Signed:
    """The same as text, as it came and is kept."""

    mirror: str
    at: str
    expires_at: str
    root: str
    targets: str
    publishers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """``mirror`` is whose word was taken. ``left`` are the mirrors that were left before, and why;
    ``troubles`` what is wrong with single publishers, of whom what was known before stays;
    ``rekeyed`` are publishers for whom the operator lets other keys sign than before."""

    mirror: str
    expires_at: str
    left: tuple[tuple[str, OndolError], ...] = ()
    troubles: Mapping[str, HubError] = field(default_factory=dict)
    rekeyed: tuple[str, ...] = ()


def write(folder: Path, signed: Signed) -> None:
    """Know ``signed`` from here on, instead of what was known before."""
    content = {name: getattr(signed, name) for name in Signed.__dataclass_fields__}
    whole_file.write(folder / FILE, json.dumps(content, ensure_ascii=False))


def load(folder: Path) -> Signed | None:
    """What is in the file; None where there is none, or it is damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return Signed(**found)
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def verified(signed: Signed) -> Known | None:
    """What ``signed`` says, as far as its signatures hold; None where even the operator's do not
    (the file was damaged)."""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root, Targets

    try:
        root: Metadata[Root] = Metadata[Root].from_bytes(signed.root.encode())
        top: Metadata[Targets] = Metadata[Targets].from_bytes(signed.targets.encode())
        root.signed.verify_delegate("root", root.signed_bytes, root.signatures)
        root.signed.verify_delegate("targets", top.signed_bytes, top.signatures)
    except (RepositoryError, ValueError, AttributeError):
        return None
    targets, keys = {}, {}
    for name, role in publishers_of(top.signed).items():
        keys[name] = tuple(role.keyids)
        try:
            one: Metadata[Targets] = Metadata[Targets].from_bytes(signed.publishers[name].encode())
            top.signed.verify_delegate(name, one.signed_bytes, one.signatures)
        except (KeyError, RepositoryError, ValueError, AttributeError):
            continue
        targets[name] = one.signed
    return Known(signed.mirror, signed.at, signed.expires_at, targets, keys)


def publishers_of(targets: Targets) -> dict[str, DelegatedRole]:
    """The publishers that the operator delegates to: each role signs what lies under its own name,
    and nothing else. A delegation of another form is nobody's."""
    delegations: Any = targets.delegations
    roles = (delegations.roles if delegations is not None else None) or {}
    return {name: role for name, role in roles.items() if _is_publisher(name, role)}


def _is_publisher(name: str, role: DelegatedRole) -> bool:
    return (
        NAME.fullmatch(name) is not None
        and name not in RESERVED
        and role.paths == [f"{name}/*/*/*"]
        and role.terminating
    )
