"""What came from an upstream and waits for the operator: whole, verified and scanned, served to
nobody.

One folder each under ``state/quarantine/`` of the hub. ``held.json``, written last and atomically,
is what makes it wait; without one a folder holds parts of something on its way. Approving publishes
it (``hub.repository``) and removes it here. Raises ``HubNotFoundError`` and ``HubError``.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ondol import paths, whole_file
from ondol.errors import HubError, HubNotFoundError
from ondol.hub.card import Card
from ondol.hub.mirror.origin import ORIGIN, Origin
from ondol.i18n import t
from ondol.models.blobs import Blobs
from ondol.models.locks import hold

FOLDER = Path("state") / "quarantine"
HELD = "held.json"
REFUSED = "refused.json"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,100}")


@dataclass(frozen=True, slots=True)
class Held:
    """A release that waits. ``files`` are its files by name; ``report`` is what the scanner said,
    ``left_out`` why files of the repository are not part of it, by path."""

    name: str
    item: str
    card: Card
    files: Mapping[str, Path]
    origin: Origin
    report: Mapping[str, Any]
    left_out: Mapping[str, str] = field(default_factory=dict)
    held_at: str = ""

    @property
    def source(self) -> str:
        return self.card.source

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.origin.files)

    def json(self) -> dict[str, Any]:
        """As ``--json`` and the API show it."""
        return {
            "name": self.name,
            "item": self.item,
            "source": self.source,
            "repository": self.origin.repository,
            "commit": self.origin.commit,
            "card": self.card.json(),
            "files": [
                {"path": one.path, "digest": one.digest, "size_bytes": one.size_bytes}
                for one in self.origin.files
            ],
            "size_bytes": self.size_bytes,
            "left_out": dict(self.left_out),
            "scan": dict(self.report),
            "held_at": self.held_at,
        }


class Quarantine:
    """The quarantine of the hub in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def list(self) -> list[Held]:
        """What waits, longest first. What cannot be read is left out."""
        found = []
        for file in self.folder.glob(f"*/{HELD}"):
            try:
                found.append(self.get(file.parent.name))
            except HubError:
                continue
        return sorted(found, key=lambda held: (held.held_at, held.name))

    def get(self, name: str) -> Held:
        """What waits under ``name``, or under a beginning of it that only one has."""
        room = self._room(name)
        if room is None:
            known = ", ".join(sorted(self._names()))
            raise HubNotFoundError(
                t("hub_mirror.not_waiting", name=name[:100]),
                t("hub_mirror.waiting_hint", names=known) if known else "",
            )
        try:
            return _read(room)
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise HubError(t("hub_mirror.bad_held", name=room.name)) from error

    def find(self, name: str) -> Held | None:
        """What waits under exactly ``name`` and is whole; None where nothing does."""
        if not (self.folder / name / HELD).is_file():
            return None
        try:
            return self.get(name)
        except HubError:
            return None

    def refusals(self) -> dict[str, str]:
        """What was refused, and why, by name."""
        names = sorted(file.parent.name for file in self.folder.glob(f"*/{REFUSED}"))
        return {name: why for name in names if (why := self.refusal(name))}

    def remove(self, name: str) -> None:
        """Forget what waits under ``name``, and its bytes."""
        held = self.get(name)
        with self.holding(held.name):
            # First what makes it wait: a removal that is interrupted leaves parts, no release.
            (self.folder / held.name / HELD).unlink(missing_ok=True)
            shutil.rmtree(self.folder / held.name, ignore_errors=True)

    def refuse(self, name: str, why: str, repository: str = "", commit: str = "") -> None:
        """Forget the bytes of ``name`` and remember that it is not wanted: no client makes the hub
        fetch it again. Whoever calls holds it."""
        folder = paths.ensure(self.folder / name)
        fields = {"why": why, "repository": repository, "commit": commit}
        whole_file.write(folder / REFUSED, json.dumps(fields, ensure_ascii=False))
        for file in (HELD, ORIGIN):
            (folder / file).unlink(missing_ok=True)
        shutil.rmtree(folder / "blobs", ignore_errors=True)

    def refusal(self, name: str) -> str:
        """Why ``name`` is not wanted; "" unless it was refused."""
        try:
            fields = json.loads((self.folder / name / REFUSED).read_text(encoding="utf-8"))
            return str(fields["why"]) or "–"
        except (OSError, ValueError, TypeError, KeyError):
            return ""

    def admit(self, name: str) -> None:
        """Forget that ``name`` was refused: its operator asks for it after all."""
        (self.folder / name / REFUSED).unlink(missing_ok=True)

    def blobs(self, name: str) -> Blobs:
        """Where the bytes of ``name`` gather."""
        return Blobs(self.folder / name / "blobs")

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Nobody else changes ``name`` inside the block, in this process or another."""
        paths.ensure(self.folder)
        with hold(self.folder / f"{name}.lock"):
            yield

    def put(
        self,
        name: str,
        item: str,
        card: Card,
        origin: Origin,
        report: Mapping[str, Any],
        left_out: Mapping[str, str],
    ) -> Held:
        """Have it wait. Its files are among ``blobs`` by then, ``origin.json`` too."""
        fields = {
            "item": item,
            "card": card.json(),
            "origin": json.loads(origin.content()),
            "report": dict(report),
            "left_out": dict(left_out),
            "held_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        folder = paths.ensure(self.folder / name)
        whole_file.write(folder / ORIGIN, origin.content())
        whole_file.write(folder / HELD, json.dumps(fields, ensure_ascii=False, indent=1))
        return self.get(name)

    def used_bytes(self, *, without: str = "") -> int:
        """How much of the disk the quarantine has, ``without`` one name in it."""
        return sum(
            file.lstat().st_size
            for room in self.folder.glob("*")
            if room.name != without
            for file in room.rglob("*")
            if file.is_file()
        )

    def _names(self) -> tuple[str, ...]:
        return tuple(file.parent.name for file in self.folder.glob(f"*/{HELD}"))

    def _room(self, name: str) -> Path | None:
        if not NAME.fullmatch(name) or ".." in name:
            return None
        if (self.folder / name / HELD).is_file():
            return self.folder / name
        found = [one for one in self._names() if one.startswith(name)]
        return self.folder / found[0] if len(found) == 1 else None


def _read(room: Path) -> Held:
    fields = json.loads((room / HELD).read_text(encoding="utf-8"))
    origin = Origin.of(json.dumps(fields["origin"]).encode())
    blobs = Blobs(room / "blobs")
    files = {one.name: blobs.path(one.digest) for one in origin.files}
    if not all(blobs.has(one.digest, one.size_bytes) for one in origin.files):
        raise ValueError("files")
    return Held(
        room.name,
        str(fields["item"]),
        Card.of(fields["card"]),
        {**files, ORIGIN: room / ORIGIN},
        origin,
        dict(fields["report"]),
        dict(fields["left_out"]),
        str(fields["held_at"]),
    )
