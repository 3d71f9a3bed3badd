"""The models on this machine: ``blobs/sha256-…`` and ``manifests/<model>/<tag>.json``.

A model is listed exactly when its manifest, written last and atomically, and all its blobs are
here; a blob nobody refers to is deleted. Safe between processes; survives kill -9 at any point.
Raises ``ModelNotFoundError``, ``InvalidModelError``, ``StorageError``.
"""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from ondol import paths
from ondol.errors import InvalidModelError, ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.models import blobs, manifest, names, tuned
from ondol.models.abilities import able
from ondol.models.adapter_manifest import digests_in
from ondol.models.inspection import About, StagedFile, described
from ondol.models.locks import hold
from ondol.models.manifest import Model, ModelFile

__all__ = ["About", "BlobVanishedError", "Model", "ModelFile", "ModelStore", "StagedFile"]

STALE_PARTIAL_DAYS = 14

Models = list[Model]


class BlobVanishedError(InvalidModelError):
    """Another process removed content that was about to be used; fetching again mends it."""


class ModelStore:
    """One folder of models. Nothing is written, not even the folder, before something is added.
    ``gone`` is told the digest of a model that went, or lost an adapter ("": nobody knows),
    ``unsaid`` where a model went, or changed, that begins its chats with words of its own."""

    def __init__(
        self,
        directory: Path,
        gone: Callable[[str], object] = lambda digest: None,
        unsaid: Callable[[], object] = lambda: None,
    ) -> None:
        self.directory, self.gone, self.unsaid = directory, gone, unsaid
        self.blobs = blobs.Blobs(directory / "blobs")

    def list(self) -> Models:
        """Every complete model, newest first. Damaged ones are left out; see ``damaged``."""
        found = [model for _, model in self._manifests() if model and self._is_complete(model)]
        models = [self._able(model) for model in found]
        return sorted(models, key=lambda m: (m.modified_at, m.name), reverse=True)

    def damaged(self) -> Sequence[Path]:
        """Manifests that cannot be read, or whose blobs are not all here."""
        return [
            path
            for path, model in self._manifests()
            if model is None or not self._is_complete(model)
        ]

    def get(self, name: str) -> Model:
        """The model called ``name``; ModelNotFoundError names the nearest ones."""
        wanted = names.installed_name(name)
        path = self._manifest_path(wanted)
        model = manifest.readable(path)
        if model is not None and self._is_complete(model):
            return self._able(model)
        if path.exists():
            raise InvalidModelError(
                t("models.damaged", name=wanted), t("models.damaged_hint", name=wanted)
            )
        raise self._not_found(wanted)

    def path(self, model: Model, role: str = "weights") -> Path:
        """The file of ``role``. Of weights in several parts: the first, beside the others."""
        found = [f for f in model.files if f.role == role]
        if not found:
            raise InvalidModelError(t("models.no_such_file", name=model.name, role=role))
        if len(found) > 1:
            return self.directory_of(model) / found[0].name
        return self.blobs.path(found[0].digest)

    def directory_of(self, model: Model) -> Path:
        """A folder in which the model's files stand under their own names. Do not write to it."""
        folder = self.directory / "links" / model.digest.replace(":", "-")
        if folder.is_dir():
            return folder
        with self.writing(folder), self.lock():
            if not self._is_complete(model):
                raise self._not_found(model.name)
            staging = folder.with_name(f"making-{uuid4().hex}")
            for file in model.files:
                blobs.link(self.blobs.path(file.digest), staging / file.name)
            if not folder.is_dir():
                staging.rename(folder)
        return folder

    def stage(
        self,
        path: Path,
        role: str,
        name: str,
        *,
        digest: str = "",
        on_bytes: Callable[[int], None] = lambda done: None,
    ) -> StagedFile:
        """Verify that ``path`` has ``digest`` (or learn it), ready for ``add``.

        A file inside the store is moved by ``add``; one from elsewhere is copied in now.
        """
        with self.writing(path):
            self.blobs.prepare()
            if path.parent != self.blobs.directory:
                self.blobs.check_space(path.stat().st_size)
                copy = self.blobs.partial()
                blobs.copy(path, copy, lambda done: None)
                path = copy
            found = blobs.digest_of(path, on_bytes)
            if digest and found != digest:
                blobs.discard(path)
                raise blobs.mismatch(name)
            return StagedFile(ModelFile(role, name, found, path.stat().st_size), path)

    def add(self, name: str, staged: Sequence[StagedFile], about: About | None = None) -> Model:
        """List verified files as the model ``name``, replacing what had that name."""
        model = described(names.installed_name(name), staged, about or About())
        with self.lock():
            self.place(staged, model.name)
            self.put(model)
            self.sweep()
        if len(model.files) > 1:
            # Now rather than on first use, so that a store may be mounted read-only later.
            self.directory_of(model)
        return model

    def copy(self, source: str, destination: str, **changes: Any) -> Model:
        """Give a model a second name, with ``changes`` of its fields. Takes no space."""
        target = names.normalize(destination)
        if names.is_reference(target):
            raise UsageError(t("models.bad_name", name=destination), t("models.bad_name_hint"))
        with self.lock():
            model = replace(self.get(source), name=target, modified_at=datetime.now(UTC), **changes)
            model = manifest.sealed(model) if changes else model
            self.put(model)
            self.sweep()
        return model

    def remove(self, name: str) -> int:
        """Forget a model, damaged or not, and its adapters; the bytes freed (blobs that others use
        stay)."""
        wanted = names.installed_name(name)
        path = self._manifest_path(wanted)
        if not path.exists():
            raise self._not_found(wanted)
        was = manifest.readable(path)
        with self.writing(path), self.lock():
            try:
                path.unlink()
            except FileNotFoundError:
                raise self._not_found(wanted) from None
            blobs.sync(path.parent)
            for folder in (self.adapters_directory(wanted), self.releases_directory(wanted)):
                shutil.rmtree(folder, ignore_errors=True)
            self.gone(was.digest if was else "")
            if was is None or was.made:
                # They were read by the model that it was made from, and are known under its name.
                self.unsaid()
            return self.sweep()

    def forget_stale_partials(self) -> int:
        """Delete what pulls left behind that nobody went on with for two weeks; the bytes freed."""
        return self.blobs.discard_older_than(STALE_PARTIAL_DAYS * 86_400)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time, for moments only: nothing is downloaded or hashed in here."""
        self.blobs.prepare()
        with hold(paths.ensure(self.directory) / "store.lock"):
            yield

    @contextmanager
    def writing(self, path: Path) -> Iterator[None]:
        """What goes wrong inside is told as a StorageError."""
        try:
            yield
        except OSError as error:
            raise paths.storage_error(error, path) from error

    def adapters_directory(self, name: str) -> Path:
        """Where the manifests of the adapters of the model with that canonical name are."""
        model, tag = (quote(part, safe="") for part in names.split(name))
        return self.directory / "adapters" / model / tag

    def releases_directory(self, name: str, adapter: str = "") -> Path:
        """Where the manifests of the releases are that are kept of that model and its adapters, or
        of one ``adapter``."""
        model, tag = (quote(part, safe="") for part in names.split(name))
        folder = self.directory / "releases" / model / tag
        return folder / "adapters" / adapter if adapter else folder

    def _manifest_path(self, name: str) -> Path:
        return _manifest_in(self.directory, name)

    def _manifests(self) -> Iterator[tuple[Path, Model | None]]:
        for path in sorted((self.directory / "manifests").glob("*/*.json")):
            yield path, manifest.readable(path)

    def _able(self, model: Model) -> Model:
        """``model`` with what it can do, also where it was installed by an older version."""
        weights = model.file("weights")
        return able(model, self.blobs.path(weights.digest)) if weights else model

    def _is_complete(self, model: Model) -> bool:
        return all(self.blobs.has(f.digest, f.size_bytes) for f in model.files)

    def place(self, staged: Sequence[StagedFile], name: str) -> None:
        """Give verified files of ``name`` their final places. Call with the lock held."""
        for part in staged:
            if not part.path.exists() and not self.blobs.has(part.file.digest):
                raise BlobVanishedError(t("models.vanished", name=name))
            self.blobs.place(part.path, part.file.digest)

    def put(self, model: Model) -> None:
        """List ``model``, whose blobs are here, in place of what has its name: one rename. Call
        with the lock held."""
        path = self._manifest_path(model.name)
        was = manifest.readable(path)
        if not path.exists():
            # What a removal that was killed may have left is not the new model's.
            shutil.rmtree(self.adapters_directory(model.name), ignore_errors=True)
        self.write(path, manifest.to_json(model))
        if was is not None and was.made and was.made != model.made:
            self.unsaid()

    def write(self, path: Path, content: bytes) -> None:
        """Write a manifest: wholly or not at all, and after its blobs. Call with the lock held."""
        temporary = path.with_suffix(".tmp")
        with self.writing(path):
            paths.ensure(path.parent)
            blobs.sync(self.blobs.directory)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            blobs.sync(path.parent)

    def sweep(self) -> int:
        """Delete what no manifest refers to. Call with the lock held.

        A damaged manifest still protects the blobs it mentions; an unreadable one, all of them.
        """
        in_use: set[str] = set()
        try:
            for pattern in ("manifests/*/*.json", "releases/*/*/versions/*.json"):
                for path in self.directory.glob(pattern):
                    text = path.read_text(encoding="utf-8", errors="replace")
                    in_use.update(manifest.DIGEST.findall(text))
            for pattern in ("adapters/*/*/*.json", "releases/*/*/adapters/*/*.json"):
                for path in self.directory.glob(pattern):
                    in_use.update(digests_in(path))
            in_use |= tuned.kept(self.directory, in_use)
        except OSError:
            return 0
        for folder in (self.directory / "links").glob("*"):
            if folder.name.replace("-", ":", 1) not in in_use:
                shutil.rmtree(folder, ignore_errors=True)
        return self.blobs.sweep(in_use)

    def _not_found(self, name: str) -> ModelNotFoundError:
        here = [model.name for model in self.list()]
        near = difflib.get_close_matches(name, here, n=3, cutoff=0.5)
        near += [n for n in here if names.split(n)[0] == names.split(name)[0] and n not in near]
        message = t("models.not_here", name=name)
        if near:
            message += " " + t("models.near", names=", ".join(near))
        return ModelNotFoundError(message, t("models.not_here_hint", name=name))


@lru_cache(maxsize=1024)
def _manifest_in(directory: Path, name: str) -> Path:
    # A request finds its model several times, and paths are put together slowly.
    model, tag = (quote(part, safe="") for part in names.split(name))
    return directory / "manifests" / model / f"{tag}.json"
