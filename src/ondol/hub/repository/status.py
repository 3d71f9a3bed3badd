"""How a hub stands: what it offers, until when, what waits for a signature, what is half done.

Changes nothing and needs no key. Sentences are in the language in force.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ondol.errors import OndolError
from ondol.hub.fingerprint import fingerprint_of
from ondol.hub.release import Release, releases_of
from ondol.hub.repository import pending, publishing, roles, settling
from ondol.hub.repository.layout import SERVED, Layout
from ondol.hub.repository.pending import Waiting
from ondol.i18n import t
from ondol.models.blobs import digest_of

SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Publisher:
    """A publisher, the ids of its keys, how many releases it offers and until when its signature
    holds (None where there is none that counts)."""

    name: str
    keyids: tuple[str, ...]
    releases: int
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Status:
    """``expires`` is by role. ``half_done`` is what the next command finishes, ``problems`` what
    somebody should see to; both are sentences."""

    name: str
    fingerprint: str
    root_version: int
    threshold: int
    keyids: dict[str, tuple[str, ...]]
    expires: dict[str, datetime]
    publishers: tuple[Publisher, ...]
    releases: tuple[Release, ...]
    waiting: tuple[Waiting, ...]
    half_done: tuple[str, ...]
    problems: tuple[str, ...]
    size_bytes: dict[str, int]

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "fingerprint": self.fingerprint,
            "root_version": self.root_version,
            "threshold": self.threshold,
            "keys": {role: list(keyids) for role, keyids in self.keyids.items()},
            "expires_at": {role: moment.isoformat() for role, moment in self.expires.items()},
            "publishers": [
                {
                    "name": one.name,
                    "keys": list(one.keyids),
                    "releases": one.releases,
                    "expires_at": one.expires_at.isoformat() if one.expires_at else None,
                }
                for one in self.publishers
            ],
            "releases": [release.json() for release in self.releases],
            "waiting": [
                {
                    "role": one.role,
                    "version": one.version,
                    "missing": one.missing,
                    "keys": list(one.keyids),
                }
                for one in self.waiting
            ],
            "half_done": list(self.half_done),
            "problems": list(self.problems),
            "size_bytes": self.size_bytes,
        }


def status(layout: Layout, *, check: bool = False, now: datetime | None = None) -> Status:
    """How the hub stands; with ``check`` every blob is hashed. HubNotFoundError where there is
    none, UntrustedError where it is broken."""
    state = roles.published(layout)
    now = now or datetime.now(UTC)
    root = state.root.signed
    chain = {"root": root, "targets": state.targets.signed}
    chain |= {"snapshot": state.snapshot.signed, "timestamp": state.timestamp.signed}
    publishers, releases, problems = [], [], []
    for name, keyids in state.publishers.items():
        md = publishing.role_of(layout, state, name)
        found = releases_of(name, md.signed) if md else []
        releases += found
        publishers.append(Publisher(name, keyids, len(found), md.signed.expires if md else None))
        if md is None and state.version_of(name):
            problems.append(t("hub_repository.must_sign_again", publisher=name))
    ends = {role: signed.expires for role, signed in chain.items()}
    ends |= {one.name: one.expires_at for one in publishers if one.expires_at}
    for role, end in ends.items():
        if end <= now:
            problems.append(t("hub_repository.expired", role=role, at=f"{end:%Y-%m-%d}"))
        elif role not in roles.ONLINE and end - now < SOON:
            problems.append(t("hub_repository.expires_soon", role=role, at=f"{end:%Y-%m-%d}"))
    problems += _lost_keys(layout, state)
    problems += _lost_blobs(layout, releases, check)
    first = layout.versioned("root", 1).read_bytes()
    return Status(
        name=str(root.unrecognized_fields.get(roles.NAME_FIELD, "")),
        fingerprint=fingerprint_of(first),
        root_version=root.version,
        threshold=root.roles["root"].threshold,
        keyids={role: tuple(found.keyids) for role, found in root.roles.items()},
        expires={role: signed.expires for role, signed in chain.items()},
        publishers=tuple(publishers),
        releases=tuple(releases),
        waiting=tuple(pending.waiting(layout)),
        half_done=tuple(_half_done(layout, state)),
        problems=tuple(problems),
        size_bytes={kind: layout.size_of(kind) for kind in SERVED},
    )


def _half_done(layout: Layout, state: roles.Published) -> list[str]:
    """What a killed command left, which the next one finishes or clears away."""
    found = []
    if layout.has_leftovers:
        found.append(t("hub_repository.leftovers"))
    for role in ("targets", *state.publishers):
        ahead = [
            version
            for version in layout.versions(role)
            if version > state.version_of(role) and _is_whole(layout, state, role, version)
        ]
        if ahead:
            found.append(t("hub_repository.not_shown", role=role, version=ahead[-1]))
    number = state.root.signed.version + 1
    root = settling.pending(layout, "root", number)
    if root is not None and roles.follows(state.root, root):
        found.append(t("hub_repository.not_shown", role="root", version=number))
    return found


def _is_whole(layout: Layout, state: roles.Published, role: str, version: int) -> bool:
    md = roles.read(layout.versioned(role, version))
    if md is None or role == "targets":
        return md is not None and roles.verifies(state.root, role, md)
    return settling.is_whole(layout, state.targets, role, version, md)


def _lost_keys(layout: Layout, state: roles.Published) -> list[str]:
    found = []
    for role in roles.ONLINE:
        try:
            here = {key.public_key.keyid for key in settling.online_keys(layout, role)}
        except OndolError as error:
            found.append(error.message)
            continue
        if not here & set(state.root.signed.roles[role].keyids):
            found.append(t("hub_repository.no_online_key", role=role, folder=layout.keys))
    return found


def _lost_blobs(layout: Layout, releases: list[Release], check: bool) -> list[str]:
    found = []
    for release in releases:
        for file in release.files:
            path = layout.blob(file.digest)
            is_here = path.is_file() and path.stat().st_size == file.size_bytes
            if not is_here or (check and digest_of(path) != file.digest):
                found.append(
                    t("hub_repository.lost_blob", release=release.reference, file=file.name)
                )
    return found
