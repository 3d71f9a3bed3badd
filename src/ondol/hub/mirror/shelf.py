"""What a hub has, as repositories with revisions: the form that other people's clients ask in.

Every release is one: ``publisher/item`` with its versions as revisions. What a mirror brought is
found under its own name, with the commit it is of. Read anew when the hub's timestamp changes; asks
for no key and no lock, for files of a version are never written twice. Trusts the folder: whoever
may write there is the operator.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondol.errors import HubError, OndolError
from ondol.hub.mirror.origin import MOST_BYTES, ORIGIN, PUBLISHER, ROLE, Origin
from ondol.hub.release import Release, newest
from ondol.hub.repository import Repository
from ondol.hub.serving import regular

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Content:
    """One file of a snapshot. ``git_oid`` is git's name of it: of what is large, of its pointer."""

    path: str
    digest: str
    size_bytes: int
    git_oid: str = ""

    @property
    def hex(self) -> str:
        return self.digest.removeprefix("sha256:")

    @property
    def pointer(self) -> bytes:
        """The file that Git LFS keeps in its place (specification v1)."""
        return (
            "version https://git-lfs.github.com/spec/v1\n"
            f"oid sha256:{self.hex}\nsize {self.size_bytes}\n"
        ).encode()

    @property
    def oid(self) -> str:
        return self.git_oid or git_oid(self.pointer)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one revision. ``others`` are paths that its origin has beside these."""

    repository: str
    commit: str
    release: Release
    files: Mapping[str, Content]
    origin: Origin | None = None

    @property
    def others(self) -> tuple[str, ...]:
        return self.origin.others if self.origin else ()


@dataclass(frozen=True, slots=True)
class Shelved:
    """A repository. ``revisions`` has each by commit, version, branch and channel."""

    name: str
    main: Snapshot
    revisions: Mapping[str, Snapshot]

    @property
    def snapshots(self) -> list[Snapshot]:
        """Each once, as it is first named."""
        return list({one.release.reference: one for one in self.revisions.values()}.values())

    def at(self, revision: str) -> Snapshot | None:
        return self.revisions.get(revision)


class Shelf:
    """The repositories of the hub in ``folder``. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._shelved: dict[str, Shelved] = {}

    def all(self) -> list[Shelved]:
        """By name."""
        return sorted(self._fresh().values(), key=lambda one: one.name.lower())

    def find(self, repository: str) -> Shelved | None:
        """The repository of that name, whatever its capitals."""
        return self._fresh().get(repository.lower())

    def paths_of(self, repository: str, commit: str) -> tuple[str, ...]:
        """The files of a mirrored repository at a commit."""
        shelved = self.find(repository)
        found = shelved.at(commit) if shelved else None
        return tuple(found.files) if found and found.origin else ()

    def file(self, content: Content) -> Path | None:
        """Where the bytes are."""
        return self.blob(content.digest)

    def blob(self, digest: str) -> Path | None:
        """The blob ``sha256:…``, if the hub has it."""
        return regular(self.folder, "blobs", digest.replace(":", "-", 1))

    def snapshot_with(self, digest: str) -> Snapshot | None:
        """A snapshot that has a file of that content: the base model of an adapter."""
        for one in self.all():
            for snapshot in one.snapshots:
                if any(file.digest == digest for file in snapshot.files.values()):
                    return snapshot
        return None

    def _fresh(self) -> dict[str, Shelved]:
        state = _state(self.folder / "metadata" / "timestamp.json")
        with self._lock:
            if state != self._state:
                # A folder that is just being copied does not verify; what was known stays.
                with suppress(OndolError):
                    self._shelved = shelved(Repository(self.folder).releases(), self._origin)
                    self._state = state
            return self._shelved

    def _origin(self, release: Release) -> Origin | None:
        """Where a mirrored release came from; None of one that was published here."""
        file = release.file(ORIGIN)
        if release.publisher != PUBLISHER or file is None or file.role != ROLE:
            return None
        path = self.blob(file.digest)
        if path is None or file.size_bytes > MOST_BYTES:
            return None
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != file.hex:
                return None
            return Origin.of(content)
        except (OSError, HubError):
            return None


def shelved(found: Iterable[Release], origin_of: Any = lambda release: None) -> dict[str, Shelved]:
    """The repositories that releases make, by name in small letters. One that has nothing but
    withdrawn releases is not there; of one that has only beta ones, ``main`` is the newest beta."""
    snapshots: defaultdict[str, list[Snapshot]] = defaultdict(list)
    for release in found:
        if not release.yanked:
            snapshot = _snapshot(release, origin_of(release))
            snapshots[snapshot.repository.lower()].append(snapshot)
    return {name: _repository(_own(several)) for name, several in snapshots.items()}


def _own(snapshots: list[Snapshot]) -> list[Snapshot]:
    """Of a name that a publisher of this hub uses, the publisher's: no mirror takes it."""
    published = [snapshot for snapshot in snapshots if snapshot.origin is None]
    return published or snapshots


def git_oid(content: bytes) -> str:
    """The object id that git gives a file of that content (SHA-1 is git's choice)."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _snapshot(release: Release, origin: Origin | None) -> Snapshot:
    here = {(file.name, file.digest): file for file in release.files}
    if origin is None:
        files = {
            file.name: Content(file.name, file.digest, file.size_bytes) for file in release.files
        }
        return Snapshot(release.name, _commit(release), release, files)
    # Only what the release itself has: its signature is over these.
    mirrored = {
        file.path: Content(file.path, file.digest, file.size_bytes, file.git_oid)
        for file in origin.files
        if (file.name, file.digest) in here
        and here[file.name, file.digest].size_bytes == file.size_bytes
    }
    return Snapshot(origin.repository, origin.commit, release, mirrored, origin)


def _commit(release: Release) -> str:
    """A commit's name for a release: of the same release always the same."""
    files = {file.name: file.digest for file in release.files}
    text = json.dumps([release.reference, files, release.card.json()], sort_keys=True)
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _repository(snapshots: list[Snapshot]) -> Shelved:
    by_version = sorted(snapshots, key=lambda one: one.release.version)
    revisions: dict[str, Snapshot] = {}
    for snapshot in by_version:
        named = snapshot.origin.revision if snapshot.origin else str(snapshot.release.version)
        revisions[named] = snapshot
    # Of two releases of one commit the later has what the earlier had; no branch has its name.
    revisions |= {snapshot.commit: snapshot for snapshot in by_version}
    of = {one.release.reference: one for one in by_version}
    # What somebody asked for as a branch, or as anybody's proposal to it (refs/pr/1), is found by
    # that name: who names none gets what was approved as the main one.
    mains = [one for one in by_version if one.origin is None or one.origin.revision == MAIN]
    stable = newest(one.release for one in mains or by_version)
    beta = newest((release.release for release in by_version), "beta")
    main = revisions[(of[stable.reference] if stable else (mains or by_version)[-1]).commit]
    revisions[MAIN] = main
    if beta:
        revisions.setdefault("beta", of[beta.reference])
    return Shelved(main.repository, main, revisions)


def _state(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
