"""The models on this machine: ``blobs/sha256-…`` and ``manifests/<model>/<tag>.json``.

A model is listed exactly when its manifest, written last and atomically, and all its blobs are
here; a blob nobody refers to is deleted. Safe between processes; survives kill -9 at any point.
Raises ``ModelNotFoundError``, ``InvalidModelError``, ``StorageError``.
"""

from __future__ import annotations

import difflib
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

from ondol import paths
from ondol.errors import InvalidModelError, ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.models import blobs, manifest, names
from ondol.models.adapter_manifest import digests_in
from ondol.models.inspection import About, StagedFile, inspect
from ondol.models.locks import hold
from ondol.models.manifest import Model, ModelFile

__all__ = ["About", "BlobVanishedError", "Model", "ModelFile", "ModelStore", "StagedFile"]

STALE_PARTIAL_DAYS = 14

Models = list[Model]

_log = logging.getLogger(__name__)


class BlobVanishedError(InvalidModelError):
    """Another process removed content that was about to be used; fetching again mends it."""


class ModelStore:
    """One folder of models. Nothing is written, not even the folder, before something is added."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.blobs = blobs.Blobs(directory / "blobs")

    def list(self) -> Models:
        """Every complete model, newest first. Damaged ones are left out; see ``damaged``."""
        models = [model for _, model in self._manifests() if model and self._is_complete(model)]
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
        model = _read(path)
        if model is not None and self._is_complete(model):
            return model
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
                _link(self.blobs.path(file.digest), staging / file.name)
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
        facts = inspect(staged, about or About())
        assert facts.kind is not None
        model = Model(
            name=names.installed_name(name),
            kind=facts.kind,
            format=facts.format,
            files=tuple(s.file for s in staged),
            modified_at=datetime.now(UTC),
            size_bytes=sum({s.file.digest: s.file.size_bytes for s in staged}.values()),
            family=facts.family,
            parameters=facts.parameters,
            quantization=facts.quantization,
            context_length=facts.context_length,
            embedding_length=facts.embedding_length,
            licence=facts.licence,
            source=facts.source,
            capabilities=(manifest.CAPABILITIES[facts.kind],),
        )
        model = manifest.sealed(model)
        with self.lock():
            for part in staged:
                if not part.path.exists() and not self.blobs.has(part.file.digest):
                    raise BlobVanishedError(t("models.vanished", name=model.name))
                self.blobs.place(part.path, part.file.digest)
            self._write(model)
            self.sweep()
        if len(model.files) > 1:
            # Now rather than on first use, so that a store may be mounted read-only later.
            self.directory_of(model)
        return model

    def copy(self, source: str, destination: str) -> Model:
        """Give a model a second name. Takes no space."""
        target = names.normalize(destination)
        if names.is_reference(target):
            raise UsageError(t("models.bad_name", name=destination), t("models.bad_name_hint"))
        with self.lock():
            model = replace(self.get(source), name=target, modified_at=datetime.now(UTC))
            self._write(model)
            self.sweep()
        return model

    def remove(self, name: str) -> int:
        """Forget a model, damaged or not, and its adapters; the bytes freed (blobs that others use
        stay)."""
        wanted = names.installed_name(name)
        path = self._manifest_path(wanted)
        if not path.exists():
            raise self._not_found(wanted)
        with self.writing(path), self.lock():
            try:
                path.unlink()
            except FileNotFoundError:
                raise self._not_found(wanted) from None
            _sync(path.parent)
            shutil.rmtree(self.adapters_directory(wanted), ignore_errors=True)
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

    def _manifest_path(self, name: str) -> Path:
        model, tag = (quote(part, safe="") for part in names.split(name))
        return self.directory / "manifests" / model / f"{tag}.json"

    def _manifests(self) -> Iterator[tuple[Path, Model | None]]:
        for path in sorted((self.directory / "manifests").glob("*/*.json")):
            yield path, _read(path)

    def _is_complete(self, model: Model) -> bool:
        return all(self.blobs.has(f.digest, f.size_bytes) for f in model.files)

    def _write(self, model: Model) -> None:
        path = self._manifest_path(model.name)
        if not path.exists():
            # What a removal that was killed may have left is not the new model's.
            shutil.rmtree(self.adapters_directory(model.name), ignore_errors=True)
        self.write(path, manifest.to_json(model))

    def write(self, path: Path, content: bytes) -> None:
        """Write a manifest: wholly or not at all, and after its blobs. Call with the lock held."""
        temporary = path.with_suffix(".tmp")
        with self.writing(path):
            paths.ensure(path.parent)
            _sync(self.blobs.directory)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync(path.parent)

    def sweep(self) -> int:
        """Delete what no manifest refers to. Call with the lock held.

        A damaged manifest still protects the blobs it mentions; an unreadable one, all of them.
        """
        in_use: set[str] = set()
        try:
            for path in (self.directory / "manifests").glob("*/*.json"):
                text = path.read_text(encoding="utf-8", errors="replace")
                in_use.update(manifest.DIGEST.findall(text))
            for path in (self.directory / "adapters").glob("*/*/*.json"):
                in_use.update(digests_in(path))
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


def _read(path: Path) -> Model | None:
    try:
        return manifest.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("manifest %s skipped: %s", path.name, error)
        return None


def _link(blob: Path, destination: Path) -> None:
    """A hard link, or a symbolic one where the file system has no hard links."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    try:
        destination.hardlink_to(blob)
    except FileExistsError:
        return
    except OSError:
        destination.symlink_to(blob.absolute())


def _sync(directory: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
