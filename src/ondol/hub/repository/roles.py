"""The metadata of a hub as they lie in its folder: read, verified, signed (TUF 1.0, section 4).

``MD`` is signed metadata of any role. Nothing here decides what is published: see ``settling``.
Raises ``UntrustedError`` for a file that is damaged or signed by nobody who may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import HubError, HubNotFoundError, UntrustedError
from ondol.hub.repository.layout import Layout
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

OFFLINE_DAYS = 365
LIVES = {
    "root": timedelta(days=OFFLINE_DAYS),
    "targets": timedelta(days=OFFLINE_DAYS),
    "snapshot": timedelta(days=14),
    "timestamp": timedelta(days=2),
}
"""How long what is signed holds. That a hub is fresh is the timestamp's to say; what is signed by
hand lives a year, so that nobody takes the keys out of the drawer every month."""
ONLINE = ("snapshot", "timestamp")
NAME_FIELD = "x-ondol-hub-name"
"""In the root: what the operator calls the hub."""
MOST_BYTES = {"root": 512_000, "targets": 5_000_000, "snapshot": 2_000_000, "timestamp": 16_384}
"""What clients of TUF read at most; a hub that signed more would be dead to them."""


@dataclass(frozen=True, slots=True)
class Published:
    """What clients see: the chain from the root to the targets, as the timestamp names them."""

    root: Metadata[Root]
    timestamp: Metadata[Timestamp]
    snapshot: Metadata[Snapshot]
    targets: Metadata[Targets]

    @property
    def publishers(self) -> dict[str, tuple[str, ...]]:
        """The ids of each publisher's keys, by its name."""
        found = self.targets.signed.delegations
        roles = (found.roles or {}) if found else {}
        return {name: tuple(role.keyids) for name, role in sorted(roles.items())}

    def version_of(self, role: str) -> int:
        """The version of ``role`` that the snapshot names; 0 where it names none."""
        meta = self.snapshot.signed.meta.get(f"{role}.json")
        return meta.version if meta else 0


def parse(data: bytes, name: str) -> Metadata[Any]:
    """The metadata in ``data``, of whoever; UntrustedError where they are none."""
    from tuf.api.metadata import Metadata
    from tuf.api.serialization import DeserializationError

    try:
        return Metadata.from_bytes(data)
    except (DeserializationError, RecursionError) as error:
        raise UntrustedError(
            t("hub_repository.damaged", file=name), t("hub_repository.damaged_hint")
        ) from error


def read(path: Path) -> Metadata[Any] | None:
    """The metadata in ``path``; None where there is no such file."""
    try:
        return parse(path.read_bytes(), path.name)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UntrustedError(
            t("hub_repository.damaged", file=path.name), t("hub_repository.damaged_hint")
        ) from error


def verifies(delegator: Metadata[Root] | Metadata[Targets], role: str, md: Metadata[Any]) -> bool:
    """Whether ``md`` is of ``role`` and signed by as many of its keys as ``delegator`` asks."""
    try:
        result = delegator.signed.get_verification_result(role, md.signed_bytes, md.signatures)
    except ValueError:
        return False
    return bool(result) and md.signed.type == (role if role in LIVES else "targets")


def current_root(layout: Layout) -> Metadata[Root] | None:
    """The last root of the chain that begins with version 1, each signed by the one before."""
    root = None
    while True:
        number = root.signed.version + 1 if root else 1
        following = read(layout.versioned("root", number))
        if following is None or not follows(root, following):
            return root
        root = following


def follows(root: Metadata[Root] | None, following: Metadata[Root]) -> bool:
    """Whether ``following`` is a root that clients who trust ``root`` take next; the first one is
    taken for its fingerprint."""
    number = root.signed.version + 1 if root else 1
    return (
        following.signed.type == "root"
        and following.signed.version == number
        and verifies(following, "root", following)
        and (root is None or verifies(root, "root", following))
    )


def published(layout: Layout) -> Published:
    """What clients see, without a look at the time: HubNotFoundError where there is no hub,
    UntrustedError where the chain is broken."""
    root = current_root(layout) if layout.exists else None
    if root is None:
        raise HubNotFoundError(
            t("hub_repository.no_hub", folder=layout.folder), t("hub_repository.no_hub_hint")
        )
    found: list[Metadata[Any]] = []
    path, name = layout.timestamp, "timestamp"
    for following in ("snapshot", "targets", ""):
        md = read(path)
        if md is None or not verifies(root, name, md):
            raise UntrustedError(
                t("hub_repository.broken_chain", file=path.name), t("hub_repository.damaged_hint")
            )
        found.append(md)
        if name == "timestamp":
            version = md.signed.snapshot_meta.version
        elif name == "snapshot":
            version = md.signed.meta["targets.json"].version
        path, name = layout.versioned(following, version), following
    return Published(root, *found)


def sign(md: Metadata[Any], signers: Iterable[CryptoSigner], *, anew: bool = True) -> None:
    """Put the signatures of ``signers`` under ``md``, in place of those it has if ``anew``.
    HubError for what canonical JSON cannot say."""
    from tuf.api.serialization import SerializationError

    if anew:
        md.signatures.clear()
    try:
        for signer in signers:
            md.sign(signer, append=True)
    except SerializationError as error:
        raise HubError(t("hub.bad_card", field="text")) from error


def expiry(role: str, now: datetime | None = None) -> datetime:
    """Until when something of ``role`` holds that is signed now; a publisher's like targets."""
    return (now or datetime.now(UTC)).replace(microsecond=0) + LIVES.get(role, LIVES["targets"])


def data_of(md: Metadata[Any], role: str) -> bytes:
    """The file of ``md``; HubError where no client would read one so large."""
    data = md.to_bytes()
    most = MOST_BYTES.get(role, MOST_BYTES["targets"])
    if len(data) > most:
        raise HubError(t("hub_repository.too_large", role=role, most=most))
    return data


def copy_of(md: Metadata[Any]) -> Metadata[Any]:
    """One to be changed, unsigned."""
    from tuf.api.metadata import Metadata

    copied: Metadata[Any] = Metadata.from_bytes(md.to_bytes())
    copied.signatures.clear()
    return copied
