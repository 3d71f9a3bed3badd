"""One release on its way from a hub to being active: fetch, scan, stage, try out, switch.

A kill at any point leaves what was active before, or the new release whole; the same again goes on
from there. What fails is written down, not kept, and not tried again by itself. Raises what a hub,
the scanner and the trial raise (``HubError`` and its kin), ``UsageError``, ``StorageError``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import TYPE_CHECKING, Any

from ondol import paths
from ondol.errors import InvalidModelError, ScanRefusedError, UpdateFailedError, UsageError
from ondol.hub.release import Release
from ondol.hub.targets import Version
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.models.locks import hold
from ondol.models.patience import Watch
from ondol.updating import fetching, installed, offers, switching
from ondol.updating.installs import FAILED, INSTALLED, ROLLED_BACK, UPDATED, Install, Installs
from ondol.updating.switching import LOCAL, Place, Progress, Tell, Tried

if TYPE_CHECKING:
    from ondol.hub.client.hub import Hub
    from ondol.parts import Parts

KIND = "update"
"""Of entries in the ledger."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done: "installed", "updated", "unchanged" or "rolled_back". ``before`` is the
    version that was active, ``stale`` the adapters that do not fit any more, ``words`` are
    sentences worth knowing."""

    what: str
    install: Install
    version: str
    before: str = ""
    words: tuple[str, ...] = ()
    stale: tuple[str, ...] = ()
    gate: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.install.name

    def json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "name": self.name,
            "kind": self.install.kind,
            "publisher": self.install.publisher,
            "item": self.install.item,
            "version": self.version,
            "before": self.before,
            "words": list(self.words),
            "stale": list(self.stale),
            "gate": self.gate,
        }


@dataclass(frozen=True, slots=True)
class How:
    """What the owner agreed to, and who waits. ``allow_stale``: adapters may stop fitting;
    ``replace``: what has the name, and did not come from a hub, may be replaced."""

    allow_stale: bool = False
    replace: bool = False
    tell: Tell = lambda progress: None
    cancel: Flag = field(default_factory=Flag)


@dataclass(frozen=True, slots=True)
class Bringing:
    """One release on its way from ``hub`` to being active."""

    parts: Parts
    kept: Installs
    hub: Hub
    how: How

    def bring(self, row: Install, release: Release) -> Outcome:
        place = switching.place_of(self.parts, row)
        with locked(self.parts, row, self._wait):
            before = place.active()
            if before == str(release.version):
                settle(self.parts, self.kept, self.kept.begin(row), place)
                return Outcome("unchanged", row, before, before)
            # Another process may have brought a newer one while this one waited its turn.
            known = self.kept.get(row.key)
            if known is not None:
                offers.check_floor(release, known.floor)
            place.refuses(release, replace=self.how.replace)
            stale = place.stale(release)
            if stale and not self.how.allow_stale:
                raise UsageError(
                    t("updating.stale", name=row.name, adapters=", ".join(stale)),
                    t("updating.stale_hint"),
                    param="allow_stale",
                )
            row = self.kept.begin(row, self._is_here)
            settle(self.parts, self.kept, row, place)
            tried = self._try(row, place, release, before)
            deed = UPDATED if before else INSTALLED
            accept(self.parts, self.kept, row, deed, str(release.version), before)
            prune(self.parts, self.kept, row, place)
        return Outcome(
            deed, row, str(release.version), before, tried.words, stale, dict(tried.gate)
        )

    def _try(self, row: Install, place: Place, release: Release, before: str) -> Tried:
        """Fetch, scan, stage, try out and switch; what fails is written down and not kept."""
        version = str(release.version)
        was_kept = version in place.kept()
        try:
            files = fetching.fetch(
                self.parts, self.hub, place, release, self._tell, self.how.cancel
            )
            self._tell(Progress("scan"))
            fetching.scanned(self.parts, release, files)
            self._tell(Progress("stage"))
            place.stage(release, files)
            tried = place.try_out(version, self._tell)
            self._tell(Progress("switch"))
            place.switch(version, verify=False)
        except (UpdateFailedError, ScanRefusedError, InvalidModelError) as error:
            self.kept.note(row, FAILED, version=version, before=before, reason=error.message)
            if not was_kept:
                place.drop(version)
            fetching.discard(place, release)
            raise
        return tried

    def _is_here(self, other: Install) -> bool:
        return switching.place_of(self.parts, other).active() not in ("", LOCAL)

    def _tell(self, progress: Progress) -> None:
        self._wait()
        self.how.tell(progress)

    def _wait(self) -> None:
        Watch(cancel=self.how.cancel).check()


@contextmanager
def locked(
    parts: Parts, row: Install, while_waiting: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """One at a time may change an installed item, of all processes."""
    folder = paths.ensure(parts.store.directory / "locks")
    with hold(folder / f"install-{row.mark}", while_waiting):
        yield


def accept(
    parts: Parts,
    kept: Installs,
    row: Install,
    deed: str,
    version: str,
    before: str,
    reason: str = "",
) -> None:
    """Write down what became active: the event, the floor and the ledger's entry in one
    transaction."""
    entry = Entry(
        KIND,
        model=row.name,
        reasons=(deed, f"{row.publisher}:{row.item}@{version}"),
    )
    parts.ledger.append(
        entry,
        lambda connection, id: kept.write(
            connection,
            row,
            deed,
            version=version,
            before=before,
            reason=reason,
            ledger_id=id,
        ),
    )


def settle(parts: Parts, kept: Installs, row: Install, place: Place) -> None:
    """Write down a switch that nobody lived to write down: the manifest is what counts."""
    active = place.active()
    if not active or active == LOCAL:
        return
    order = installed.states(kept.events(row))
    if not order or order[-1] != active:
        before = order[-1] if order else ""
        deed = ROLLED_BACK if Version.of(active) < row.floor else UPDATED
        accept(parts, kept, row, deed if before else INSTALLED, active, before)


def prune(parts: Parts, kept: Installs, row: Install, place: Place) -> None:
    """Keep as many versions beside the active one as the owner wants, those that were active
    last."""
    active = place.active()
    order = installed.states(kept.events(row))[::-1]
    others = [one for one in place.kept() if one != active]
    others.sort(key=lambda one: (order.index(one) if one in order else len(order), one))
    for version in others[parts.config["update.keep"] :]:
        place.drop(version)
