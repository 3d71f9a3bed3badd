"""The adapters on this machine: ``adapters/<model>/<tag>/<name>.json``, blobs beside the models'.

An adapter is listed exactly when its manifest, written last and atomically, its blob and its model
are here. One that came with Ondol belongs to every installed model with the weights it was made
for. Raises ``AdapterNotFoundError``, ``InvalidModelError``, ``StorageError``, ``UsageError``.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ondol.errors import (
    AdapterNotFoundError,
    InvalidModelError,
    ModelError,
    ModelNotFoundError,
    UsageError,
)
from ondol.i18n import t
from ondol.models import adapter_manifest, blobs
from ondol.models.adapter_fit import check_fit
from ondol.models.adapter_manifest import NAME, Adapter
from ondol.models.store import Model, ModelStore

__all__ = ["SHIPPED", "Adapter", "AdapterStore", "as_model"]

SHIPPED = Path(__file__).with_name("shipped")

_log = logging.getLogger(__name__)

Adapters = list[Adapter]


class AdapterStore:
    """The adapters of the models in ``store``; ``shipped`` is a folder of ``NAME.gguf`` files, each
    with its manifest ``NAME.json`` beside it."""

    def __init__(self, store: ModelStore, shipped: Path | None = SHIPPED) -> None:
        self._store = store
        self._shipped = shipped

    def list(self, model: str | None = None) -> Adapters:
        """The adapters of ``model``, or of every model, by name; stale ones too."""
        models = self._store.list() if model is None else [self._store.get(model)]
        found = [adapter for one in models for adapter in self._of(one)]
        return sorted(found, key=lambda one: one.model)

    def usable(self, model: Model) -> Sequence[Adapter]:
        """Those of ``model`` that can be served."""
        return [adapter for adapter in self._of(model) if not adapter.stale]

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
        """The adapter's file."""
        if not adapter.shipped:
            return self._store.blobs.path(adapter.digest)
        for file, known in self._shipped_ones():
            if known.digest == adapter.digest:
                return file
        raise _not_found(adapter.model, adapter.name, ())

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
        # Before it is copied, so that what does not fit costs nothing; the copy is what counts.
        check_fit(file, parts, file.name, base.name)
        staged = self._store.stage(file, "adapter", file.name)
        try:
            shape = check_fit(staged.path, parts, file.name, base.name)
        except InvalidModelError:
            blobs.discard(staged.path)
            raise
        adapter = Adapter(
            name=name,
            model=base.name,
            base_digest=weights,
            digest=staged.file.digest,
            size_bytes=staged.file.size_bytes,
            template=template,
            r=shape.r,
            lora_alpha=shape.lora_alpha,
            target_modules=shape.target_modules,
            created_at=datetime.now(UTC),
            trained_on=trained_on or {},
            evaluation=evaluation or {},
            languages=tuple(languages),
            description=description,
            abstention_bias=abstention_bias,
        )
        with self._store.lock():
            try:
                self._store.get(base.name)
            except ModelError:
                blobs.discard(staged.path)
                raise
            self._store.blobs.place(staged.path, adapter.digest)
            path = self._store.adapters_directory(base.name) / f"{name}.json"
            self._store.write(path, adapter_manifest.to_json(adapter))
            self._store.sweep()
        return adapter

    def outdate(self, digest: str) -> Sequence[str]:
        """Say of every adapter in the file ``digest`` that what it learned from was forgotten;
        returns their full names."""
        found = []
        for model in self._store.list():
            for adapter in list(self._own(model.name)):
                if adapter.digest != digest:
                    continue
                at = datetime.now(UTC).isoformat(timespec="seconds")
                trained_on = {**adapter.trained_on, adapter_manifest.FORGOTTEN_AT: at}
                path = self._store.adapters_directory(model.name) / f"{adapter.name}.json"
                with self._store.lock():
                    changed = replace(adapter, trained_on=trained_on)
                    self._store.write(path, adapter_manifest.to_json(changed))
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
            path.unlink(missing_ok=True)
            return self._store.sweep()

    def ships(self, name: str) -> bool:
        """Whether an adapter of that name came with Ondol, for whatever model."""
        return any(adapter.name == name for _, adapter in self._shipped_ones())

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
            for _, adapter in self._shipped_ones()
            if adapter.base_digest == weights and adapter.name not in taken
        ]
        return sorted([*own, *shipped], key=lambda one: (one.name, one.stale))

    def _own(self, model: str) -> Iterator[Adapter]:
        for path in self._store.adapters_directory(model).glob("*.json"):
            adapter = _read(path)
            if adapter and self._store.blobs.has(adapter.digest, adapter.size_bytes):
                yield replace(adapter, name=path.stem)

    def _shipped_ones(self) -> Iterator[tuple[Path, Adapter]]:
        for path in sorted(self._shipped.glob("*.json")) if self._shipped else ():
            adapter, file = _read(path), path.with_suffix(".gguf")
            if adapter and file.is_file() and file.stat().st_size == adapter.size_bytes:
                yield file, adapter


def as_model(model: Model, adapter: Adapter | None) -> Model:
    """``model`` with ``adapter``, in the form of a model: named after both, as large as both."""
    if adapter is None:
        return model
    digest = hashlib.sha256(f"{model.digest} {adapter.digest}".encode()).hexdigest()
    return replace(
        model,
        name=adapter.full_name,
        digest=f"sha256:{digest}",
        size_bytes=model.size_bytes + adapter.size_bytes,
        modified_at=adapter.created_at,
    )


def _weights_digest(model: Model) -> str:
    weights = model.file("weights")
    return weights.digest if weights and model.format == "gguf" else ""


def _not_found(model: str, name: str, here: Sequence[str]) -> AdapterNotFoundError:
    near = difflib.get_close_matches(name, here, n=3, cutoff=0.5)
    message = t("adapters.not_here", model=model, name=name)
    if near:
        message += " " + t("models.near", names=", ".join(near))
    return AdapterNotFoundError(message, t("adapters.not_here_hint", model=model))


def _read(path: Path) -> Adapter | None:
    try:
        return adapter_manifest.from_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        _log.warning("adapter manifest %s skipped: %s", path.name, error)
        return None
