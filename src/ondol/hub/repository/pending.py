"""What waits for signatures by hand: roots and targets, from the hub to the keys and back.

The keys of root and of targets lie in drawers, so a change of these is written to
``state/pending/``, carried away as one file (``request``), signed on another machine (``sign``) and
brought back (``take``). The file holds no secret. What comes back is taken only where it is what
went out, and a signature only where it is one. Raises ``SigningError``, ``UntrustedError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.errors import HubError, SigningError, UntrustedError
from ondol.hub.repository import roles, settling
from ondol.hub.repository.layout import Layout
from ondol.i18n import t

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Root, Targets

FORMAT = 1
MOST_REQUEST_BYTES = 12_000_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """One document that waits. ``missing`` is how many more keys must sign; ``keyids`` are those
    of which one that has not signed yet is asked."""

    role: str
    version: int
    missing: int
    keyids: tuple[str, ...]


def change_targets(
    layout: Layout,
    change: Callable[[Targets], None],
    signers: Sequence[CryptoSigner],
    *,
    by: Collection[str] = (),
) -> None:
    """``change`` the targets, on top of what already waits, and sign them with ``signers`` as far
    as they may: by what the last root says that there is or waits, or as keys of the ids ``by``."""
    state = roles.published(layout)
    number = settling.next_targets(layout)
    md = roles.copy_of(settling.pending(layout, "targets", number) or state.targets)
    change(md.signed)
    md.signed.version, md.signed.expires = number, roles.expiry("targets")
    asked = set(by or _last_root(layout, state.root).signed.roles["targets"].keyids)
    _write(layout, _signed(md, "targets", signers, asked), "targets")


def change_root(
    layout: Layout, changes: Iterable[Callable[[Root], None]], signers: Sequence[CryptoSigner]
) -> None:
    """One root after another, each a change of the one before. SigningError while others wait.
    The first is written last: until it is there nothing begins, and the others are forgotten."""
    state = roles.published(layout)
    if any(layout.pending.glob("*.root.json")):
        raise SigningError(t("hub_repository.root_waits"), t("hub_repository.root_waits_hint"))
    before, made = state.root, []
    for change in changes:
        md = roles.copy_of(before)
        change(md.signed)
        md.signed.version, md.signed.expires = before.signed.version + 1, roles.expiry("root")
        asked = {*before.signed.roles["root"].keyids, *md.signed.roles["root"].keyids}
        made.append(_signed(md, "root", signers, asked))
        before = md
    for md in reversed(made):
        _write(layout, md, "root")


def waiting(layout: Layout) -> list[Waiting]:
    """What waits for more signatures, in the order in which it would be published."""
    found = []
    for role, md, delegators in _documents(layout):
        results = [
            one.signed.get_verification_result(role, md.signed_bytes, md.signatures)
            for one in delegators
        ]
        missing = max(result.missing for result in results)
        unsigned = {keyid for result in results if result.missing for keyid in result.unsigned}
        if missing:
            found.append(Waiting(role, md.signed.version, missing, tuple(sorted(unsigned))))
    return found


def request(layout: Layout) -> bytes:
    """What waits, to be carried to the keys; SigningError where nothing does."""
    documents = [{"role": role, "metadata": md.to_dict()} for role, md, _ in _documents(layout)]
    if not documents:
        raise SigningError(t("hub_repository.nothing_waits"))
    return json.dumps({"ondol_hub_signing": FORMAT, "documents": documents}).encode()


def sign(data: bytes, signers: Sequence[CryptoSigner]) -> bytes:
    """The ``request`` in ``data``, with the signatures of ``signers`` wherever they are asked:
    a key signs what names it. SigningError where none of it does."""
    documents = opened(data)
    count = 0
    for role, md in documents:
        named = _named(role, [one for _, one in documents], md)
        mine = [key for key in signers if key.public_key.keyid in named or role != "root"]
        roles.sign(md, mine, anew=False)
        count += len(mine)
    if not count:
        raise SigningError(t("hub_repository.not_asked"), t("hub_repository.not_asked_hint"))
    content = [{"role": role, "metadata": md.to_dict()} for role, md in documents]
    return json.dumps({"ondol_hub_signing": FORMAT, "documents": content}).encode()


def opened(data: bytes) -> list[tuple[str, Metadata[Any]]]:
    """The documents of a ``request``, by role; HubError where ``data`` is none."""
    try:
        if len(data) > MOST_REQUEST_BYTES:
            raise ValueError("size")
        content = json.loads(data)
        if content["ondol_hub_signing"] != FORMAT:
            raise ValueError("format")
        return [
            (str(one["role"]), roles.parse(json.dumps(one["metadata"]).encode(), str(one["role"])))
            for one in content["documents"]
        ]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise HubError(t("hub_repository.no_request")) from error


def take(layout: Layout, data: bytes) -> int:
    """Put the signatures in ``data`` under what waits; how many were new. UntrustedError where it
    is not what went out."""
    brought = {(role, md.signed.version): md for role, md in opened(data)}
    count = 0
    for role, md, delegators in list(_documents(layout)):
        signed = brought.pop((role, md.signed.version), None)
        if signed is None:
            continue
        if signed.signed_bytes != md.signed_bytes:
            raise UntrustedError(t("hub_repository.other_request", role=role))
        md.signatures, before = {**md.signatures, **signed.signatures}, dict(md.signatures)
        good: set[str] = set()
        for one in delegators:
            good |= set(
                one.signed.get_verification_result(role, md.signed_bytes, md.signatures).signed
            )
        md.signatures = {keyid: md.signatures[keyid] for keyid in sorted(good)}
        count += len(good - before.keys())
        _write(layout, md, role)
    if not count:
        raise SigningError(t("hub_repository.nothing_new"), t("hub_repository.not_asked_hint"))
    return count


def discard(layout: Layout) -> None:
    """Forget what waits for signatures. The roots first, for a pair of them is one change."""
    for path in sorted(layout.pending.glob("*.json"), reverse=True):
        path.unlink(missing_ok=True)


def _documents(
    layout: Layout,
) -> Iterator[tuple[str, Metadata[Any], list[Metadata[Root]]]]:
    """What waits: its role, itself, and by whose word it must be signed."""
    before = roles.current_root(layout)
    last = before
    number = before.signed.version if before else 0
    while md := settling.pending(layout, "root", number + 1):
        yield "root", md, [one for one in (last, md) if one]
        last, number = md, number + 1
    targets = settling.pending(layout, "targets", settling.next_targets(layout))
    if targets is not None and last is not None:
        yield "targets", targets, [last]


def _last_root(layout: Layout, root: Metadata[Root]) -> Metadata[Root]:
    found = root
    while md := settling.pending(layout, "root", found.signed.version + 1):
        found = md
    return found


def _signed(
    md: Metadata[Any], role: str, signers: Sequence[CryptoSigner], asked: Collection[str]
) -> Metadata[Any]:
    mine = [key for key in signers if key.public_key.keyid in asked]
    if signers and not mine:
        raise SigningError(
            t("hub_repository.wrong_key", role=role), t("hub_repository.wrong_key_hint")
        )
    roles.sign(md, mine)
    return md


def _write(layout: Layout, md: Metadata[Any], role: str) -> None:
    layout.put(layout.pending / f"{md.signed.version}.{role}.json", roles.data_of(md, role))


def _named(role: str, documents: Sequence[Metadata[Any]], md: Metadata[Any]) -> set[str]:
    """The keys that the roots among ``documents`` name for ``role``."""
    return {
        keyid
        for one in documents
        if one.signed.type == "root"
        for keyid in one.signed.roles[role].keyids
    }
