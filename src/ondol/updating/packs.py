"""Packs that are here: installed from a folder, listed, measured, removed without a trace.

What a pack is lies in the store, as a model; the database adds where it came from, what was
measured and its prompts. What a kill left between the two is mended when packs are next looked at.
Those from a hub are brought by ``updater`` through ``pack_place``. Raises ``InvalidPackError``,
``UpdateFailedError``, ``UsageError``, ``ScanRefusedError``, ``StorageError``.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import Any

from ondol import paths, settings_file
from ondol.config import setting
from ondol.errors import ModelError, OndolError, UpdateFailedError, UsageError
from ondol.hub.packs import format
from ondol.hub.packs.format import ADAPTER, ROLES, Pack
from ondol.i18n import t
from ondol.models import blobs, names
from ondol.models.inspection import StagedFile
from ondol.models.locks import hold
from ondol.models.manifest import Model
from ondol.parts import Parts
from ondol.updating import pack_model, pack_trial
from ondol.updating.pack_model import is_pack
from ondol.updating.pack_rows import Origin, PackRows, Row
from ondol.updating.pack_trial import OnProgress

HUB = "hub:"
"""Opens the ``source`` of a model that came from a hub (``model_place.ORIGIN``)."""
FOLDER = "pack"
"""The ``source`` of one that was installed from a folder, which nobody signed."""


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """A pack that is here: what its files say (``pack``), and what is known of it (``row``)."""

    model: Model
    pack: Pack
    row: Row

    @property
    def name(self) -> str:
        """As people type it."""
        return self.model.name.removesuffix(":latest")

    def json(self) -> dict[str, Any]:
        pack, origin = self.pack, self.row.origin
        return {
            "name": self.name,
            "title": pack.title,
            "field": pack.field,
            "version": str(pack.version),
            "publisher": origin.publisher,
            "item": origin.item,
            "hub": origin.hub,
            "description": pack.description,
            "not_for": pack.not_for,
            "licence": pack.licence,
            "languages": list(pack.languages),
            "source": pack.source,
            "model": self.model.made.parent if self.model.made else "",
            "has_adapter": ADAPTER in pack.files,
            "prompts": len(pack.prompts),
            "terms": len(pack.glossary.terms),
            "questions": len(pack.questions),
            "size_bytes": sum(path.stat().st_size for path in pack.files.values()),
            "measured": dict(pack.measured),
            "evaluation": dict(self.row.evaluation),
            "installed_at": self.row.installed_at,
        }


@dataclass(frozen=True, slots=True)
class Removed:
    """``freed_bytes`` of the disk; ``kept_prompts`` were changed by their owner and stay;
    ``answers_now`` is what answers where no model is named, where the pack did ("")."""

    name: str
    freed_bytes: int
    kept_prompts: int
    answers_now: str = ""


def all(parts: Parts) -> list[InstalledPack]:
    """By name. One whose files are damaged is left out, as damaged models are."""
    with _rows() as rows:
        known = _mended(parts, rows)
    found = []
    for model in sorted(_models(parts), key=lambda one: one.name):
        try:
            pack = pack_model.pack_of(parts.store, model)
        except OndolError:
            continue
        if model.name in known:
            found.append(InstalledPack(model, pack, known[model.name]))
    return found


def get(parts: Parts, name: str) -> InstalledPack:
    """The pack called ``name``."""
    model = pack_model.get(parts, name)
    pack = pack_model.pack_of(parts.store, model)
    with _rows() as rows:
        return InstalledPack(model, pack, _mended(parts, rows)[model.name])


def install(
    parts: Parts,
    folder: Path,
    *,
    name: str = "",
    evaluates: bool = True,
    force: bool = False,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> InstalledPack:
    """Install the pack in ``folder``, which nobody signed. One that makes its base worse beyond
    chance is refused, unless ``force``; what was there before stays until all was tried."""
    from ondol.hub.scan import require, scan

    pack = format.read(folder)
    called = names.normalize(name or pack.name)
    if names.is_reference(called):
        raise UsageError(t("models.bad_name", name=called), t("packs.name_hint"), param="name")
    base = pack_model.base_of(parts, pack)
    _refuse_taken(parts, called)
    weights = [parts.store.blobs.path(one.digest) for one in base.files if one.role == "weights"]
    require(scan(pack.files, pack.card(), bases=weights))
    staged = {one: parts.store.stage(path, ROLES[one], one) for one, path in pack.files.items()}
    try:
        # What is measured is the copy that will be served.
        pack = format.check({one: found.path for one, found in staged.items()})
        found = pack_trial.try_out(
            parts, pack, evaluates=evaluates, on_progress=on_progress, cancel=cancel
        )
        if not force:
            pack_trial.refuse_worse(pack, found)
        with _alone(parts), _rows() as rows:
            model = _place(parts, pack, staged, called)
            pack = pack_model.pack_of(parts.store, model)
            rows.put(model.name, pack, Origin(), found.json() if found else {})
    finally:
        for one in staged.values():
            if not one.path.name.startswith("sha256-"):
                blobs.discard(one.path)
    return get(parts, model.name)


def remove(parts: Parts, name: str) -> Removed:
    """Take a pack out: its model, its files, its terms, its prompts, what was measured."""
    model = pack_model.get(parts, name)
    with _alone(parts), _rows() as rows:
        answers_now = _step_back(parts, model)
        parts.stop(model.name)
        freed = parts.store.remove(model.name)
        kept = rows.remove(model.name)
    return Removed(model.name.removesuffix(":latest"), freed, kept, answers_now)


def _step_back(parts: Parts, model: Model) -> str:
    """Let the base answer again where ``model`` is the chat model of the settings; its name."""
    chosen = parts.config["models.chat"]
    if not chosen or names.is_reference(chosen) or names.normalize(chosen) != model.name:
        return ""
    base = model.made.parent if model.made else ""
    if parts.config.source("models.chat") == "file":
        wanted = None if base == setting("models.chat").default else base
        settings_file.write(parts.config.file, {"models.chat": wanted})
        parts.config.take(parts.config.fresh(), ["models.chat"])
    return str(parts.config["models.chat"])


def evaluate(
    parts: Parts,
    name: str,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> InstalledPack:
    """Measure an installed pack again, as it answers now. UsageError without questions."""
    here = get(parts, name)
    if not here.pack.questions:
        raise UsageError(t("packs.no_questions", pack=here.name))
    before, after = _base_engine(parts, here), parts.engine(here.model.name)
    found = pack_trial.evaluate(before, after, here.pack.questions, on_progress, cancel)
    with _rows() as rows:
        rows.evaluated(here.model.name, found.json())
    return get(parts, name)


def _base_engine(parts: Parts, here: InstalledPack) -> Any:
    """The base alone: the pack keeps its weights, also where their own name is gone or means others
    by now."""
    try:
        return parts.engine(pack_model.base_of(parts, here.pack).name)
    except UpdateFailedError:
        return parts.pool.engine(here.model.name)


def took_over(
    parts: Parts, model: Model, evaluation: Mapping[str, Any] | None, hub: str = ""
) -> None:
    """Write down that ``model``, a pack, was made the active one of its name; ``hub`` is the
    fingerprint of where it came from."""
    with _alone(parts), _rows() as rows:
        pack = pack_model.pack_of(parts.store, model)
        rows.put(model.name, pack, replace(origin_of(model), hub=hub), evaluation)


def origin_of(model: Model) -> Origin:
    """Where the pack that made ``model`` came from, as far as the model says."""
    reference = model.source.removeprefix(HUB)
    if reference == model.source:
        return Origin()
    publisher, _, item = reference.rpartition("@")[0].partition("/")
    return Origin("", publisher, item)


def _place(parts: Parts, pack: Pack, staged: Mapping[str, StagedFile], called: str) -> Model:
    """Give the files their final places and list the model; both with the store's lock held, so
    that nobody sweeps what no manifest names yet."""
    base = pack_model.base_of(parts, pack)
    files = {one: found.file for one, found in staged.items()}
    model = pack_model.model_of(base, pack, files, called, FOLDER)
    with parts.store.lock():
        parts.store.place(builtins.list(staged.values()), called)
        pack_model.activate(parts, model)
        parts.store.sweep()
    return model


def _refuse_taken(parts: Parts, called: str) -> None:
    try:
        here = parts.store.get(called)
    except ModelError:
        return
    if not is_pack(here):
        raise UsageError(t("packs.name_taken", name=called), t("packs.name_hint"), param="name")
    if here.source != FOLDER:
        raise UsageError(
            t("packs.from_hub", name=called), t("packs.from_hub_hint", name=called), param="name"
        )


def _mended(parts: Parts, rows: PackRows) -> dict[str, Row]:
    """The rows by name, after what a kill, or ``ondol rm``, left was put right."""
    here = {one.name: one for one in _models(parts)}
    known = {one.name: one for one in rows.all()}
    changed = False
    for name in known.keys() - here.keys():
        rows.remove(name)
        changed = True
    for name, model in here.items():
        file = model.file(pack_model.ROLE)
        if name not in known or (file and known[name].digest != file.digest):
            try:
                pack = pack_model.pack_of(parts.store, model)
            except OndolError:
                continue
            pack_model.mend_adapter(parts, model)
            rows.put(name, pack, origin_of(model), None)
            changed = True
    return {one.name: one for one in rows.all()} if changed else known


def _models(parts: Parts) -> builtins.list[Model]:
    return [one for one in parts.store.list() if is_pack(one)]


@contextmanager
def _alone(parts: Parts) -> Iterator[None]:
    """One process at a time changes packs."""
    with hold(paths.ensure(parts.store.directory / "locks") / "packs"):
        yield


@contextmanager
def _rows() -> Iterator[PackRows]:
    with PackRows.open() as rows:
        yield rows
