"""Where a release becomes active: one protocol for models, adapters and packs.

A place keeps several releases beside the active one and knows how to try one out. A switch is one
rename of a manifest: whenever the process is killed, what is active is whole and was verified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ondol.hub.release import Release, ReleaseFile

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.updating.installs import Install

LOCAL = "local"
"""What stands for a version where a model was here before it came from a hub."""

ORIGIN = "hub:"
"""Opens the ``source`` of a model that came from a hub."""
RELEASE = "release"
"""In ``trained_on`` of an adapter: which release of a hub it is, ``publisher/item@version``."""

Step = Literal["fetch", "scan", "stage", "smoke", "gate", "switch"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an update is. Bytes (of "fetch") or questions (of "gate"), None where neither makes
    sense."""

    step: Step
    completed: int | None = None
    total: int | None = None
    file: str = ""

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Tried:
    """What was found when a release was tried out: the verdict of the owner's gate where there is
    one (JSON), and sentences worth knowing."""

    gate: Mapping[str, Any] = field(default_factory=dict)
    words: tuple[str, ...] = ()


class Place(Protocol):
    """Where the releases of one installed item are. Versions are texts (``str(Version)``), or
    ``LOCAL``."""

    def active(self) -> str:
        """The version in use; "" where there is none, ``LOCAL`` where it did not come from here."""

    def kept(self) -> list[str]:
        """The versions that are here whole, the active one among them."""

    def paths(self) -> dict[str, list[Path]]:
        """The files that are here already, of every version, by role: what deltas are made from."""

    def path(self, file: ReleaseFile) -> Path | None:
        """Where the bytes of ``file`` are here already; None: they have to be fetched."""

    def partial(self, file: ReleaseFile) -> Path:
        """Where they gather; the same each time, so that a fetch that was cut goes on."""

    def refuses(self, release: Release, *, replace: bool) -> None:
        """Raise, before anything is fetched, what can be known of a release that cannot be active
        here."""

    def stale(self, release: Release) -> tuple[str, ...]:
        """Full names of the adapters that would not fit any more."""

    def stage(self, release: Release, files: Mapping[str, Path]) -> None:
        """Keep a release whose files, by name, were verified; whole or not at all. Nothing is
        switched."""

    def try_out(self, version: str, tell: Tell) -> Tried:
        """Load it and ask it something, and let the owner's gate judge it where there is one.
        Raises ``UpdateFailedError``."""

    def switch(self, version: str, *, verify: bool) -> None:
        """Make it the active one, after its bytes were read again where ``verify`` says so. It may
        be the active one already."""

    def drop(self, version: str) -> None:
        """Do not keep it any longer."""


def place_of(parts: Parts, row: Install) -> Place:
    """The place of an installed item."""
    if row.kind == "model":
        from ondol.updating.model_place import ModelPlace

        return ModelPlace(parts, row)
    if row.kind == "adapter":
        from ondol.updating.adapter_place import AdapterPlace

        return AdapterPlace(parts, row)
    from ondol.updating.pack_place import PackPlace

    return PackPlace(parts, row)


def stale_now(parts: Parts, row: Install) -> tuple[str, ...]:
    """The adapters of an installed model that were made for other weights than it has."""
    if row.kind != "model":
        return ()
    own = parts.adapters.list(row.name)
    return tuple(one.full_name for one in own if one.stale and not one.is_outdated)
