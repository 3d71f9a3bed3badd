"""The adapters on this machine: ``adapters/<model>/<tag>/<name>.json``, blobs beside the models'.

An adapter is listed exactly when its manifest, written last and atomically, its blob and its model
are here. One that came with Ondol belongs to every installed model with the weights it was made
for. Raises ``AdapterNotFoundError``, ``InvalidModelError``, ``StorageError``, ``UsageError``.
"""

from __future__ import annotations

import difflib
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import (
    AdapterNotFoundError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    UsageError,
)
from ondol.i18n import t
from ondol.models import adapter_manifest, reading
from ondol.models.adapter_files import AdapterFiles
from ondol.models.adapter_fit import check_fit
from ondol.models.adapter_manifest import NAME, STYLE, Adapter, as_model, read_or_none
from ondol.models.store import Model, ModelStore

if TYPE_CHECKING:
    from ondol.models.private_adapters import PrivateAdapters

__all__ = ["SHIPPED", "Adapter", "AdapterStore", "as_model"]

SHIPPED = Path(__file__).with_name("shipped")

Adapters = list[Adapter]


class AdapterStore:
    """The adapters of the models in ``store``, those in the folder ``shipped`` among them; the
    files of those that learned from their owner go to ``private``, where that is given."""

    def __init__(
        self,
        store: ModelStore,
        shipped: Path | None = SHIPPED,
        private: Callable[[], PrivateAdapters] | None = None,
    ) -> None:
        self._store = store
        self._files = AdapterFiles(store, shipped, private)

    def list(self, model: str | None = None) -> Adapters:
        """The adapters of ``model``, or of every model, by name; stale ones too."""
        models = self._store.list() if model is None else [self._store.get(model)]
        found = [adapter for one in models for adapter in self._of(one)]
        return sorted(found, key=lambda one: one.model)

    def usable(self, model: Model) -> Sequence[Adapter]:
        """Those of ``model`` that can be served."""
        return [adapter for adapter in self._of(model) if not adapter.stale]

    def served(self, model: Model) -> Sequence[tuple[Adapter, Path]]:
        """Those with their files. One whose file is gone is left out: it is nobody else's loss."""
        found = ((one, self._files.path(one)) for one in self.usable(model))
        return [(one, path) for one, path in found if path is not None]

    def get(self, model: str, name: str) -> Adapter:
        """An adapter, perhaps a stale one; AdapterNotFoundError names the nearest ones."""
        here = self.list(model)
        named = [adapter for adapter in here if adapter.name == name]
        if named:
            return min(named, key=lambda adapter: adapter.stale)
        raise _not_found(self._store.get(model).name, name, [adapter.name for adapter in here])

    def find(self, full_name: str) -> Adapter:
        """The adapter of that ``model:adapter``, perhaps a stale one."""
        model, _, name = full_name.strip().rpartition(":")
        if not model:
            raise UsageError(
                t("adapters.bad_full_name", name=full_name), t("adapters.bad_full_name_hint")
            )
        return self.get(model, name.lower())

    def resolve(self, name: str) -> tuple[Model, Adapter | None]:
        """What a name wherever a model's may stand means: a model, or a model with an adapter.

        The exact name of a model wins; else the part behind the last colon is an adapter of what
        stands before it. A stale adapter is not found.
        """
        try:
            return self._store.get(name), None
        except (ModelNotFoundError, UsageError) as error:
            base, _, adapter = name.strip().rpartition(":")
            try:
                model = self._store.get(base)
                found = self.get(base, adapter.lower())
            except (ModelNotFoundError, AdapterNotFoundError, UsageError) as other:
                # A name that can only mean an adapter is told about that; "llama:1b" is a model.
                raise (other if isinstance(error, UsageError) and base else error) from None
        if found.stale:
            why = "outdated" if found.is_outdated else "stale"
            raise AdapterNotFoundError(
                t(f"adapters.{why}", name=found.full_name, model=model.name),
                t(f"adapters.{why}_hint", model=model.name, name=found.full_name),
            )
        return model, found

    def refuse(self, name: str, deed: str) -> None:
        """UsageError where only a model will do, as to copy it, and ``name`` is one with an
        adapter; ``deed`` is what cannot be done."""
        try:
            model, adapter = self.resolve(name)
        except ModelError:
            return
        if adapter is not None:
            raise UsageError(
                t(f"adapters.only_models_{deed}", name=adapter.full_name, model=model.name),
                t("adapters.only_models_hint"),
                param="model",
            )

    def path(self, adapter: Adapter) -> Path:
        """The adapter's file; that of a private one is in memory, for as long as the house is
        open."""
        found = self._files.path(adapter)
        if found is None:
            raise _not_found(adapter.model, adapter.name, ())
        return found

    def add(
        self,
        file: Path,
        *,
        name: str,
        model: str,
        base_digest: str = "",
        template: str = "",
        trained_on: Mapping[str, Any] | None = None,
        evaluation: Mapping[str, Any] | None = None,
        languages: Sequence[str] = (),
        description: str = "",
        abstention_bias: float = 0.0,
    ) -> Adapter:
        """List a GGUF LoRA as ``model:name``, replacing what had that name. ``base_digest``, where
        it is known, must be that of the weights here."""
        if not NAME.fullmatch(name):
            raise UsageError(
                t("adapters.bad_name", name=name), t("adapters.bad_name_hint"), param="name"
            )
        base = self._store.get(model)
        weights = _weights_digest(base)
        if not weights or base.kind != "chat":
            raise UsageError(t("adapters.no_base", model=base.name), param="model")
        if base_digest and base_digest != weights:
            raise InvalidModelError(
                t("adapters.stale", name=f"{base.name}:{name}", model=base.name),
                t("adapters.stale_hint", model=base.name),
            )
        parts = [self._store.blobs.path(f.digest) for f in base.files if f.role == "weights"]
        about = trained_on or {}
        taken = self._files.take(
            file,
            lambda path: check_fit(path, parts, file.name, base.name),
            private=about.get("task") == STYLE,
        )
        adapter = Adapter(
            name=name,
            model=base.name,
            base_digest=weights,
            digest=taken.digest,
            size_bytes=taken.size_bytes,
            template=template,
            r=taken.shape.r,
            lora_alpha=taken.shape.lora_alpha,
            target_modules=taken.shape.target_modules,
            created_at=datetime.now(UTC),
            trained_on=about,
            evaluation=evaluation or {},
            languages=tuple(languages),
            description=description,
            abstention_bias=abstention_bias,
            private=taken.is_private,
        )
        with self._store.lock():
            try:
                self._store.get(base.name)
            except ModelError:
                taken.discard()
                raise
            taken.place()
            path = self._store.adapters_directory(base.name) / f"{name}.json"
            replaced = read_or_none(path)
            self._store.write(path, adapter_manifest.to_json(adapter))
            self._store.sweep()
        self._forget([replaced] if replaced else [])
        return adapter

    def outdate(self, digest: str) -> Sequence[str]:
        """Say of every adapter in the file ``digest``, or merged from it, that what it learned from
        was forgotten; returns their full names."""
        found = []
        for model in self._store.list():
            for adapter in list(self._own(model.name)):
                if not adapter.holds(digest):
                    continue
                at = datetime.now(UTC).isoformat(timespec="seconds")
                trained_on = {**adapter.trained_on, adapter_manifest.FORGOTTEN_AT: at}
                path = self._store.adapters_directory(model.name) / f"{adapter.name}.json"
                with self._store.lock():
                    changed = replace(adapter, trained_on=trained_on)
                    self._store.write(path, adapter_manifest.to_json(changed))
                self._store.gone(model.digest)
                found.append(adapter.full_name)
        return found

    def remove(self, model: str, name: str) -> int:
        """Forget an adapter; the bytes freed. One's own goes first, even a stale one; one that came
        with Ondol stays: UsageError."""
        adapter = self.get(model, name)
        if all(one.shipped for one in self.list(model) if one.name == name):
            raise UsageError(
                t("adapters.shipped", name=adapter.full_name), t("adapters.shipped_hint")
            )
        path = self._store.adapters_directory(adapter.model) / f"{name}.json"
        with self._store.writing(path), self._store.lock():
            gone = read_or_none(path)
            path.unlink(missing_ok=True)
            shutil.rmtree(self._store.releases_directory(adapter.model, name), ignore_errors=True)
            freed_bytes = self._store.sweep()
        self._store.gone(self._store.get(model).digest)
        return freed_bytes + self._forget([gone] if gone else [])

    def forget_private(self, model: str) -> None:
        """Erase the files of those of ``model``, which is about to be removed, that learned from
        their owner: they lie in the owner's database."""
        self._files.forget(self._own(self._store.get(model).name))

    def _forget(self, gone: Sequence[Adapter]) -> int:
        """Erase the private files of ``gone`` that no other adapter has; the bytes freed."""
        if not any(one.private for one in gone):
            return 0
        own = [one for model in self._store.list() for one in self._own(model.name)]
        here = {one.digest for one in own if one.private}
        return self._files.forget(one for one in gone if one.digest not in here)

    def ships(self, name: str) -> bool:
        """Whether an adapter of that name came with Ondol, for whatever model."""
        return any(adapter.name == name for _, adapter in self._files.shipped())

    def models(self) -> Sequence[Model]:
        """Every adapter that can be served, as the model that it makes of its base."""
        return [
            as_model(model, adapter)
            for model in self._store.list()
            for adapter in self.usable(model)
        ]

    def _of(self, model: Model) -> Sequence[Adapter]:
        weights = _weights_digest(model)
        if not weights:
            return []
        own = [
            replace(
                adapter,
                model=model.name,
                stale=adapter.base_digest != weights or adapter.is_outdated,
            )
            for adapter in self._own(model.name)
        ]
        # One's own stands before the one of that name that came with Ondol, while it fits.
        taken = {adapter.name for adapter in own if not adapter.stale}
        shipped = [
            replace(adapter, model=model.name, shipped=True)
            for _, adapter in self._files.shipped()
            if adapter.base_digest == weights and adapter.name not in taken
        ]
        return sorted([*own, *shipped], key=lambda one: (one.name, one.stale))

    def _own(self, model: str) -> Iterator[Adapter]:
        for path in reading.files_in(self._store.adapters_directory(model)):
            adapter = read_or_none(path)
            if adapter and self._files.has(adapter):
                yield replace(adapter, name=path.stem)


def _weights_digest(model: Model) -> str:
    weights = model.file("weights")
    return weights.digest if weights and model.format == "gguf" else ""


def _not_found(model: str, name: str, here: Sequence[str]) -> AdapterNotFoundError:
    near = difflib.get_close_matches(name, here, n=3, cutoff=0.5)
    message = t("adapters.not_here", model=model, name=name)
    if near:
        message += " " + t("models.near", names=", ".join(near))
    return AdapterNotFoundError(message, t("adapters.not_here_hint", model=model))
