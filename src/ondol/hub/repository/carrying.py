"""A hub's files between folders: a copy to be served elsewhere, a publisher's change brought in.

A copy is made in the order in which a hub changes: blobs, metadata, the timestamp last, so that
the copy verifies at every moment too. A change (what ``publish`` with ``to`` wrote) is a folder
with one signed role of a publisher and the blobs that are new; all of it is checked. Raises
``UntrustedError``, ``HubError``, ``ScanRefusedError``, ``StorageError``.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from ondol import paths
from ondol.errors import HubError, UntrustedError, UsageError
from ondol.hub.release import Release
from ondol.hub.repository import publishing, roles
from ondol.hub.repository.layout import Layout
from ondol.i18n import t
from ondol.models import blobs

CHANGE = re.compile(r"([1-9]\d{0,9})\.([a-z0-9._-]+)\.json")


def export(layout: Layout, to: Path) -> int:
    """Make ``to`` a copy of what is served; the bytes that were copied. What is in ``to`` already
    is not copied again, so that a copy on a stick or in a bucket's folder is brought up to date.
    The caller holds the lock. UsageError where ``to`` lies in the hub or the hub in it."""
    source, target = layout.folder.resolve(), to.resolve()
    if source.is_relative_to(target) or target.is_relative_to(source):
        raise UsageError(t("hub_repository.export_inside"), param="to")
    there = Layout(to)
    there.prepare_served()
    copied = 0
    for folder in ("blobs", "deltas"):
        for file in sorted((layout.folder / folder).iterdir()):
            if not file.name.startswith((".", "partial-")):
                copied += _copy(file, to / folder / file.name)
    metadata = [file for file in layout.metadata.iterdir() if not file.name.startswith(".")]
    # The root of a rotation comes last among the others, as it did here.
    for file in sorted(metadata, key=lambda file: (file.name.endswith(".root.json"), file.name)):
        if file != layout.timestamp:
            copied += _copy(file, there.metadata / file.name)
    there.put(there.timestamp, layout.timestamp.read_bytes())
    return copied + layout.timestamp.stat().st_size


def change_in(folder: Path) -> tuple[str, bytes]:
    """The publisher and the signed role of the change in ``folder``; HubError where it is none."""
    try:
        found = [(CHANGE.fullmatch(file.name), file) for file in folder.iterdir()]
        named = [(match[2], file) for match, file in found if match]
        if len(named) != 1 or named[0][1].stat().st_size > roles.MOST_BYTES["targets"]:
            raise HubError(t("hub_repository.no_change", folder=folder))
        return named[0][0], named[0][1].read_bytes()
    except OSError as error:
        raise HubError(t("hub_repository.no_change", folder=folder)) from error


def accept(layout: Layout, folder: Path) -> tuple[str, int, bytes, list[Release]]:
    """Check the change in ``folder`` and take its blobs in: the publisher, the version of its role,
    the role's file, and the releases that are new. The caller holds the lock, and publishes."""
    from ondol.hub.scan import require, scan

    state = roles.published(layout)
    publisher, data = change_in(folder)
    publishing.known(state, publisher)
    md = roles.parse(data, publisher)
    offered = publishing.check_change(layout, state, publisher, md)
    before = publishing.role_of(layout, state, publisher)
    known = set(before.signed.targets) if before else set()
    new = [one for one in offered if one.path(one.first) not in known]
    for release in new:
        copies: dict[str, Path] = {}
        for file in release.files:
            copies[file.name] = _take(layout, Layout(folder).blob(file.digest), file.digest)
            if copies[file.name].stat().st_size != file.size_bytes:
                raise UntrustedError(t("hub_repository.other_blob", file=file.name))
        require(scan(copies, release.card, linked=True))
        for file in release.files:
            layout.place(copies[file.name], file.digest)
    return publisher, md.signed.version, data, new


def _take(layout: Layout, brought: Path, digest: str) -> Path:
    """A copy of a blob that came along, or of the one that is here; UntrustedError where neither
    is what it is called."""
    here = layout.blob(digest)
    source = brought if brought.is_file() and not brought.is_symlink() else here
    if not source.is_file():
        raise UntrustedError(t("hub_repository.no_blob_came", digest=digest))
    copied = layout.take_in(source)
    if blobs.digest_of(copied) != digest:
        raise UntrustedError(t("hub_repository.other_blob", file=source.name))
    return copied


def _copy(source: Path, target: Path) -> int:
    """Copy a file whose name says what is in it; the bytes, 0 where it is there."""
    size = source.stat().st_size
    if target.is_file() and target.stat().st_size == size:
        return 0
    temporary = target.with_name(f".{target.name}.partial")
    try:
        shutil.copyfile(source, temporary)
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise paths.storage_error(error, target) from error
    return size
