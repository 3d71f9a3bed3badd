"""New keys for old ones, after a loss, a theft or a year.

A root is signed by the keys of the one before and by its own (TUF 1.0, section 5.3). For the roles
below it a rotation is two roots, signed in one sitting: the first trusts both keys, so that what is
published verifies while it is signed anew, and the second the new one alone. It needs no old key
but root's, so that it is the way out of any loss but that of too many root keys. A publisher's key
stands in the targets and takes no root. Raises ``SigningError``, ``UsageError``, ``HubError``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ondol.errors import HubError, SigningError, UsageError
from ondol.hub.release import releases_of, signed
from ondol.hub.repository import keys, pending, publishing, roles
from ondol.hub.repository.layout import Layout
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey
    from tuf.api.metadata import Metadata, Root, Targets


def renew_root(layout: Layout, signers: Sequence[CryptoSigner]) -> None:
    """The same root for another year."""
    pending.change_root(layout, [lambda root: None], signers)


def root_keys(
    layout: Layout,
    signers: Sequence[CryptoSigner],
    *,
    add: Sequence[SSlibKey] = (),
    remove: Sequence[str] = (),
    threshold: int | None = None,
) -> None:
    """Other keys of root: ``add`` these, ``remove`` those of these ids (or what they begin with).
    UsageError where fewer would be left than must sign."""
    now = roles.published(layout).root.signed
    gone = [_one(prefix, now.roles["root"].keyids) for prefix in remove]

    def change(root: Root) -> None:
        for key in add:
            root.add_key(key, "root")
        for keyid in gone:
            root.revoke_key(keyid, "root")
        root.roles["root"].threshold = threshold or root.roles["root"].threshold
        if not 1 <= root.roles["root"].threshold <= len(root.roles["root"].keyids):
            raise UsageError(t("hub_repository.too_few_keys"), param="threshold")

    pending.change_root(layout, [change], signers)


def online_keys(layout: Layout, names: Sequence[str], signers: Sequence[CryptoSigner]) -> None:
    """New online keys for ``names``, which lie in ``state/`` before anything names them."""
    _check_free(layout)
    made = {role: keys.new_online(layout.keys, role) for role in names}
    pending.change_root(layout, _pair(made), signers)


def targets_key(layout: Layout, new: SSlibKey, signers: Sequence[CryptoSigner]) -> None:
    """A new key for the targets, which signs them anew if it is among ``signers``."""
    _check_free(layout)
    mine = [key for key in signers if key.public_key.keyid == new.keyid]
    # Before the roots: they could not be followed to their end without it.
    pending.change_targets(layout, lambda targets: None, mine, by=[new.keyid])
    others = [key for key in signers if key not in mine]
    pending.change_root(layout, _pair({"targets": new}), others)


def publisher_key(
    layout: Layout,
    publisher: str,
    new: SSlibKey,
    signers: Sequence[CryptoSigner],
    *,
    without: Sequence[str] = (),
) -> None:
    """A new key for ``publisher``, with the key of targets among ``signers``. If the new one is
    among them too, it signs what was published, but for the releases ``without``; else nothing of
    this publisher is offered until it does."""
    state = roles.published(layout)
    old = publishing.known(state, publisher)

    def change(targets: Targets) -> None:
        for keyid in old:
            targets.revoke_key(keyid, publisher)
        targets.add_key(new, publisher)

    mine = [key for key in signers if key.public_key.keyid == new.keyid]
    if mine:
        md = kept(layout, state, publisher, without)
        roles.sign(md, mine)
        file = layout.pending / f"{md.signed.version}.{publisher}.json"
        layout.put(file, roles.data_of(md, publisher))
    others = [key for key in signers if key not in mine]
    pending.change_targets(layout, change, others)


def kept(
    layout: Layout, state: roles.Published, publisher: str, without: Sequence[str]
) -> Metadata[Targets]:
    """The next version of the role of ``publisher``, unsigned, but for the releases ``without``
    (``publisher/item@version``). HubError where one of those is not in it."""
    md = publishing.draft(layout, state, publisher)
    here = {release.reference: release for release in releases_of(publisher, md.signed)}
    for reference in without:
        if reference not in here:
            raise HubError(
                t("hub_repository.no_release", release=reference),
                t("hub_repository.no_release_hint"),
            )
        for path in signed(here[reference]):
            del md.signed.targets[path]
    return md


def _pair(new: dict[str, SSlibKey]) -> list[Callable[[Root], None]]:
    """Trust the ``new`` keys of these roles too; then them alone."""

    def both(root: Root) -> None:
        for role, key in new.items():
            root.add_key(key, role)

    def alone(root: Root) -> None:
        for role, key in new.items():
            for keyid in [one for one in root.roles[role].keyids if one != key.keyid]:
                root.revoke_key(keyid, role)

    return [both, alone]


def _check_free(layout: Layout) -> None:
    """Before a key is made for nothing."""
    roles.published(layout)
    if any(layout.pending.glob("*.root.json")):
        raise SigningError(t("hub_repository.root_waits"), t("hub_repository.root_waits_hint"))


def _one(prefix: str, keyids: Sequence[str]) -> str:
    found = [keyid for keyid in keyids if keyid.startswith(prefix)]
    if len(found) != 1:
        raise UsageError(t("hub_repository.no_such_key", prefix=prefix), param="remove")
    return found[0]
