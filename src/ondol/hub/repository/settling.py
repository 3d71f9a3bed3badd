"""What is signed becomes what is published, in an order in which a hub verifies at every moment.

What is signed by hand waits in ``state/pending/`` until enough keys have signed it. Then: blobs,
publishers and targets, snapshot, timestamp (TUF 1.0, section 7.4: consistent snapshots, so that
none of these replaces what a client is reading), and only the timestamp's rename shows them. A root
is shown last, when all below it already verifies by it too; that is why a rotation is two roots,
one that adds the new key and one that takes the old one away. So whatever a kill leaves behind is
either what was, or can be gone on with: ``settle`` does both, and is how every command begins.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ondol.errors import SigningError, UntrustedError
from ondol.hub.repository import keys, roles
from ondol.hub.repository.layout import Layout
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Snapshot, Targets

KEPT_VERSIONS = 10
"""Of a role: who reads slowly still finds what its timestamp named."""


def settle(layout: Layout, *, refresh: bool = False, now: datetime | None = None) -> None:
    """Publish what is whole and signed; with ``refresh`` sign the timestamp anew even if nothing
    changed. The caller holds the lock. SigningError where an online key is needed and not here."""
    layout.tidy()
    root = roles.current_root(layout)
    is_first = root is None
    if root is None:
        root = pending(layout, "root", 1)
        if root is None or not roles.follows(None, root):
            return
    now = now or datetime.now(UTC)
    if not (is_first or pending(layout, "root", root.signed.version + 1)):
        for orphan in layout.pending.glob("*.root.json"):
            orphan.unlink(missing_ok=True)
    while True:
        _place_targets(layout, root)
        following = None if is_first else _following(layout, root)
        if following is None or not _is_ready(layout, following):
            # Not before: the key that this would need may be the lost one that is replaced.
            _publish(layout, root, also=following, refresh=refresh, now=now)
            refresh = False
        if is_first:
            _place(layout, "root", 1)
            is_first = False
        elif following is not None and _is_ready(layout, following):
            _place(layout, "root", following.signed.version)
            root = following
        else:
            break
    _forget_keys(layout, root)
    _prune(layout)


def pending(layout: Layout, role: str, version: int) -> Metadata[Any] | None:
    """What waits as ``version`` of ``role``, signed or not."""
    return roles.read(layout.pending / f"{version}.{role}.json")


def next_targets(layout: Layout) -> int:
    """The number of the targets that come after those that are shown."""
    timestamp = roles.read(layout.timestamp)
    number = timestamp.signed.snapshot_meta.version if timestamp else 0
    snapshot = roles.read(layout.versioned("snapshot", number)) if number else None
    return int(snapshot.signed.meta["targets.json"].version) + 1 if snapshot else 1


def _following(layout: Layout, root: Metadata[Root]) -> Metadata[Root] | None:
    """The root that waits to come after ``root``, if enough keys have signed it."""
    waiting = pending(layout, "root", root.signed.version + 1)
    return waiting if waiting is not None and roles.follows(root, waiting) else None


def online_keys(layout: Layout, role: str) -> tuple[CryptoSigner, ...]:
    """The keys for ``role`` that lie in ``state/``."""
    return keys.load_all(sorted(layout.keys.glob(f"{role}-*.json")))


def _place(layout: Layout, role: str, version: int) -> None:
    """Move what waits into ``metadata/``, where it lasts before it is gone from where it was."""
    waiting = layout.pending / f"{version}.{role}.json"
    layout.put(layout.versioned(role, version), waiting.read_bytes())
    waiting.unlink(missing_ok=True)


def _place_targets(layout: Layout, root: Metadata[Root]) -> None:
    """Put the targets that wait, and what publishers signed for just these, beside the others."""
    number = next_targets(layout)
    waiting = pending(layout, "targets", number)
    if waiting is None or not roles.verifies(root, "targets", waiting):
        return
    for path in sorted(layout.pending.glob("*.json")):
        version, _, role = path.name.removesuffix(".json").partition(".")
        md = roles.read(path) if role not in roles.LIVES else None
        if md is not None and int(version) <= max(layout.versions(role), default=0):
            path.unlink(missing_ok=True)  # of another day
        elif md is not None and roles.verifies(waiting, role, md):
            _place(layout, role, int(version))
    _place(layout, "targets", number)


def _publish(
    layout: Layout,
    root: Metadata[Root],
    *,
    also: Metadata[Root] | None = None,
    refresh: bool = False,
    now: datetime,
) -> None:
    """Sign a snapshot of what lies in ``metadata/``, and a timestamp of it, where the last ones
    say something else, are old, or do not verify by ``root`` and by ``also``."""
    from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

    timestamp = roles.read(layout.timestamp)
    number = timestamp.signed.snapshot_meta.version if timestamp else 0
    snapshot = roles.read(layout.versioned("snapshot", number)) if number else None
    meta = _meta(layout, root, snapshot)
    roots = [one for one in (root, also) if one]
    if "targets.json" not in meta:
        raise UntrustedError(
            t("hub_repository.broken_chain", file="targets.json"), t("hub_repository.damaged_hint")
        )
    if (
        snapshot is None
        or snapshot.signed.meta != meta
        or _is_due(snapshot, roots, "snapshot", now)
    ):
        number += 1
        snapshot = Metadata(Snapshot(number, expires=roles.expiry("snapshot", now), meta=meta))
        _sign(layout, snapshot, roots, "snapshot")
        data = roles.data_of(snapshot, "snapshot")
        layout.put(layout.versioned("snapshot", number), data)
        refresh = True
    if refresh or timestamp is None or _is_due(timestamp, roots, "timestamp", now):
        data = layout.versioned("snapshot", number).read_bytes()
        version = timestamp.signed.version + 1 if timestamp else 1
        found = MetaFile.from_data(number, data, ["sha256"])
        timestamp = Metadata(Timestamp(version, expires=roles.expiry("timestamp", now)))
        timestamp.signed.snapshot_meta = found
        _sign(layout, timestamp, roots, "timestamp")
        layout.put(layout.timestamp, roles.data_of(timestamp, "timestamp"))


def _meta(
    layout: Layout, root: Metadata[Root], snapshot: Metadata[Snapshot] | None
) -> dict[str, Any]:
    """What a snapshot of the folder names: for each role the highest version that is whole and
    signed by whom it must be. What was named once stays named (TUF 1.0, section 5.5.5)."""
    from tuf.api.metadata import MetaFile

    meta = dict(snapshot.signed.meta) if snapshot else {}

    def raise_to(role: str, version: int) -> None:
        data = layout.versioned(role, version).read_bytes()
        meta[f"{role}.json"] = MetaFile.from_data(version, data, ["sha256"])

    def newer(role: str) -> list[int]:
        named = meta.get(f"{role}.json")
        return [v for v in reversed(layout.versions(role)) if not named or v > named.version]

    for version in newer("targets"):
        md = roles.read(layout.versioned("targets", version))
        if md and md.signed.version == version and roles.verifies(root, "targets", md):
            raise_to("targets", version)
            break
    if "targets.json" not in meta:
        return meta
    number = meta["targets.json"].version
    targets: Metadata[Targets] | None = roles.read(layout.versioned("targets", number))
    delegations = targets.signed.delegations if targets else None
    for role in (delegations.roles or {}) if delegations else ():
        for version in newer(role):
            md = roles.read(layout.versioned(role, version))
            if md and targets and is_whole(layout, targets, role, version, md):
                raise_to(role, version)
                break
    return meta


def is_whole(
    layout: Layout, targets: Metadata[Targets], role: str, version: int, md: Metadata[Any]
) -> bool:
    """Whether ``md`` is that version of a publisher's role, and all that it names is here."""
    return (
        roles.verifies(targets, role, md)
        and md.signed.version == version
        and all(
            layout.blob(f"sha256:{file.hashes.get('sha256', '')}").is_file()
            for file in md.signed.targets.values()
        )
    )


def _is_due(md: Metadata[Any], roots: list[Metadata[Root]], role: str, now: datetime) -> bool:
    """Whether ``md`` is past the middle of its life, or unsigned in the eyes of a root."""
    return md.signed.expires - now < roles.LIVES[role] / 2 or not all(
        roles.verifies(root, role, md) for root in roots
    )


def _sign(layout: Layout, md: Metadata[Any], roots: list[Metadata[Root]], role: str) -> None:
    """Sign by every online key that one of ``roots`` knows."""
    known = {keyid for root in roots for keyid in root.signed.roles[role].keyids}
    signers = [key for key in online_keys(layout, role) if key.public_key.keyid in known]
    roles.sign(md, signers)
    if not roles.verifies(roots[0], role, md):
        raise _no_key(layout, role)


def check_online(layout: Layout, root: Metadata[Root]) -> None:
    """SigningError unless the keys are here with which what changes now can be shown."""
    for role in roles.ONLINE:
        here = {key.public_key.keyid for key in online_keys(layout, role)}
        if not here & set(root.signed.roles[role].keyids):
            raise _no_key(layout, role)


def _no_key(layout: Layout, role: str) -> SigningError:
    return SigningError(
        t("hub_repository.no_online_key", role=role, folder=layout.keys),
        t("hub_repository.no_online_key_hint"),
    )


def _is_ready(layout: Layout, following: Metadata[Root]) -> bool:
    """Whether all that is published verifies by the root that is to follow."""
    timestamp = roles.read(layout.timestamp)
    if timestamp is None or not roles.verifies(following, "timestamp", timestamp):
        return False
    snapshot = roles.read(layout.versioned("snapshot", timestamp.signed.snapshot_meta.version))
    if snapshot is None or not roles.verifies(following, "snapshot", snapshot):
        return False
    targets = roles.read(layout.versioned("targets", snapshot.signed.meta["targets.json"].version))
    return targets is not None and roles.verifies(following, "targets", targets)


def _forget_keys(layout: Layout, root: Metadata[Root]) -> None:
    """Delete the online keys that no root names any more, unless one that waits does."""
    if any(layout.pending.glob("*.root.json")):
        return
    for role in roles.ONLINE:
        for file in layout.keys.glob(f"{role}-*.json"):
            if keys.load(file).public_key.keyid not in root.signed.roles[role].keyids:
                file.unlink(missing_ok=True)


def _prune(layout: Layout) -> None:
    """Delete old snapshots: one comes with every change and every week."""
    for version in layout.versions("snapshot")[:-KEPT_VERSIONS]:
        layout.versioned("snapshot", version).unlink(missing_ok=True)
