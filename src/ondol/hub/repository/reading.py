"""A hub's folder as it is: its name, what it offers, its blobs, how it stands. Needs no key and no
lock. Raises ``HubNotFoundError`` where there is no hub, ``UntrustedError`` where it is broken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from ondol.errors import HubNotFoundError, SigningError
from ondol.hub.fingerprint import fingerprint_of
from ondol.hub.release import Release
from ondol.hub.repository import pending, publishing, roles, settling
from ondol.hub.repository.layout import Layout
from ondol.hub.repository.status import Status, status
from ondol.i18n import t
from ondol.models.manifest import DIGEST


class HubFolder:
    """The hub in ``folder``, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout(folder)

    @property
    def exists(self) -> bool:
        return self.layout.exists

    @property
    def is_begun(self) -> bool:
        """Whether it is a hub, or one that waits for its first signatures."""
        return self.exists or (self.layout.pending / "1.root.json").is_file()

    @property
    def name(self) -> str:
        """What its operator calls it."""
        return str(self.state().root.signed.unrecognized_fields.get(roles.NAME_FIELD, ""))

    @property
    def fingerprint(self) -> str:
        """What whoever adds the hub compares; it is there as soon as the first root is written."""
        for file in (self.layout.versioned("root", 1), self.layout.pending / "1.root.json"):
            if file.is_file():
                return fingerprint_of(file.read_bytes())
        raise HubNotFoundError(
            t("hub_repository.no_hub", folder=self.folder), t("hub_repository.no_hub_hint")
        )

    def state(self) -> roles.Published:
        """The metadata that clients see."""
        return roles.published(self.layout)

    def publishers(self) -> dict[str, tuple[str, ...]]:
        """The ids of the keys of each publisher."""
        return self.state().publishers

    def releases(self) -> list[Release]:
        """What clients see, withdrawn releases too; what does not verify is not among it."""
        return publishing.all_releases(self.layout, self.state())

    def status(self, *, check: bool = False) -> Status:
        """How it stands; with ``check`` every blob is hashed."""
        return status(self.layout, check=check)

    def waiting(self) -> list[pending.Waiting]:
        """What waits for signatures by hand."""
        return pending.waiting(self.layout)

    def blob(self, digest: str) -> Path | None:
        """The content ``sha256:…``, if it is here."""
        path = self.layout.blob(digest)
        return path if DIGEST.fullmatch(digest) and path.is_file() else None

    def read(self, digest: str) -> bytes:
        """The bytes of a small blob; HubNotFoundError where it is not here."""
        path = self.blob(digest)
        if path is None:
            raise HubNotFoundError(t("hub_repository.no_blob", digest=digest))
        return path.read_bytes()

    @contextmanager
    def changing(self, *, needs_keys: bool = True) -> Iterator[None]:
        """Alone, with what a killed command left mended (``settling``). What does not need the
        online keys, or brings them back, goes on where mending lacks them."""
        if not self.is_begun:
            self.state()  # says that there is no hub, before a folder is made
        with self.layout.lock():
            self.layout.prepare()
            with nullcontext() if needs_keys else suppress(SigningError):
                settling.settle(self.layout)
            try:
                yield
            finally:
                self.layout.clear_incoming()
