"""The bytes of a release: from the hub where they are not here, and through the scanner always."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from ondol.hub.release import Release
from ondol.models import blobs
from ondol.models.patience import Watch
from ondol.updating.model_place import installable
from ondol.updating.switching import Place, Progress, Tell

if TYPE_CHECKING:
    from ondol.hub.client.hub import Hub
    from ondol.parts import Parts


@contextmanager
def hubs(parts: Parts) -> Iterator[list[Hub]]:
    """The hubs that the owner added."""
    from ondol.hub.client.rows import Hubs

    with Hubs.open() as kept:
        yield [kept.hub(row, parts.egress) for row in kept.list()]


def fetch(
    parts: Parts, hub: Hub, place: Place, release: Release, tell: Tell, cancel: Event
) -> dict[str, Path]:
    """The verified files of ``release`` by name: those that are here as they lie, the others in
    partial files that a fetch which was cut goes on with."""
    wanted = installable(release)
    missing = [file for file in wanted if place.path(file) is None]
    total = sum(file.size_bytes for file in missing)
    here, found, done = place.paths(), {}, 0
    parts.store.blobs.check_space(total - sum(_size(place.partial(file)) for file in missing))
    for file in wanted:
        path = place.path(file)
        if path is None:
            before = done

            def on_bytes(completed: int, _: int | None, before: int = before) -> None:
                tell(Progress("fetch", before + completed, total, file.name))  # noqa: B023

            path = hub.fetch(
                file,
                place.partial(file),
                watch=Watch(on_bytes, cancel),
                limit_bytes_per_second=parts.config["update.limit_bytes_per_second"] or None,
                have=here.get(file.role, ()),
            )
            done += file.size_bytes
        found[file.name] = path
    return found


def scanned(parts: Parts, release: Release, files: Mapping[str, Path]) -> None:
    """ScanRefusedError for what the scanner refuses. An adapter is held against its base too."""
    from ondol.hub.scan import require, scan
    from ondol.updating.model_place import base_of

    card, bases = release.card, []
    if card.kind == "adapter":
        base = base_of(parts, card.base_digest, card.base_model)
        weights = [one for one in base.files if one.role == "weights"] if base else []
        bases = [parts.store.blobs.path(one.digest) for one in weights]
    # Blobs of ours may have a second name under links/, and nobody else has any.
    require(scan(files, card, bases=bases, linked=True))


def discard(place: Place, release: Release) -> None:
    """Forget what was fetched of ``release``."""
    for file in release.files:
        blobs.discard(place.partial(file))


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
