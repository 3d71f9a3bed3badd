"""``Hub``: one hub of this device.

What it answers was verified; what it cannot verify it does not know. Safe to use from several
threads and processes: one refreshes at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ondol import paths
from ondol.egress import Egress
from ondol.errors import EgressError, HubError, HubNotFoundError, OndolError
from ondol.hub.client import known
from ondol.hub.client.known import Refreshed
from ondol.hub.client.limits import Limits
from ondol.hub.release import Release, ReleaseFile
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.models.locks import hold
from ondol.models.patience import Patience, Watch

if TYPE_CHECKING:
    from ondol.hub.client.rows import HubRow

OnRefreshed = Callable[["HubRow", "str | None", "OndolError | None"], None]


class Hub:
    """The hub of ``row``; ``folder`` is its own. ``on_refreshed`` hears what each refresh came to:
    until when its word holds, or what was wrong. ``limits`` say how slow a mirror may be."""

    def __init__(
        self,
        row: HubRow,
        folder: Path,
        egress: Egress,
        patience: Patience | None = None,
        *,
        limits: Limits | None = None,
        on_refreshed: OnRefreshed = lambda row, expires_at, error: None,
    ) -> None:
        self.row = row
        self._folder = folder
        self._egress = egress
        self._patience = patience or Patience()
        self._limits = limits or Limits()
        self._on_refreshed = on_refreshed
        self._lock = threading.Lock()
        self._read: tuple[tuple[int, int], known.Known | None] | None = None
        self._left: dict[str, OndolError] = {}

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def fingerprint(self) -> str:
        return self.row.fingerprint

    @property
    def left(self) -> dict[str, OndolError]:
        """The mirrors that were left since this object was made, and why: they lied, or did not
        answer. They are asked last."""
        return dict(self._left)

    def refresh(self, publisher: str = "") -> Refreshed:
        """Ask for the newest that the hub says, one mirror after the other.

        Raises ``UntrustedError``, ``ExpiredError``, ``HubUnreachableError`` or ``EgressError``;
        what was known before stays, and still answers. With a ``publisher`` what is wrong with that
        one is raised too: call it so before anything of theirs is installed.
        """
        from ondol.hub.client.refreshing import refresh

        try:
            with self._lock, hold(paths.ensure(self._folder) / "lock"):
                found = refresh(self.row, self._folder, self._egress, self._limits)
        except (HubError, EgressError) as error:
            self._on_refreshed(self.row, None, error)
            raise
        self._left.update(found.left)
        self._left.pop(found.mirror, None)
        self._on_refreshed(self.row, found.expires_at, None)
        if publisher in found.troubles:
            raise found.troubles[publisher]
        return found

    def releases(self, publisher: str | None = None) -> list[Release]:
        """What was released, by publisher, item and version; withdrawn ones are among them, and say
        so. Verified; asks nobody, however old it is."""
        found = self._known()
        return [] if found is None else found.releases(publisher)

    def item(self, publisher: str, item: str) -> list[Release]:
        """The releases of one item, the oldest first. Raises ``HubNotFoundError``."""
        found = [one for one in self.releases(publisher) if one.item == item]
        if not found:
            told = t("hub_client.no_such_item", item=f"{publisher}/{item}", hub=self.name)
            raise HubNotFoundError(told, t("hub_client.no_such_item_hint"))
        return sorted(found, key=lambda one: one.version)

    def release(self, publisher: str, item: str, version: Version) -> Release:
        """One release. Raises ``HubNotFoundError``."""
        found = next((o for o in self.item(publisher, item) if o.version == version), None)
        if found is None:
            told = t("hub_client.no_such_version", item=f"{publisher}/{item}", version=version)
            raise HubNotFoundError(told, t("hub_client.no_such_item_hint"))
        return found

    def publishers(self) -> dict[str, tuple[str, ...]]:
        """Who publishes here, and the ids of the keys that sign for them (TUF specification 4.2:
        the SHA-256 of a key)."""
        found = self._known()
        return {} if found is None else dict(found.keys)

    @property
    def is_fresh(self) -> bool:
        """Whether what is known may still be called new."""
        found = self._known()
        return found is not None and found.expires_at > datetime.now(UTC).isoformat()

    @property
    def expires_at(self) -> str | None:
        """Until when what is known may be called new (ISO 8601, UTC)."""
        found = self._known()
        return None if found is None else found.expires_at

    def fetch(
        self,
        file: ReleaseFile,
        partial: Path,
        *,
        watch: Watch | None = None,
        limit_bytes_per_second: float | None = None,
        have: Sequence[Path] = (),
    ) -> Path:
        """Bring ``file`` of a release of this hub to ``partial``, and say so once its bytes have
        the digest that was signed.

        What is there of it already is gone on with. ``have`` are older versions that are here: a
        delta from one of them is taken where the hub has one that pays. No more than
        ``limit_bytes_per_second`` on average. Raises ``UntrustedError``, ``HubUnreachableError``,
        ``EgressError``, ``StorageError``; ``DownloadError`` when ``watch`` calls it off.
        """
        from ondol.hub.client.fetching import Fetching

        urls = sorted(self.row.urls, key=lambda url: url in self._left)
        return Fetching(
            file,
            partial,
            egress=self._egress,
            patience=self._patience,
            pace=self._limits.files,
            watch=watch or Watch(),
            limit_bytes_per_second=limit_bytes_per_second,
            on_left=self._left.__setitem__,
        ).run(urls, have)

    def _known(self) -> known.Known | None:
        """What was verified last; read once for each state of the file."""
        try:
            status = (self._folder / known.FILE).stat()
        except OSError:
            return None
        state = (status.st_mtime_ns, status.st_ino)
        if self._read is None or self._read[0] != state:
            signed = known.load(self._folder)
            self._read = (state, None if signed is None else known.verified(signed))
        return self._read[1]
