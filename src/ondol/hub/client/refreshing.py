"""One refresh of a hub: python-tuf's client workflow (TUF specification 5.3 to 5.6) from each
mirror in turn, until one of them has all of it.

What a mirror says is taken whole or not at all, publisher by publisher: one whose metadata expired
or are not hers stops nobody else's, and what was known of her stays. python-tuf keeps the highest
versions it saw in ``metadata/``, so that no mirror takes anybody back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig

from ondol import paths
from ondol.egress import Egress
from ondol.errors import EgressError, ExpiredError, HubError, OndolError, UntrustedError
from ondol.hub.client import known
from ondol.hub.client.fetcher import HubFetcher, client_for
from ondol.hub.client.known import Refreshed, Signed, publishers_of
from ondol.hub.client.limits import Limits
from ondol.hub.client.refusing import refusal, untrusted
from ondol.hub.client.rows import HubRow
from ondol.hub.targets import Target

METADATA = "metadata"
MOST_BYTES = 128 << 20
"""Of all publishers' metadata together, which are held in memory: each may have five million, and
an operator may name thousands of publishers."""


@dataclass(frozen=True, slots=True)
class _Said:
    signed: Signed
    troubles: dict[str, HubError]


def refresh(row: HubRow, folder: Path, egress: Egress, limits: Limits) -> Refreshed:
    """Know the newest that the hub says. Raises ``UntrustedError``, ``ExpiredError``,
    ``HubUnreachableError`` or ``EgressError`` when no mirror has it, and then nothing changed."""
    before = known.load(folder)
    left: list[tuple[str, OndolError]] = []
    best: _Said | None = None
    for url in row.urls:
        try:
            said = _ask(url, row, folder, egress, limits, before)
        except (HubError, EgressError) as error:
            left.append((url, error))
            continue
        if best is None or len(said.troubles) < len(best.troubles):
            best = said
        if not said.troubles:
            break
    if best is None:
        raise _worst([error for _, error in left])
    known.write(folder, best.signed)
    return Refreshed(
        best.signed.mirror,
        best.signed.expires_at,
        tuple(left),
        best.troubles,
        _rekeyed(before, best.signed) if before is not None else (),
    )


def _rekeyed(before: Signed, now: Signed) -> tuple[str, ...]:
    if known.verified(replace(before, publishers={})) is None:
        return ()  # the file was damaged
    old, new = (
        {name: set(role.keyids) for name, role in publishers_of(_targets(one.targets)).items()}
        for one in (before, now)
    )
    return tuple(name for name in new if name in old and new[name] != old[name])


def _targets(text: str) -> Targets:
    return Metadata[Targets].from_bytes(text.encode()).signed


def _worst(errors: list[OndolError]) -> OndolError:
    """That somebody lies is worth more than that another one sleeps."""
    order = (UntrustedError, ExpiredError, EgressError)
    found = (one for kind in order for one in errors if isinstance(one, kind))
    return next(found, errors[0])


def _ask(
    url: str, row: HubRow, folder: Path, egress: Egress, limits: Limits, before: Signed | None
) -> _Said:
    kept = paths.ensure(folder / METADATA)
    config = UpdaterConfig(max_delegations=1)  # a publisher delegates to nobody
    with client_for(url, egress, limits.metadata) as client, _in_words(url, kept):
        updater = Updater(
            metadata_dir=str(kept),
            metadata_base_url=f"{url}/{METADATA}",
            fetcher=HubFetcher(client, url),
            config=config,
            bootstrap=row.root,
        )
        updater.refresh()
        top = _targets(_read(kept, "targets"))
        snapshot = Metadata[Snapshot].from_bytes(_read(kept, "snapshot").encode()).signed
        timestamp = Metadata[Timestamp].from_bytes(_read(kept, "timestamp").encode()).signed
        texts = (_read(kept, "root"), _read(kept, "targets"))
        earlier = _still_signed(before, *texts)
        publishers: dict[str, str] = {}
        troubles: dict[str, HubError] = {}
        left = MOST_BYTES
        for name in publishers_of(top):
            if f"{name}.json" not in snapshot.meta:
                continue  # has published nothing yet
            try:
                with _in_words(url, kept, name):
                    updater.get_targetinfo(f"{name}/-/-/-")
                    publishers[name] = _checked(url, kept, name, snapshot, earlier.get(name))
                left -= len(publishers[name])
            except HubError as error:
                troubles[name] = error
                if before is not None and name in earlier:
                    publishers[name] = before.publishers[name]
            if left < 0:
                raise untrusted("endless", url)
    expires = min(timestamp.expires, snapshot.expires, top.expires).astimezone(UTC)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    until = expires.isoformat(timespec="seconds")
    return _Said(Signed(url, at, until, *texts, publishers), troubles)


def _still_signed(before: Signed | None, root: str, targets: str) -> Mapping[str, Targets]:
    """What was known before of each publisher, if the keys that the operator names now signed it:
    what a thief published is not what anybody goes on from."""
    if before is None:
        return {}
    now = known.verified(Signed("", "", "", root, targets, before.publishers))
    return now.targets if now is not None else {}


def _checked(url: str, kept: Path, name: str, snapshot: Snapshot, earlier: Targets | None) -> str:
    """The metadata of publisher ``name``: hers, of the version in the snapshot, about nothing but
    her own, and with the same content as ``earlier`` wherever it is about the same file."""
    text = _read(kept, name)
    targets = _targets(text)
    listed = snapshot.meta.get(f"{name}.json")
    if listed is None or listed.version != targets.version:
        raise untrusted("mixed", url, name)
    for path, file in targets.targets.items():
        if not _is_own(path, name):
            raise untrusted("foreign", url, name, path=path[:200])
        was = earlier.targets.get(path) if earlier is not None else None
        if was is not None and (was.hashes, was.length) != (file.hashes, file.length):
            raise untrusted("replaced", url, name, path=path)
    return text


def _is_own(path: str, name: str) -> bool:
    try:
        return Target.of(path).publisher == name
    except HubError:
        return False


def _read(kept: Path, role: str) -> str:
    return (kept / f"{role}.json").read_text(encoding="utf-8")


@contextmanager
def _in_words(url: str, kept: Path, publisher: str = "") -> Iterator[None]:
    """What python-tuf raises, as ours."""
    try:
        yield
    except EgressError:
        raise  # one kind of it is an OSError too
    except (RepositoryError, DownloadError) as error:
        raise refusal(error, url, publisher) from error
    except OSError as error:
        raise paths.storage_error(error, kept) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise untrusted("malformed", url, publisher) from error
