"""What a device itself keeps of the rounds it took part in: for its owner's eyes, never sent."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.federated.coordinating.journal import keep
from ondol.federated.plan import Plan

if TYPE_CHECKING:
    from ondol.federated.privacy.spending import Accountant


@dataclass(frozen=True, slots=True)
class Contribution:
    """One round of this device. Losses are per token on its own held-out data, of the shared vector
    as it came and of what the round made of it: that one has the digest ``shared``. ``is_masked``:
    a vector of ``length`` numbers was to be sent, in a round that ``num_clients`` began, so it
    counts for epsilon."""

    number: int
    num_examples: int = 0
    loss_before: float | None = None
    loss_shared: float | None = None
    shared: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    is_masked: bool = False
    length: int = 0
    num_clients: int = 0


class Contributions:
    """Those of one federation, a file for each round in its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "contributions"

    def all(self) -> list[Contribution]:
        """By number."""
        found = [_read(file) for file in self._folder.glob("[0-9]*.json")]
        return sorted((one for one in found if one is not None), key=lambda one: one.number)

    def of(self, number: int) -> Contribution | None:
        """Of one round, if this device was in it."""
        return _read(self._file(number))

    def has_released(self, number: int) -> bool:
        one = self.of(number)
        return one is not None and one.is_masked

    def length(self) -> int | None:
        """Of the shortest vector that was sent."""
        return min((one.length for one in self.all() if one.is_masked), default=None)

    def loss_of(self, shared: str) -> float | None:
        """Of the shared vector with that digest, if it was measured."""
        return next((one.loss_shared for one in self.all() if one.shared == shared), None)

    def spending(self, plan: Plan, length: int) -> Accountant:
        """The account of the privacy that the rounds so far cost, for vectors of ``length``. Who
        stayed to the end of a round only home knows: the fewest that it allows are reckoned."""
        from ondol.federated.privacy.spending import Accountant

        accountant = Accountant(plan, min(length, self.length() or length))
        for one in self.all():
            if one.is_masked:
                accountant.add(one.num_clients)
        return accountant

    def note(self, number: int, *, up: int = 0, down: int = 0, **changed: Any) -> None:
        """Add to what is known of round ``number``."""
        one = self.of(number) or Contribution(number)
        one = replace(one, bytes_up=one.bytes_up + up, bytes_down=one.bytes_down + down, **changed)
        told = {field.name: getattr(one, field.name) for field in fields(one)}
        keep(self._file(number), json.dumps(told))

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.json"


def _read(file: Path) -> Contribution | None:
    known = {field.name for field in fields(Contribution)}
    try:
        told = json.loads(file.read_bytes())
        return Contribution(**{name: told[name] for name in told if name in known})
    except FileNotFoundError:
        return None
