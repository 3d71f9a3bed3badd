"""What home keeps of a federation on its disk: the shared vector, the records, and the open round.

``state.json`` is written last and at once: what it does not speak of has not happened. A killed
coordinator finds the answers of every stage that was over, and asks the one again that was not;
devices answer it with the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import PlanMismatchError
from ondol.federated import wire
from ondol.federated.coordinating.journal import erase, erase_leftovers, keep
from ondol.federated.coordinating.records import RoundRecord
from ondol.federated.plan import Plan
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.coordinating.protocols import Vector

MOST_BYTES = 1 << 34


@dataclass(frozen=True, slots=True)
class Standing:
    """``round`` is the last number that was used, ``done`` how many rounds gave a sum. ``costs``
    are the rounds in which devices let something go: how many began each, and how many stayed
    (None: not known). ``best_canary`` is the lowest loss on home's own data. ``adopted`` are the
    nodes that have the last shared vector, ``left_out`` those who stopped a round and are asked no
    more."""

    round: int = 0
    done: int = 0
    costs: tuple[tuple[int, int | None], ...] = ()
    best_canary: float | None = None
    vector: str = ""
    adopted: tuple[int, ...] = ()
    left_out: tuple[int, ...] = ()


class HomeState:
    """One federation's, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file = folder / "state.json"

    def standing(self) -> Standing:
        try:
            return Standing(**json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            return Standing()

    def vector(self) -> Vector | None:
        """The shared vector (float32), or None before the first round."""
        name = self.standing().vector
        return _read(self.folder / "vectors" / name)["vector"] if name else None

    def mean(self) -> Vector | None:
        """The mean update of the last round that gave one."""
        name = self.standing().vector
        return _read(self.folder / "vectors" / name).get("mean") if name else None

    def hold_to(self, plan: Plan) -> None:
        """Raises ``PlanMismatchError`` where the folder is another plan's."""
        file = self.folder / "plan.json"
        if not file.exists():
            keep(file, json.dumps(plan.json()))
        elif Plan.of(json.loads(file.read_bytes())).digest != plan.digest:
            raise PlanMismatchError(t("federated_rounds.other_plan"))

    def begin(self, vector: Vector, canary: float | None) -> None:
        """The vector of the first round, and its loss on home's own data."""
        self._keep_vector("0000.vector", vector, None)
        self._stand(Standing(vector="0000.vector", best_canary=canary))

    def records(self) -> list[RoundRecord]:
        """Of the rounds that are over, the first first."""
        last = self.standing().round
        files = sorted((self.folder / "rounds").glob("[0-9]*.json"), key=lambda f: int(f.stem))
        # What is beyond is of a round whose end was not written down.
        return [RoundRecord.of(json.loads(f.read_bytes())) for f in files if int(f.stem) <= last]

    def open(self) -> OpenRound:
        """The round that is being held."""
        return OpenRound(self.folder / "open", self.standing().round + 1)

    def close(
        self, record: RoundRecord, standing: Standing, moved: tuple[Vector, Vector] | None
    ) -> None:
        """The open round is over; ``moved`` is the new shared vector, and the mean that moved it,
        if it is taken."""
        if moved is not None:
            name = f"{record.number:04d}.vector"
            self._keep_vector(name, *moved)
            standing = replace(standing, vector=name)
        keep(self._record_file(record.number), json.dumps(record.json()))
        self._stand(replace(standing, round=record.number))
        erase(self.folder / "open")
        for folder in (self.folder, self.folder / "rounds", self.folder / "vectors"):
            erase_leftovers(folder)
        for file in (self.folder / "vectors").glob("*.vector"):
            if file.name != standing.vector:
                file.unlink()

    def go_on_behind(self, number: int) -> None:
        """The next round is the one after ``number``."""
        self._stand(replace(self.standing(), round=number))

    def adopted(self, nodes: Iterable[int]) -> None:
        """These have the last shared vector."""
        standing = self.standing()
        self._stand(replace(standing, adopted=tuple(sorted({*standing.adopted, *nodes}))))

    def _stand(self, standing: Standing) -> None:
        keep(self._file, json.dumps(asdict(standing)))

    def _keep_vector(self, name: str, vector: Vector, mean: Vector | None) -> None:
        fields = {"vector": vector} | ({} if mean is None else {"mean": mean})
        keep(self.folder / "vectors" / name, wire.pack(fields))

    def _record_file(self, number: int) -> Path:
        return self.folder / "rounds" / f"{number:04d}.json"


@dataclass(frozen=True, slots=True)
class About:
    """How far the open round is. Nodes are strings here, as JSON has them."""

    number: int
    at: str = ""
    chosen: tuple[int, ...] = ()
    dropped: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    bytes_up: int = 0
    bytes_down: int = 0


class OpenRound:
    """The answers of the stages of round ``number`` that are over. What another number left in
    ``folder`` is erased."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self._file = folder / "about.json"
        self.about = About(number)
        try:
            self.about = About(**json.loads(self._file.read_bytes()))
        except FileNotFoundError:
            pass
        if self.about.number != number:
            erase(folder)
            self.about = About(number)

    def note(self, **fields: Any) -> None:
        self.about = replace(self.about, **fields)
        keep(self._file, json.dumps(asdict(self.about)))

    def stage(self, name: str) -> tuple[dict[int, bytes], bytes] | None:
        """The answers of a stage that is over by node, and what was kept beside them."""
        try:
            fields = _read(self.folder / f"{name}.stage")
        except FileNotFoundError:
            return None
        answers, at = {}, 0
        for node, size in zip(fields["nodes"], fields["sizes"], strict=True):
            answers[node] = fields["answers"][at : at + size]
            at += size
        return answers, fields["beside"]

    def keep_stage(self, name: str, answers: Mapping[int, bytes], beside: bytes = b"") -> None:
        """A stage is over."""
        nodes = sorted(answers)
        sizes = [len(answers[node]) for node in nodes]
        joined = b"".join(answers[node] for node in nodes)
        fields = {"nodes": nodes, "sizes": sizes, "answers": joined, "beside": beside}
        keep(self.folder / f"{name}.stage", wire.pack(fields))


def _read(file: Path) -> dict[str, Any]:
    return wire.unpack(file.read_bytes(), MOST_BYTES)
