"""How a personal training stands, in its own folder: what it is to learn, how far it is, what is
wanted of it. Any process may read it, and ask for a pause; only who trains writes the rest.

``training.json`` says what is trained and from which samples, by their ids; ``state.json`` how it
stands; ``wanted`` what somebody asks of it. No text of a sample is in these three. The folders of
its jobs (``sft``, ``preference``) are ``training.job``'s. Raises ``StorageError``,
``TrainingNotFoundError``.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from ondol import leftovers, paths, trainable, whole_file
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.training import control

State = Literal["waiting", "running", "paused", "failed", "refused", "done"]
Stage = Literal["samples", "sft", "preference", "evaluation"]
Task = Literal["auto", "sft", "dpo", "kto"]
Wanted = Literal["", "pause", "cancel"]

PREFIX = "personal-"
JOBS: tuple[Stage, ...] = ("sft", "preference")
UNFINISHED = ("waiting", "running", "paused", "failed")
CURVE_POINTS = 240


class TrainingNotFoundError(TrainingError):
    """There is no training of that id."""

    code = "training_not_found"
    status = 404


@dataclass(frozen=True, slots=True)
class Training:
    """What to train: an adapter ``name`` of ``model``, from the samples of ``sources`` (ids; none:
    of all). ``task`` "auto" learns replies first, and then preferences where there are enough.
    ``epochs`` and ``r`` are what suits the model where they are None."""

    model: str
    name: str = "style"
    task: Task = "auto"
    sources: tuple[str, ...] = ()
    epochs: float | None = None
    r: int | None = None
    seed: int | None = None
    when_idle: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """A training as it stands. ``seconds`` and ``eta_seconds`` are of its stage; ``adapter`` is the
    full name of what it made, on trial until it is ``done``; ``verdict`` what the gate said."""

    id: str
    training: Training
    samples: tuple[str, ...] = ()
    num_examples: int = 0
    num_pairs: int = 0
    num_held_out: int = 0
    started_at: str = ""
    state: State = "waiting"
    stage: Stage = "samples"
    step: int = 0
    steps: int = 0
    loss: float | None = None
    held_out_loss: float | None = None
    seconds: float = 0.0
    eta_seconds: float | None = None
    adapter: str = ""
    verdict: Mapping[str, Any] = field(default_factory=dict)
    error: Mapping[str, str] | None = None
    updated_at: str = ""

    @property
    def folder(self) -> Path:
        return trainable.trainings() / self.id

    @property
    def is_unfinished(self) -> bool:
        return self.state in UNFINISHED

    def json(self) -> dict[str, Any]:
        """As API and CLI give it: one level, and numbers instead of the ids of samples."""
        own = asdict(self)
        what = own.pop("training")
        del own["samples"]
        return {**own, **what, "sources": list(self.training.sources)}

    def with_(self, **changes: Any) -> Standing:
        """A copy with ``changes``, as of now."""
        return replace(self, **changes, updated_at=now())


_PLAN = ("id", "training", "samples", "num_examples", "num_pairs", "num_held_out", "started_at")
_STATE = tuple(one.name for one in fields(Standing) if one.name not in _PLAN)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def begin(standing: Standing) -> None:
    """Make the folder of a new training, or write down again what an old one is."""
    folder = paths.ensure(standing.folder)
    plan = {name: value for name, value in asdict(standing).items() if name in _PLAN}
    whole_file.write(folder / "training.json", json.dumps(plan, indent=1))
    write(standing)


def write(standing: Standing) -> None:
    """Say how it stands."""
    state = {name: value for name, value in asdict(standing).items() if name in _STATE}
    whole_file.write(standing.folder / "state.json", json.dumps(state))


def read(id: str) -> Standing:
    """How the training ``id`` stands; one that nobody is at, though it should run, is paused."""
    found = _read(trainable.trainings() / id) if id.startswith(PREFIX) and "/" not in id else None
    if found is None:
        raise TrainingNotFoundError(
            t("personal.no_training", id=id), t("personal.no_training_hint")
        )
    return found


def listed() -> list[Standing]:
    """All trainings, the latest first."""
    found = [_read(folder) for folder in trainable.trainings().glob(f"{PREFIX}*")]
    return sorted(filter(None, found), key=lambda one: (one.started_at, one.id), reverse=True)


def request(id: str, wanted: Wanted) -> None:
    """Ask whoever is at the training ``id`` to pause or cancel it; "" takes that back."""
    file = trainable.trainings() / id / "wanted"
    if wanted:
        whole_file.write(file, wanted)
    else:
        file.unlink(missing_ok=True)


def requested(id: str) -> Wanted:
    """What somebody asks of it."""
    try:
        said = (trainable.trainings() / id / "wanted").read_text("ascii")
    except (OSError, ValueError):
        return ""
    return "cancel" if said == "cancel" else "pause"


def is_held(id: str) -> bool:
    """Whether some process is at the training ``id`` (``trainable.alone`` of its id). Only looks at
    a lock that is there, so that who begins meanwhile is not in the way of anybody."""
    file = trainable.trainings() / f"{quote(id, safe='')}.lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def curve(id: str, most: int = CURVE_POINTS) -> list[dict[str, Any]]:
    """The losses so far, ``stage``, ``step``, ``loss`` and ``held_out_loss``; thinned to ``most``
    points, and those with a held-out loss stay."""
    points = [
        {
            "stage": stage,
            "step": point["step"],
            "loss": point.get("loss"),
            "held_out_loss": point.get("held_out_loss"),
        }
        for stage in JOBS
        for point in control.losses(trainable.trainings() / id / stage)
    ]
    every = max(1, -(-len(points) // most))
    return [
        point
        for number, point in enumerate(points)
        if point["held_out_loss"] is not None or (len(points) - 1 - number) % every == 0
    ]


def forget_texts(id: str) -> None:
    """Overwrite what its jobs read and made; how it went stays. An adapter of it is in the store.
    For a training that has ended: the very same one would begin anew."""
    for stage in JOBS:
        for file in (trainable.trainings() / id / stage).glob("*"):
            if file.name != "losses.jsonl":
                with suppress(OSError):
                    leftovers.erase(file)


def erase(id: str) -> None:
    """Overwrite and remove all that is kept of the training ``id``; the adapters that it made are
    the store's. The caller holds it."""
    control.destroy(trainable.trainings() / id)


def _read(folder: Path) -> Standing | None:
    """None for what is not, or not yet, the folder of a training."""
    try:
        plan = json.loads((folder / "training.json").read_text("utf-8"))
        what = Training(**_tupled(plan.pop("training"), ("sources",)))
        standing = Standing(training=what, **_tupled(plan, ("samples",)))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    with suppress(OSError, ValueError, TypeError):
        standing = replace(standing, **json.loads((folder / "state.json").read_text("utf-8")))
    if standing.state in ("running", "waiting") and not is_held(standing.id):
        standing = replace(standing, state="paused", eta_seconds=None)
    elif standing.state == "running" and standing.stage in JOBS and _is_waiting(folder, standing):
        standing = replace(standing, state="waiting", eta_seconds=None)
    return replace(standing, id=folder.name)


def _is_waiting(folder: Path, standing: Standing) -> bool:
    """Whether its job stands still because somebody is being answered."""
    try:
        return control.state(folder / standing.stage).status == "waiting"
    except TrainingError:
        return False


def _tupled(values: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {**values, **{name: tuple(values[name]) for name in names}}
