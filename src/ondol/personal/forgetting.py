"""Forgetting what was learned from: a sample's bytes, and what came of it.

Folders of trainings that hold its text go in any case. Of adapters that learned from it the owner
chooses: they are ``stale``, kept and served no more; their files are ``remove``d, overwritten; or
they answer on until they are trained anew (``retrain``), and the receipt names them.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ondol import leftovers, paths, trainable
from ondol.errors import OndolError, TrainingError, UsageError
from ondol.i18n import t
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.samples.records import Sample

Dependents = Literal["stale", "remove", "retrain"]
DEPENDENTS: tuple[Dependents, ...] = get_args(Dependents)

# A training that runs is asked to stop, and given this long to do so.
STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Receipt:
    """What went: ``samples``, ``sources``, the folders of ``trainings`` that held them. Of the
    adapters that had learned from them (full names) some are ``stale`` now, ``removed``, or to be
    trained anew (``retrain``). ``engines`` are the models that were taken out of memory;
    ``federations`` (names) learned from them in rounds that nobody can take back.
    ``not_reached`` are words: reader (the last bytes go when the library is opened next), training
    (one runs), engine."""

    samples: int = 0
    sources: int = 0
    trainings: int = 0
    stale: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retrain: tuple[str, ...] = ()
    engines: tuple[str, ...] = ()
    federations: tuple[str, ...] = ()
    not_reached: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """As CLI and API give it."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def forget_samples(
    parts: Parts,
    ids: Collection[str] | None = None,
    *,
    source: str | None = None,
    dependents: Dependents = "stale",
    unload: Callable[[Sequence[str]], Iterable[str]] | None = None,
) -> Receipt:
    """Forget samples, or a source with all of them, everywhere. What feedback made is not collected
    again until something else is said of the answer. ``unload`` takes models out of memory, by
    default those of ``parts``."""
    if dependents not in DEPENDENTS:
        raise UsageError(t("samples.bad_dependents", value=dependents), param="dependents")
    samples = parts.kept.samples
    gone = (
        samples.all(source=source) if source is not None else [samples.get(id) for id in ids or ()]
    )
    if source is None:
        samples.let_go_of({one.message for one in gone if one.message})
    # Before the samples: who is killed in between erases them again, and no adapter is missed.
    receipt = without(parts, gone, dependents=dependents, unload=unload)
    erased = samples.erase(None if source is not None else list(ids or ()), source=source)
    missed = () if erased.is_erased else ("reader",)
    return replace(receipt, sources=erased.sources, not_reached=(*missed, *receipt.not_reached))


def without(
    parts: Parts,
    gone: Sequence[Sample],
    *,
    dependents: Dependents,
    unload: Callable[[Sequence[str]], Iterable[str]] | None = None,
    is_erased: bool = True,
    is_patient: bool = False,
) -> Receipt:
    """What is to be done about trainings and adapters when samples go. With ``is_patient`` a
    training that is not finished goes on; the receipt says so."""
    missed = [] if is_erased else ["reader"]
    ids = {one.id for one in gone}
    digests = parts.kept.samples.adapters_of(ids)
    folders = [folder for folder in trainings() if _learned(folder, ids, gone)]
    # What a folder made may have been added before its samples were written down.
    digests |= {digest for folder in folders for digest in made_in(folder)}
    trained = 0
    for folder in folders:
        if is_patient and _is_unfinished(folder):
            missed.append("training")
            continue
        try:
            _stop(folder)
            destroy(folder)
            trained += 1
        except TrainingError:
            missed.append("training")
    named = [
        one
        for one in parts.adapters.list()
        if not one.shipped and any(map(one.holds, digests))  # a merged one holds several
    ]
    names = tuple(sorted(one.full_name for one in named))
    engines: tuple[str, ...] = ()
    if names and dependents != "retrain":
        try:
            engines = tuple((unload or parts_unload(parts))(sorted({one.model for one in named})))
        except OndolError:
            missed.append("engine")
        for one in named:
            _remove(parts, one) if dependents == "remove" else parts.adapters.outdate(one.digest)
    if dependents != "retrain":
        # Whoever was killed on the way left a file that no adapter has.
        orphans = digests - {one.digest for one in parts.adapters.list()}
        if orphans:
            parts.kept.private_adapters.remove(orphans)
    return Receipt(
        samples=len(ids),
        trainings=trained,
        stale=names if dependents == "stale" else (),
        removed=names if dependents == "remove" else (),
        retrain=names if dependents == "retrain" else (),
        engines=engines,
        federations=tuple(parts.kept.samples.federations_of(ids)),
        not_reached=tuple(dict.fromkeys(missed)),
    )


def parts_unload(parts: Parts) -> Callable[[Sequence[str]], list[str]]:
    """Takes models out of the memory of this process."""
    return lambda models: [model for model in models if parts.stop(model)]


def trainings() -> list[Path]:
    """The folder of each training that is kept."""
    return sorted(folder for folder in trainable.trainings().glob("*") if folder.is_dir())


def made_in(folder: Path) -> set[str]:
    """The digests of the adapters that lie in the folder of a training."""
    found = set()
    for made in folder.rglob("adapter.gguf"):
        with suppress(OSError), made.open("rb") as file:
            found.add(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
    return found


def destroy(folder: Path, first: Callable[[], None] = lambda: None) -> None:
    """Overwrite and remove the folder of a training, after ``first``. ``TrainingError``, with
    nothing done, while one runs in it."""
    with trainable.alone(folder.name):
        first()
        try:
            for path in sorted(folder.rglob("*"), reverse=True):
                is_folder = path.is_dir() and not path.is_symlink()
                path.rmdir() if is_folder else leftovers.erase(path)
            folder.rmdir()
        except OSError as error:
            raise paths.storage_error(error, folder) from error


def lines_of(folder: Path) -> Iterator[dict[str, Any]]:
    """What the files of a training hold, line by line; those that are no JSON are left out."""
    for file in sorted(folder.rglob("*.jsonl")):
        with suppress(OSError), file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with suppress(ValueError):
                    found = json.loads(line)
                    if isinstance(found, dict):
                        yield found


def _learned(folder: Path, ids: set[str], gone: Sequence[Sample]) -> bool:
    """Whether a training was given any of these samples: by its plan, or word for word."""
    with suppress(OSError, ValueError, TypeError, AttributeError):
        plan = json.loads((folder / "training.json").read_text("utf-8"))
        if not ids.isdisjoint(plan.get("samples") or ()):
            return True
    texts = {" ".join(text.split()) for one in gone for text in (one.reply, one.rejected) if text}
    return any(
        " ".join(value.split()) in texts
        for line in lines_of(folder)
        for name, value in line.items()
        if name in ("reply", "chosen", "rejected") and isinstance(value, str)
    )


def _is_unfinished(folder: Path) -> bool:
    from ondol.personal import standing

    with suppress(OndolError):
        return standing.read(folder.name).is_unfinished
    return standing.is_held(folder.name)


def _stop(folder: Path) -> None:
    """Ask a training that runs, in whichever process, to end; it erases its folder itself then."""
    from ondol.personal import runs, standing

    if not standing.is_held(folder.name):
        return
    with suppress(OndolError):
        runs.stop(standing.read(folder.name), "cancel")
    end = time.monotonic() + STOP_SECONDS
    while standing.is_held(folder.name) and time.monotonic() < end:
        time.sleep(0.1)


def _remove(parts: Parts, adapter: Adapter) -> None:
    """Take an adapter off the list, and overwrite its file unless another one has the same. The
    store erases a private one, which is in the database, by itself."""
    alike = [one for one in parts.adapters.list() if one.digest == adapter.digest]
    descriptor = -1
    if len(alike) == 1 and not adapter.private:
        with suppress(OSError):
            descriptor = os.open(parts.adapters.path(adapter), os.O_WRONLY | os.O_CLOEXEC)
    try:
        parts.adapters.remove(adapter.model, adapter.name)
        if descriptor >= 0:
            with suppress(OSError):
                leftovers.overwrite(descriptor)
    finally:
        if descriptor >= 0:
            os.close(descriptor)
