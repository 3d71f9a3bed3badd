"""A publisher's own role: a release goes in, a release is withdrawn, a signed change is taken.

The publisher's key is needed for that, and no key of the operator; the operator's part is to have
the bytes in the folder and to sign the snapshot that names the new version of the role. Raises
``SigningError``, ``HubError``, ``HubNotFoundError``, ``ScanRefusedError``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import HubError, HubNotFoundError, SigningError, UntrustedError, UsageError
from ondol.hub import targets
from ondol.hub.card import Card
from ondol.hub.release import Release, ReleaseFile, releases_of, signed
from ondol.hub.repository import roles
from ondol.hub.repository.layout import Layout
from ondol.i18n import t
from ondol.models.blobs import digest_of

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner
    from tuf.api.metadata import Metadata, Targets

    from ondol.hub.scan import Report


def role_of(layout: Layout, state: roles.Published, publisher: str) -> Metadata[Targets] | None:
    """What ``publisher`` has signed, as clients see it; None where it has signed nothing yet, or
    not since its key was changed. HubNotFoundError where there is no such publisher."""
    known(state, publisher)
    version = state.version_of(publisher)
    md = roles.read(layout.versioned(publisher, version)) if version else None
    return md if md is not None and roles.verifies(state.targets, publisher, md) else None


def known(state: roles.Published, publisher: str) -> tuple[str, ...]:
    """The ids of the keys of ``publisher``."""
    if publisher not in state.publishers:
        raise not_found(publisher)
    return state.publishers[publisher]


def not_found(publisher: str) -> HubNotFoundError:
    """The error for a publisher that the hub does not have."""
    return HubNotFoundError(
        t("hub_repository.no_publisher", publisher=publisher),
        t("hub_repository.no_publisher_hint"),
    )


def all_releases(layout: Layout, state: roles.Published) -> list[Release]:
    """Every release that clients see, withdrawn ones too."""
    found = []
    for publisher in state.publishers:
        md = role_of(layout, state, publisher)
        found += releases_of(publisher, md.signed) if md else []
    return found


def draft(layout: Layout, state: roles.Published, publisher: str) -> Metadata[Targets]:
    """The next version of the role of ``publisher``, unsigned. After a change of its key what the
    old one signed is in it: see ``check_own``."""
    from tuf.api.metadata import Metadata, Targets

    version = state.version_of(publisher)
    found = roles.read(layout.versioned(publisher, version)) if version else None
    md: Metadata[Targets] = roles.copy_of(found) if found else Metadata(Targets())
    md.signed.version, md.signed.expires = version + 1, roles.expiry(publisher)
    return md


def check_own(layout: Layout, state: roles.Published, publisher: str) -> None:
    """SigningError where what ``publisher`` offered was signed with a key that it has no more.
    Whoever had that key may have signed some of it, so that its owner must look first."""
    if state.version_of(publisher) and role_of(layout, state, publisher) is None:
        raise SigningError(
            t("hub_repository.must_sign_again", publisher=publisher),
            t("hub_repository.must_sign_again_hint", publisher=publisher),
        )


def sign(state: roles.Published, publisher: str, md: Metadata[Targets], key: CryptoSigner) -> bytes:
    """The file of ``md`` with the signature of ``publisher``'s ``key``."""
    if key.public_key.keyid not in known(state, publisher):
        raise SigningError(
            t("hub_repository.not_its_key", publisher=publisher), t("hub_repository.wrong_key_hint")
        )
    roles.sign(md, [key])
    return roles.data_of(md, publisher)


def take_in(
    layout: Layout,
    files: Mapping[str, Path],
    card: Card,
    report: Report | None,
    on_bytes: Callable[[int], None] = lambda done: None,
) -> tuple[Card, tuple[ReleaseFile, ...], dict[str, Path]]:
    """Copies of ``files`` that nobody can change any more: scanned, hashed, with the card that says
    so. UsageError where the card is about other files, ScanRefusedError as of the scanner."""
    from ondol.hub.scan import require, scan

    card = checked(card)
    if set(files) != set(card.files) or not files:
        raise UsageError(t("hub_repository.other_files"), param="files")
    copies: dict[str, Path] = {}
    before = 0
    for name, source in sorted(files.items()):
        if not targets.FILE_NAME.fullmatch(name):
            raise HubError(t("hub.bad_path", path=name))
        if not source.is_file():
            raise UsageError(t("hub_repository.no_file", file=source), param="files")
        copies[name] = layout.take_in(source, partial(_from, before, on_bytes))
        before += copies[name].stat().st_size
    if report is None:
        report = scan(copies, card, linked=True)
    require(report)
    found = tuple(
        ReleaseFile(name, card.files[name], digest_of(path), path.stat().st_size)
        for name, path in copies.items()
    )
    moment = card.released_at or datetime.now(UTC).isoformat(timespec="seconds")
    return checked(replace(card, scan=report.json(), released_at=moment)), found, copies


def checked(card: Card) -> Card:
    """``card`` as clients will read it; HubError where they would not."""
    try:
        return Card.of(json.loads(json.dumps(card.json(), allow_nan=False)))
    except (TypeError, ValueError, RecursionError) as error:
        raise HubError(t("hub.bad_card", field="json")) from error


def add(
    layout: Layout, state: roles.Published, release: Release
) -> tuple[Metadata[Targets] | None, Release]:
    """The role of its publisher with ``release`` in it, unsigned, and the release; None and the one
    that is there where the very same files were published as this version. HubError where it
    was published with others."""
    check_own(layout, state, release.publisher)
    md = draft(layout, state, release.publisher)
    for other in releases_of(release.publisher, md.signed):
        if (other.item, other.version) == (release.item, release.version):
            if other.files == release.files:
                return None, other
            raise HubError(
                t("hub_repository.published", release=release.reference),
                t("hub_repository.published_hint"),
            )
    md.signed.targets.update(signed(release))
    return md, release


def withdraw(
    layout: Layout,
    state: roles.Published,
    publisher: str,
    item: str,
    version: targets.Version,
    reason: str,
) -> tuple[Metadata[Targets], Release]:
    """The role of ``publisher`` without offering that release any more, and the release."""
    check_own(layout, state, publisher)
    md = draft(layout, state, publisher)
    for release in releases_of(publisher, md.signed):
        if (release.item, release.version) == (item, version):
            yanked = replace(release, yanked=reason)
            md.signed.targets.update(signed(yanked))
            return md, yanked
    raise HubNotFoundError(
        t("hub_repository.no_release", release=f"{publisher}/{item}@{version}"),
        t("hub_repository.no_release_hint"),
    )


def check_change(
    layout: Layout, state: roles.Published, publisher: str, md: Metadata[Any]
) -> list[Release]:
    """What ``md``, signed elsewhere, would have ``publisher`` offer. UntrustedError unless it is
    the next version of that role, signed by it, names nothing but whole releases, delegates to
    nobody, and leaves every release that is there as it is, but for withdrawing it."""
    if not roles.verifies(state.targets, publisher, md):
        raise UntrustedError(t("hub_repository.not_signed", publisher=publisher))
    if md.signed.version != state.version_of(publisher) + 1:
        raise UntrustedError(
            t("hub_repository.not_next", publisher=publisher), t("hub_repository.not_next_hint")
        )
    found = releases_of(publisher, md.signed)
    if md.signed.delegations is not None or sum(len(one.files) for one in found) != len(
        md.signed.targets
    ):
        raise UntrustedError(t("hub_repository.no_releases", publisher=publisher))
    roles.data_of(md, publisher)
    kept = {(one.item, one.version): one for one in found}
    before = role_of(layout, state, publisher)
    for old in releases_of(publisher, before.signed) if before else ():
        new = kept.get((old.item, old.version))
        if new is None or replace(new, yanked=old.yanked) != old:
            raise UntrustedError(t("hub_repository.rewritten", release=old.reference))
    return found


def _from(start: int, on_bytes: Callable[[int], None], done: int) -> None:
    on_bytes(start + done)
