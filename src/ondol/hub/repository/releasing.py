"""What a publisher does with its key: release, withdraw, sign again; here, or on a copy elsewhere.

With ``to`` nothing of the hub changes: the signed role and the new blobs go into that folder, which
its operator takes with ``accept``. A publisher needs a copy of the hub for that, and no key of the
operator's. Raises errors of ``ondol.errors.hub``, ``StorageError`` and ``UsageError``.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import paths
from ondol.errors import OndolError, UsageError
from ondol.hub import targets
from ondol.hub.card import Card
from ondol.hub.release import Release
from ondol.hub.repository import carrying, publishing, rotating, settling
from ondol.hub.repository.layout import Layout
from ondol.hub.repository.reading import HubFolder
from ondol.hub.targets import Version
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

    from ondol.hub.scan import Report

MIRROR = "mirror"
"""The publisher of what comes from upstream, unless its operator says another."""
DELTAS_TO = 2
"""How many earlier versions deltas are made from."""


class Releasing(HubFolder):
    """The publishers' side of a hub."""

    def publish(
        self,
        publisher: str,
        item: str,
        version: str | Version,
        card: Card,
        files: Mapping[str, Path],
        key: CryptoSigner,
        *,
        report: Report | None = None,
        on_bytes: Callable[[int], None] = lambda done: None,
        to: Path | None = None,
    ) -> Release:
        """Release ``files``, by the names that they shall have, as ``version`` of the item. They
        are scanned unless there is a ``report`` of a scan already; ``on_bytes`` hears how much is
        copied, and may raise. The same files again are no error, others under the same version
        are: HubError."""
        targets.name(item)
        number = _number(version)
        with self._changed(to) as layout:
            state = self.state()
            # Before anything is copied: a wrong key is not worth four gigabytes.
            publishing.check_own(self.layout, state, publisher)
            publishing.sign(state, publisher, publishing.draft(self.layout, state, publisher), key)
            card, found, copies = publishing.take_in(layout, files, card, report, on_bytes)
            release = Release(publisher, item, number, card, found)
            md, release = publishing.add(self.layout, state, release)
            if md is None:
                return release
            data = publishing.sign(state, publisher, md, key)
            for file in found:
                layout.place(copies[file.name], file.digest)
            if to is None:
                self._make_deltas(release)
            self._put(layout, publisher, md.signed.version, data)
        return release

    def yank(
        self,
        publisher: str,
        item: str,
        version: str | Version,
        reason: str,
        key: CryptoSigner,
        *,
        to: Path | None = None,
    ) -> Release:
        """Withdraw a release: it is offered to nobody any more, and says why."""
        if not reason.strip():
            raise UsageError(t("hub_repository.no_reason"), param="reason")
        number = _number(version)
        with self._changed(to) as layout:
            state = self.state()
            md, release = publishing.withdraw(
                self.layout, state, publisher, item, number, reason.strip()
            )
            data = publishing.sign(state, publisher, md, key)
            self._put(layout, publisher, md.signed.version, data)
        return release

    def resign(
        self,
        publisher: str,
        key: CryptoSigner,
        *,
        without: Sequence[str] = (),
        to: Path | None = None,
    ) -> None:
        """Sign what ``publisher`` offers anew, for another year or after its key was changed, but
        for the releases ``without``: those that a thief of the old key made."""
        with self._changed(to) as layout:
            state = self.state()
            md = rotating.kept(self.layout, state, publisher, without)
            data = publishing.sign(state, publisher, md, key)
            self._put(layout, publisher, md.signed.version, data)

    def accept(self, folder: Path) -> list[Release]:
        """Publish the change in ``folder`` that a publisher signed elsewhere: its new releases."""
        with self.changing():
            settling.check_online(self.layout, self.state().root)
            publisher, version, data, new = carrying.accept(self.layout, folder)
            for release in new:
                self._make_deltas(release)
            self._put(self.layout, publisher, version, data)
        return new

    def approve(
        self,
        name: str,
        key: CryptoSigner,
        *,
        publisher: str = MIRROR,
        version: str | Version | None = None,
    ) -> Release:
        """Publish what waits in quarantine under ``name``, as ``version`` or the next whole one."""
        from ondol.hub.mirror.quarantine import Quarantine

        quarantine = Quarantine(self.folder)
        held = quarantine.get(name)
        if version is None:
            here = [
                release.version.numbers[0]
                for release in self.releases()
                if (release.publisher, release.item) == (publisher, held.item)
            ]
            version = str(max(here, default=0) + 1)
        release = self.publish(publisher, held.item, version, held.card, held.files, key)
        quarantine.remove(name)
        return release

    @contextmanager
    def _changed(self, to: Path | None) -> Iterator[Layout]:
        """Where what is new goes: into the hub itself, or into the folder ``to``."""
        if to is None:
            with self.changing():
                settling.check_online(self.layout, self.state().root)
                yield self.layout
            return
        layout = Layout(to)
        if to.exists() and any(to.iterdir()):
            raise UsageError(t("hub_repository.not_empty", folder=to), param="to")
        paths.ensure(layout.blobs)
        try:
            yield layout
        finally:
            shutil.rmtree(layout.state, ignore_errors=True)

    def _put(self, layout: Layout, publisher: str, version: int, data: bytes) -> None:
        """Publish a role that is signed and of which every blob is here, or leave it in ``to``."""
        if layout is self.layout:
            layout.put(layout.versioned(publisher, version), data)
            settling.settle(layout)
        else:
            layout.put(layout.folder / f"{version}.{publisher}.json", data)

    def _make_deltas(self, release: Release) -> None:
        """From the versions before it; a delta that cannot be made costs bytes and nothing else."""
        from ondol.hub import delta

        before = sorted(
            (
                other
                for other in self.releases()
                if other.name == release.name and other.version < release.version
            ),
            key=lambda other: other.version,
        )
        for file in release.files:
            if not delta.is_worth(file.role, file.size_bytes):
                continue
            for other in before[-DELTAS_TO:]:
                same_role = (one for one in other.files if one.role == file.role)
                old = other.file(file.name) or next(same_role, None)
                path = self.blob(old.digest) if old else None
                if old and path and old.digest != file.digest:
                    with suppress(OndolError):
                        delta.make(
                            path,
                            self.layout.blob(file.digest),
                            self.folder,
                            old_digest=old.digest,
                            new_digest=file.digest,
                        )


def _number(version: str | Version) -> Version:
    return Version.of(version) if isinstance(version, str) else version
