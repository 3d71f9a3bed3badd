"""The releases of a model: manifests under ``releases/<model>/<tag>/versions/``, one a version,
that keep their blobs; the one in ``manifests/`` is active, and its ``source`` says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ondol.errors import (
    HubNotFoundError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    UpdateFailedError,
    UsageError,
)
from ondol.hub.release import Release, ReleaseFile
from ondol.i18n import t
from ondol.models import blobs, manifest, reading
from ondol.models.inspection import About, StagedFile, described
from ondol.models.manifest import Model, ModelFile
from ondol.parts import Parts
from ondol.updating import trial
from ondol.updating.installs import NO_VERSION, Install
from ondol.updating.switching import LOCAL, ORIGIN, Tell, Tried

BESIDE = frozenset({"origin", "readme", "licence", "evaluation"})
"""Roles of files that say something of a model or an adapter and are no part of it."""


class ModelPlace:
    """The place of one model, which need not be here yet."""

    def __init__(self, parts: Parts, row: Install) -> None:
        self._parts = parts
        self._row = row
        self._store = parts.store
        self._folder = self._store.releases_directory(row.name) / "versions"

    def active(self) -> str:
        model = self._active()
        if model is None:
            return ""
        reference, _, version = model.source.rpartition("@")
        return version if reference == ORIGIN + self._row.reference else LOCAL

    def kept(self) -> list[str]:
        found = [path.stem for path in reading.files_in(self._folder) if self._whole(path.stem)]
        active = self.active()
        return [*found, active] if active and active not in found else found

    def paths(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for version in self.kept():
            model = self._whole(version) or self._active()
            for file in model.files if model else ():
                found.setdefault(file.role, []).append(self._store.blobs.path(file.digest))
        return {role: list(dict.fromkeys(paths)) for role, paths in found.items()}

    def path(self, file: ReleaseFile) -> Path | None:
        has = self._store.blobs.has(file.digest, file.size_bytes)
        return self._store.blobs.path(file.digest) if has else None

    def partial(self, file: ReleaseFile) -> Path:
        self._store.blobs.prepare()
        # Its own of each item: what is verified here is written to by nobody else's fetch.
        return self._store.blobs.partial(f"hub-{self._row.mark}-{file.hex}")

    def refuses(self, release: Release, *, replace: bool) -> None:
        name = self._row.name
        active = self.active()
        if active == LOCAL and not replace and not self._had_it():
            raise UsageError(
                t("updating.model_here", name=name),
                t("updating.model_here_hint"),
                param="replace",
            )
        here = self._active()
        if here is None or not self._changes(here, release):
            return
        wanted = self._parts.config["models.embedding"]
        if here.kind == "embedding" and wanted in (here.name, name):
            # A library keeps to the model that its vectors are of, by name.
            raise UpdateFailedError(
                t("updating.embedder", name=name), t("updating.embedder_hint", name=name)
            )

    def stale(self, release: Release) -> tuple[str, ...]:
        new = {file.digest for file in release.files if file.role == "weights"}
        if self._active() is None or not new:
            return ()
        here = self._parts.adapters.list(self._row.name)
        return tuple(one.full_name for one in here if not one.stale and one.base_digest not in new)

    def stage(self, release: Release, files: Mapping[str, Path]) -> None:
        staged = [
            StagedFile(
                ModelFile(file.role, file.name, file.digest, file.size_bytes), files[file.name]
            )
            for file in installable(release)
        ]
        card = release.card
        about = About(
            family=card.architecture,
            parameters=card.parameters,
            quantization=card.quantization,
            context_length=card.context_length,
            licence=card.licence,
            source=f"{ORIGIN}{release.reference}",
        )
        model = described(self._row.name, staged, about)
        with self._store.lock():
            self._store.place(staged, self._row.name)
            self._store.write(self._file(str(release.version)), manifest.to_json(model))
        if len(model.files) > 1:
            self._store.directory_of(model)

    def try_out(self, version: str, tell: Tell) -> Tried:
        return trial.try_model(self._parts, self._get(version), self._active(), tell)

    def switch(self, version: str, *, verify: bool) -> None:
        model = self._get(version)
        if verify:
            check_bytes(self._store.blobs, model.files)
        here = self._active()
        with self._store.lock():
            if here is not None and self.active() == LOCAL:
                self._store.write(self._file(LOCAL), manifest.to_json(here))
            if not self._is_complete(model):
                raise self._not_kept(version)
            self._activate(replace(model, name=self._row.name, modified_at=datetime.now(UTC)))

    def _activate(self, model: Model) -> None:
        """The switch itself, one rename; the store is locked."""
        self._store.put(model)

    def drop(self, version: str) -> None:
        with self._store.lock():
            self._file(version).unlink(missing_ok=True)
            self._store.sweep()

    def _active(self) -> Model | None:
        try:
            return self._store.get(self._row.name)
        except (ModelNotFoundError, InvalidModelError):
            return None

    def _changes(self, here: Model, release: Release) -> bool:
        """Whether vectors would be others: by any of what makes them."""
        roles = {"weights", "graph", "tokenizer"}
        old = {(one.role, one.digest) for one in here.files if one.role in roles}
        return old != {(one.role, one.digest) for one in release.files if one.role in roles}

    def _get(self, version: str) -> Model:
        found = self._whole(version)
        if found is None:
            raise self._not_kept(version)
        return found

    def _whole(self, version: str) -> Model | None:
        try:
            found = manifest.read(self._file(version))
        except (OSError, ValueError):
            return None
        return found if self._is_complete(found) else None

    def _is_complete(self, model: Model) -> bool:
        return all(self._store.blobs.has(one.digest, one.size_bytes) for one in model.files)

    def _had_it(self) -> bool:
        """Whether this very item had the name, and what its owner made gave way to it."""
        own = f"{ORIGIN}{self._row.reference}@"
        models = map(self._whole, (path.stem for path in reading.files_in(self._folder)))
        had = any(model is not None and model.source.startswith(own) for model in models)
        return had and self._row.floor > NO_VERSION and self._file(LOCAL).exists()

    def _file(self, version: str) -> Path:
        return self._folder / f"{version}.json"

    def _not_kept(self, version: str) -> HubNotFoundError:
        return not_kept(self._row, version, self.kept())


def installable(release: Release) -> list[ReleaseFile]:
    """The files of ``release`` that are taken in: of a pack, all."""
    is_pack = release.card.kind == "pack"
    return [file for file in release.files if is_pack or file.role not in BESIDE]


def check_bytes(kept: blobs.Blobs, files: tuple[ModelFile, ...]) -> None:
    """Read the files again; InvalidModelError for one that is not what it was."""
    for file in files:
        if blobs.digest_of(kept.path(file.digest)) != file.digest:
            raise blobs.mismatch(file.name)


def not_kept(row: Install, version: str, kept: list[str]) -> HubNotFoundError:
    return HubNotFoundError(
        t("updating.not_kept", name=row.name, version=version),
        t("updating.not_kept_hint", versions=", ".join(kept) or "–"),
    )


def base_of(parts: Parts, digest: str, wanted: str) -> Model | None:
    """The installed chat model with the weights ``digest``: the one called ``wanted`` first, then
    the configured one."""
    found = [
        model
        for model in parts.store.list()
        if model.kind == "chat" and (file := model.file("weights")) and file.digest == digest
    ]
    order = [wanted, parts.config["models.chat"]]
    rank = {name: place for place, name in reversed(list(enumerate(order)))}
    return min(
        found, key=lambda model: (rank.get(model.name, len(order)), model.name), default=None
    )


__all__ = ["LOCAL", "ModelError", "ModelPlace", "base_of", "check_bytes", "installable"]
