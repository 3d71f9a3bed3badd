"""One snapshot of an upstream's repository on its way into quarantine.

Pinned commit, every file checked by the digest that was announced (sha256 of large files, git's own
of small ones), then all of them scanned in one go, and only then does it wait for the operator. An
interrupted one goes on from where it was. Raises ``ScanRefusedError`` where nothing that was asked
for may stay, ``HubError``, and what ``models.download`` and ``models.blobs`` raise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ondol.errors import HubError, ScanRefusedError
from ondol.hub.mirror.choosing import chosen, roles_of, why_not
from ondol.hub.mirror.describing import card_of
from ondol.hub.mirror.origin import (
    MOST_FILES,
    MOST_OTHERS,
    Origin,
    OriginFile,
    item_of,
    names_of,
)
from ondol.hub.mirror.quarantine import Held, Quarantine
from ondol.hub.mirror.upstream import Pinned, Upstream, UpstreamFile
from ondol.hub.scan import Report, scan
from ondol.i18n import t
from ondol.models.blobs import (
    Blobs,
    digest_of,
    discard,
    git_digest_of,
    link,
    mismatch,
    readable_size,
)
from ondol.models.patience import Watch
from ondol.models.sources import key_of

Scan = Callable[..., Report]
MOST_BYTES = 100 << 30
"""Of one snapshot, unless its operator says otherwise."""


@dataclass(frozen=True, slots=True)
class Bringer:
    """Brings snapshots from ``upstream`` to ``quarantine``. ``have`` finds content that the hub
    has already, by digest; ``approved`` says which paths of a repository at a commit it offers."""

    upstream: Upstream
    quarantine: Quarantine
    have: Callable[[str], Path | None] = lambda digest: None
    approved: Callable[[str, str], Collection[str]] = lambda repository, commit: ()
    most_bytes: int = MOST_BYTES
    scan: Scan = field(default=scan)

    def bring(self, pinned: Pinned, asked: Iterable[str] = (), watch: Watch | None = None) -> Held:
        """Have ``pinned`` wait for the operator: its texts and weights, and what is ``asked`` for
        by path. What the hub offers of it, or what waits, comes along: a release takes the place
        of the one before."""
        name = name_of(pinned)
        with self.quarantine.holding(name):
            asked = set(asked)
            wanted = chosen(pinned, asked | self.known(pinned))
            self._check(name, pinned, wanted)
            blobs = self.quarantine.blobs(name)
            blobs.prepare()
            digests = self._fetch_all(pinned, wanted, blobs, watch or Watch())
            return self._scanned(name, pinned, wanted, digests, asked)

    def known(self, pinned: Pinned) -> set[str]:
        """The paths of ``pinned`` that are here: offered, or waiting."""
        offered = set(self.approved(pinned.repository, pinned.commit))
        held = self.quarantine.find(name_of(pinned))
        return offered | ({file.path for file in held.origin.files} if held else set())

    def _check(self, name: str, pinned: Pinned, wanted: Collection[UpstreamFile]) -> None:
        if not wanted:
            raise HubError(t("hub_mirror.nothing", name=pinned.repository))
        size = sum(file.size_bytes for file in wanted)
        if len(wanted) > MOST_FILES:
            raise HubError(
                t("hub_mirror.too_many", name=pinned.repository, most=MOST_FILES),
                t("hub_mirror.too_many_hint"),
            )
        room = self.most_bytes - self.quarantine.used_bytes(without=name)
        if size > room:
            raise HubError(
                t(
                    "hub_mirror.too_large",
                    name=pinned.repository,
                    size=readable_size(size),
                    most=readable_size(max(room, 0)),
                ),
                t("hub_mirror.too_large_hint"),
            )

    def _fetch_all(
        self, pinned: Pinned, wanted: Iterable[UpstreamFile], blobs: Blobs, watch: Watch
    ) -> dict[str, str]:
        """The digest of each file, by path; all of them are in ``blobs`` then."""
        files = sorted(wanted, key=lambda file: file.size_bytes)
        total = sum(file.size_bytes for file in files)
        digests, before = {}, 0
        for file in files:
            done = before

            def told(completed: int, of: int | None, done: int = done) -> None:
                watch.on_bytes(done + completed, total)

            digests[file.path] = self._fetch(pinned, file, blobs, Watch(told, watch.cancel))
            before += file.size_bytes
            watch.on_bytes(before, total)
        return digests

    def _fetch(self, pinned: Pinned, file: UpstreamFile, blobs: Blobs, watch: Watch) -> str:
        if file.digest and self._is_here(file, blobs):
            return file.digest
        partial = blobs.partial(
            key_of(pinned.repository, pinned.commit, file.path, file.digest or file.git_oid)
        )
        self.upstream.fetch(pinned, file, partial, watch)
        digest = digest_of(partial, lambda done: watch.check())
        is_right = digest == file.digest if file.digest else git_digest_of(partial) == file.git_oid
        if not is_right:
            discard(partial)
            raise mismatch(file.path)
        blobs.place(partial, digest)
        return digest

    def _is_here(self, file: UpstreamFile, blobs: Blobs) -> bool:
        if blobs.has(file.digest, file.size_bytes):
            return True
        found = self.have(file.digest)
        if found is None or found.stat().st_size != file.size_bytes:
            return False
        link(found, blobs.path(file.digest))
        return True

    def _scanned(
        self,
        name: str,
        pinned: Pinned,
        wanted: list[UpstreamFile],
        digests: Mapping[str, str],
        asked: set[str],
    ) -> Held:
        """Scan, leave out what is refused if the rest is still worth something, and hold it."""
        names = names_of(digests)
        blobs = self.quarantine.blobs(name)
        files = {path: blobs.path(digest) for path, digest in digests.items()}
        report = self._scan(names, files)
        refused = {path for path, short in names.items() if short in report.refused}
        why = {path: _why(report, names[path]) for path in refused}
        roles = roles_of(list(digests))
        if refused and (refused & asked or any(_is_main(roles[path]) for path in refused)):
            worst = min(refused, key=lambda path: (path not in asked, not _is_main(roles[path])))
            self.quarantine.refuse(name, why[worst], pinned.repository, pinned.commit)
            raise ScanRefusedError(why[worst], t("hub_mirror.refused_hint"))
        if refused:
            files = {path: file for path, file in files.items() if path not in refused}
            report = self._scan(names, files)
            if not report.ok:
                raise ScanRefusedError(report.findings[0].message, t("hub_mirror.refused_hint"))
        left_out = {
            file.path: reason
            for file in pinned.files
            if (reason := why_not(file.path, file.size_bytes)) and not file.path.startswith(".")
        }
        origin = Origin(
            pinned.repository,
            pinned.commit,
            tuple(
                OriginFile(
                    file.path,
                    names[file.path],
                    digests[file.path],
                    file.size_bytes,
                    "" if file.digest else file.git_oid,
                )
                for file in wanted
                if file.path in files
            ),
            pinned.revision,
            _others(pinned, files),
            pinned.about,
        )
        roles = {path: role for path, role in roles.items() if path in files}
        card = card_of(origin, roles, files, report.json())
        blobs.sweep({digests[path] for path in files})
        return self.quarantine.put(
            name, item_of(pinned.repository), card, origin, report.json(), {**left_out, **why}
        )

    def _scan(self, names: Mapping[str, str], files: Mapping[str, Path]) -> Report:
        # Linked: what the hub has already is the same file under a second name.
        return self.scan({names[path]: file for path, file in files.items()}, None, linked=True)


def name_of(pinned: Pinned) -> str:
    """What it is called while it waits: item, and the beginning of the commit."""
    return f"{item_of(pinned.repository)}-{pinned.commit[:12]}"


def _others(pinned: Pinned, files: Collection[str]) -> tuple[str, ...]:
    """What more may be asked for, of this commit."""
    found = [
        file.path
        for file in pinned.files
        if file.path not in files and file.is_known and not why_not(file.path, file.size_bytes)
    ]
    return tuple(found[:MOST_OTHERS])


def _is_main(role: str) -> bool:
    return role in ("weights", "adapter", "graph", "projector", "other-weights", "other-graph")


def _why(report: Report, name: str) -> str:
    return next(one.message for one in report.findings if one.file == name)
