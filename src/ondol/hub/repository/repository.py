"""``Repository``: a hub on a plain folder, for its operator and its publishers.

Each change holds the folder's lock, mends what a killed one left (``settling``) and makes its
own. Signers are ``keys.make()``'s or ``keys.load()``'s. Raises errors of ``ondol.errors.hub``,
``StorageError`` and ``UsageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import HubError, UsageError
from ondol.hub import targets
from ondol.hub.repository import carrying, keys, pending, publishing, roles, rotating, settling
from ondol.hub.repository.releasing import Releasing
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey
    from tuf.api.metadata import Targets

MOST_NAME = 80


class Repository(Releasing):
    """The hub in ``folder``, which need not be there yet. A change of root or targets without
    enough keys waits: ``waiting``, ``request``, ``take``."""

    def init(
        self,
        name: str,
        root_keys: int = 3,
        threshold: int = 2,
        *,
        root: Sequence[CryptoSigner | SSlibKey] = (),
        targets_key: CryptoSigner | SSlibKey | None = None,
    ) -> keys.Offline:
        """Make the hub ``name``. Keys that are not given are made, and returned: whoever calls
        must keep them, for nothing else does. Keys of which only the public half is given sign
        elsewhere, and until then the folder is no hub. UsageError where it is one."""
        from tuf.api.metadata import Metadata, Root, Targets

        offline = keys.make_offline(root_keys)
        roots: Sequence[CryptoSigner | SSlibKey] = tuple(root) or offline.root
        last = targets_key or offline.targets
        if not 1 <= threshold <= len(roots) or not 1 <= len(name.strip()) <= MOST_NAME:
            raise UsageError(t("hub_repository.bad_threshold", keys=len(roots), most=MOST_NAME))
        with self.layout.lock():
            if self.is_begun:
                raise UsageError(t("hub_repository.hub_exists", folder=self.folder))
            self.layout.prepare()
            self.layout.tidy()
            signed = Root(expires=roles.expiry("root"), consistent_snapshot=True)
            signed.unrecognized_fields[roles.NAME_FIELD] = name.strip()
            for one in roots:
                signed.add_key(_public(one), "root")
            signed.roles["root"].threshold = threshold
            signed.add_key(_public(last), "targets")
            for role in roles.ONLINE:
                for file in self.layout.keys.glob(f"{role}-*.json"):
                    file.unlink()  # of an init that was killed
                signed.add_key(keys.new_online(self.layout.keys, role), role)
            first = Metadata(Targets(expires=roles.expiry("targets")))
            signers: list[Any] = [one for one in (*roots, last) if hasattr(one, "sign")]
            for role, md in (("targets", first), ("root", Metadata(signed))):
                asked = signed.roles[role].keyids
                roles.sign(md, [one for one in signers if one.public_key.keyid in asked])
                self.layout.put(self.layout.pending / f"1.{role}.json", roles.data_of(md, role))
            settling.settle(self.layout)
        return offline

    def refresh(self, *, force: bool = True) -> None:
        """Sign the timestamp anew, and the snapshot where it is old; without ``force`` only what is
        past the middle of its life. Finishes what was left half done."""
        with self.changing():
            if force:
                settling.settle(self.layout, refresh=True)

    def add_publisher(
        self, name: str, public_key: str | SSlibKey, key: CryptoSigner | None = None
    ) -> None:
        """Let ``name`` sign what lies under its name, with ``public_key``. Without the ``key`` of
        targets the change waits for it. HubError where there is one of that name."""
        targets.name(name)
        if name in targets.RESERVED:
            raise HubError(t("hub.bad_name", name=name), t("hub.bad_name_hint"))
        public = keys.public_key(public_key) if isinstance(public_key, str) else public_key

        def change(signed: Targets) -> None:
            from tuf.api.metadata import DelegatedRole, Delegations

            if signed.delegations is None:
                signed.delegations = Delegations({}, {})
            found = signed.delegations.roles
            if found is None or name in found:
                raise HubError(
                    t("hub_repository.publisher_exists", publisher=name),
                    t("hub_repository.publisher_exists_hint"),
                )
            found[name] = DelegatedRole(name, [], 1, True, paths=[f"{name}/*/*/*"])
            signed.add_key(public, name)

        self._change_targets(change, [key] if key else [])

    def remove_publisher(self, name: str, key: CryptoSigner | None = None) -> None:
        """Trust ``name`` no more: nothing of it is offered any longer, and its blobs stay."""

        def change(signed: Targets) -> None:
            found = signed.delegations.roles if signed.delegations else None
            if not found or name not in found:
                raise publishing.not_found(name)
            for keyid in list(found[name].keyids):
                signed.revoke_key(keyid, name)
            del found[name]

        self._change_targets(change, [key] if key else [])

    def rotate(
        self,
        role: str | Sequence[str],
        signers: Sequence[CryptoSigner] = (),
        *,
        new: Sequence[SSlibKey | CryptoSigner] = (),
        remove: Sequence[str] = (),
        threshold: int | None = None,
        without: Sequence[str] = (),
    ) -> None:
        """Other keys for ``role``. ``snapshot`` and ``timestamp`` (one, or both in one sitting)
        make theirs themselves; ``targets`` and a publisher take the one in ``new``; ``root`` takes
        those in ``new`` and gives up those of the ids ``remove``, or with neither lives another
        year.
        ``signers`` are the keys of who may say so, and the new ones that sign at once; what lacks
        a signature waits. ``without`` as in ``resign``."""
        names = [role] if isinstance(role, str) else list(role)
        public = [_public(one) for one in new]
        at_hand: list[Any] = [*signers, *(one for one in new if hasattr(one, "sign"))]
        with self.changing(needs_keys=False):
            if set(names) <= set(roles.ONLINE) and names:
                rotating.online_keys(self.layout, names, at_hand)
            elif len(names) != 1 or (names[0] != "root" and len(public) != 1):
                raise UsageError(t("hub_repository.one_new_key"), param="new")
            elif names[0] == "root":
                rotating.root_keys(
                    self.layout, at_hand, add=public, remove=remove, threshold=threshold
                )
            elif names[0] == "targets":
                rotating.targets_key(self.layout, public[0], at_hand)
            else:
                rotating.publisher_key(self.layout, names[0], public[0], at_hand, without=without)
            settling.settle(self.layout)

    def renew_targets(self, signers: Sequence[CryptoSigner] = ()) -> None:
        """The same targets for another year."""
        self._change_targets(lambda signed: None, signers)

    def request(self) -> bytes:
        """What waits for signatures, to be carried to the keys; SigningError where nothing does."""
        return pending.request(self.layout)

    def take(self, data: bytes) -> int:
        """Take the signatures from a ``request`` that was signed elsewhere, and publish what has
        enough; how many were new."""
        with self.changing(needs_keys=False):
            count = pending.take(self.layout, data)
            settling.settle(self.layout)
        return count

    def discard(self) -> None:
        """Forget what waits for signatures."""
        with self.changing(needs_keys=False):
            pending.discard(self.layout)
            settling.settle(self.layout)

    def export(self, to: Path) -> int:
        """Make ``to`` a copy of what is served, or bring one up to date; the bytes copied."""
        with self.changing(needs_keys=False):
            return carrying.export(self.layout, to)

    def _change_targets(
        self, change: Callable[[Targets], None], signers: Sequence[CryptoSigner]
    ) -> None:
        with self.changing():
            pending.change_targets(self.layout, change, signers)
            settling.settle(self.layout)


def _public(key: CryptoSigner | SSlibKey) -> SSlibKey:
    found: Any = key
    public: SSlibKey = getattr(found, "public_key", found)
    return public
