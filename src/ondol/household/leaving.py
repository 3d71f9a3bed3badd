"""Leaving a federation: what it left on this device is erased, and home is told.

What was added up with others cannot be taken out of a sum again: the receipt says in how many
rounds something of this device is. Raises ``FederationNotFoundError`` and what the parts raise.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondol import encryption, leftovers
from ondol.errors import OndolError
from ondol.household import joining
from ondol.household.federations import Federation, Federations
from ondol.i18n import t
from ondol.ledger.entries import Entry
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal import activating

FEDERATION = "federation"
"""In ``trained_on`` of an adapter: the id of the federation that it is from."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went, and whether home ``heard`` it. ``adapters`` are full names, ``rounds`` those that
    hold something of this device still, wherever their sums are."""

    id: str
    name: str
    heard: bool
    adapters: tuple[str, ...]
    rounds: int

    @property
    def words(self) -> list[str]:
        """What remains, a sentence each."""
        found = [] if self.heard else [t("household.left_unheard")]
        return found + ([t("household.left_rounds", rounds=self.rounds)] if self.rounds else [])

    def json(self) -> dict[str, Any]:
        """As the CLI and the API give it."""
        return {
            "id": self.id,
            "name": self.name,
            "heard": self.heard,
            "adapters": list(self.adapters),
            "rounds": self.rounds,
            "words": self.words,
        }


def leave(parts: Parts, wanted: str = "") -> Receipt:
    """Leave, and keep nothing of it: not the shared adapters, not this device's own part in the
    rounds. May be done again after a kill."""
    with Federations.open() as kept:
        one = kept.get(wanted)
        # Before anything else: whoever takes part in it stops at its next look.
        kept.set_state(one.id, "ended", "left")
        rounds = sum(each.took_part for each in kept.rounds(one.id))
        heard = _tell(parts, one)
        adapters = tuple(each.full_name for each in shared_adapters(parts, one.id))
        for each in shared_adapters(parts, one.id):
            _put_out_of_use(parts, each)
            parts.adapters.remove(each.model, each.name)
        erase(folder(one.id))
        kept.remove(one.id)
    entry = Entry(joining.KIND, reasons=("left",), destination=one.url, model=one.plan.model)
    parts.ledger.append(entry)
    return Receipt(one.id, one.name, heard, adapters, rounds)


def folder(id: str) -> Path:
    """Where this device keeps its part of a federation's rounds: in memory while the library is
    locked, as trainings do."""
    return encryption.trainings() / f"federation-{id}"


def erase(place: Path) -> None:
    """Overwrite and remove what is in ``place``, a folder of this device's own."""
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            with suppress(OSError):
                leftovers.erase(path)
    shutil.rmtree(place, ignore_errors=True)


def shared_adapters(parts: Parts, id: str) -> list[Adapter]:
    """The adapters here that came of the federation ``id``."""
    return [one for one in parts.adapters.list() if one.trained_on.get(FEDERATION) == id]


def _tell(parts: Parts, one: Federation) -> bool:
    try:
        return joining.tell_gone(parts, joining.home_of(parts, one), one.id)
    except OndolError:
        return False


def _put_out_of_use(parts: Parts, adapter: Adapter) -> None:
    """Let ``adapter`` answer no more. What answered beside it goes on alone, where its own gate let
    it."""
    chosen = parts.kept.activations.chosen(adapter.model)
    if adapter.name not in chosen.names:
        return
    activating.deactivate(parts, adapter.model)
    for name in chosen.chat:
        if name != adapter.name:
            with suppress(OndolError):
                activating.activate(parts, f"{adapter.model}:{name}")
