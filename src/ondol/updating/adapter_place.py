"""The releases of an adapter: manifests under ``releases/<model>/<tag>/adapters/<name>/``, one a
version; the one in ``adapters/`` is active, and its ``trained_on`` says which release it is.

Where it answers for its model, the owner's gate judges a new release first, and one row names the
digest of its file before the rename: the row counts from that rename on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ondol.errors import InvalidModelError, ModelError, UpdateFailedError, UsageError
from ondol.hub.release import Release, ReleaseFile
from ondol.i18n import t
from ondol.models import adapter_manifest, blobs, reading
from ondol.models.activations import Chosen
from ondol.models.adapter_fit import check_fit
from ondol.models.adapter_manifest import CANDIDATE, Adapter
from ondol.models.inspection import StagedFile
from ondol.models.manifest import Model, ModelFile
from ondol.parts import Parts
from ondol.personal import activating, gating
from ondol.personal.gating import EVALUATION
from ondol.updating import trial
from ondol.updating.installs import Install
from ondol.updating.model_place import base_of, not_kept
from ondol.updating.switching import LOCAL, RELEASE, Progress, Tell, Tried

MADE = "made"
"""In ``trained_on``: what the publisher says of its training."""
CARD = "card"
"""In ``evaluation``: what the publisher measured. Never the owner's own verdict."""


class AdapterPlace:
    """The place of one adapter, which need not be here yet."""

    def __init__(self, parts: Parts, row: Install) -> None:
        self._parts = parts
        self._row = row
        self._store = parts.store
        self._model, _, self._name = row.name.rpartition(":")
        self._folder = parts.store.releases_directory(self._model, self._name)

    def active(self) -> str:
        here = self._active()
        if here is None:
            return ""
        reference, _, version = str(here.trained_on.get(RELEASE, "")).rpartition("@")
        return version if reference == self._row.reference else LOCAL

    def kept(self) -> list[str]:
        found = [path.stem for path in reading.files_in(self._folder) if self._whole(path.stem)]
        active = self.active()
        return [*found, active] if active and active not in found else found

    def paths(self) -> dict[str, list[Path]]:
        return {}  # adapters are small: they come whole

    def path(self, file: ReleaseFile) -> Path | None:
        has = self._store.blobs.has(file.digest, file.size_bytes)
        return self._store.blobs.path(file.digest) if has else None

    def partial(self, file: ReleaseFile) -> Path:
        self._store.blobs.prepare()
        # Its own of each item: what is verified here is written to by nobody else's fetch.
        return self._store.blobs.partial(f"hub-{self._row.mark}-{file.hex}")

    def refuses(self, release: Release, *, replace: bool) -> None:
        answers = self._name == self._parts.config["answer.adapter"]
        if answers or self._parts.adapters.ships(self._name):
            # It would answer from documents at once, and nobody had measured it.
            raise UsageError(
                t("updating.adapter_name", name=self._name),
                t("updating.name_taken_hint"),
                param="name",
            )
        here = self._active()
        if here is not None and self.active() == LOCAL and (here.private or not replace):
            # What learned from its owner is not kept as a release, so it is never replaced.
            hint = "name_taken_hint" if here.private else "model_here_hint"
            told = t("updating.model_here", name=self._row.name)
            param = "name" if here.private else "replace"
            raise UsageError(told, t(f"updating.{hint}"), param=param)
        self._base(release)

    def stale(self, release: Release) -> tuple[str, ...]:
        return ()

    def stage(self, release: Release, files: Mapping[str, Path]) -> None:
        base, card, file = self._base(release), release.card, adapter_file(release)
        path = files[file.name]
        bases = [self._store.blobs.path(one.digest) for one in base.files if one.role == "weights"]
        shape = check_fit(path, bases, file.name, base.name)
        adapter = Adapter(
            name=self._name,
            model=base.name,
            base_digest=card.base_digest,
            digest=file.digest,
            size_bytes=file.size_bytes,
            template=card.template_digest,
            r=shape.r,
            lora_alpha=shape.lora_alpha,
            target_modules=shape.target_modules,
            created_at=datetime.now(UTC),
            trained_on={RELEASE: release.reference, MADE: dict(card.training)},
            evaluation={CARD: dict(card.evaluation)},
            languages=card.languages,
            description=card.description,
            abstention_bias=_number(card.training.get("abstention_bias")),
        )
        staged = StagedFile(ModelFile("adapter", file.name, file.digest, file.size_bytes), path)
        with self._store.lock():
            self._store.place([staged], self._row.name)
            self._keep(str(release.version), adapter)

    def try_out(self, version: str, tell: Tell) -> Tried:
        adapter = self._get(version)
        trial.try_adapter(self._parts, adapter, self._store.blobs.path(adapter.digest), tell)
        if self._name not in self._parts.kept.activations.chosen(self._model).names:
            return Tried()
        return self._judge(version, adapter, tell)

    def switch(self, version: str, *, verify: bool) -> None:
        adapter = self._get(version)
        path = self._store.blobs.path(adapter.digest)
        if verify and blobs.digest_of(path) != adapter.digest:
            raise blobs.mismatch(self._row.name)
        here = self._active()
        if here is not None and not here.private:
            # As it is now: its owner's gate may have judged it since it came.
            with self._store.lock():
                self._keep(self.active(), here)
        chosen = self._parts.kept.activations.chosen(self._model)
        if chosen.digests.get(self._name, adapter.digest) != adapter.digest:
            activating.update(self._parts, self._model, self._chosen(adapter, chosen))
        with self._store.lock():
            if not self._store.blobs.has(adapter.digest, adapter.size_bytes):
                raise not_kept(self._row, version, self.kept())
            file = self._store.adapters_directory(self._model) / f"{self._name}.json"
            self._store.write(file, adapter_manifest.to_json(adapter))

    def drop(self, version: str) -> None:
        with self._store.lock():
            (self._folder / f"{version}.json").unlink(missing_ok=True)
            self._store.sweep()

    def _judge(self, version: str, adapter: Adapter, tell: Tell) -> Tried:
        """Through the owner's gate, as a candidate beside what else answers."""
        parts, name = self._parts, self._name + CANDIDATE
        now = parts.kept.activations.chosen(self._model)
        others = {one: scale for one, scale in now.chat.items() if one != self._name}
        beside = replace(now, chat=others) if others else Chosen()
        candidate = parts.adapters.add(
            self._store.blobs.path(adapter.digest),
            name=name,
            model=self._model,
            base_digest=adapter.base_digest,
            template=adapter.template,
            trained_on=adapter.trained_on,
            evaluation=adapter.evaluation,
            languages=adapter.languages,
            description=adapter.description,
            abstention_bias=adapter.abstention_bias,
        )
        try:
            samples = parts.kept.samples.all(held_out=True)
            verdict = gating.judge(
                parts,
                candidate,
                samples,
                on_progress=lambda done, total: tell(Progress("gate", done, total)),
                beside=beside,
            )
        finally:
            parts.adapters.remove(self._model, name)
        told = verdict.json()
        for part in ("chat", "grounded", "digests"):
            told[part] = {self._name if k == name else k: v for k, v in told[part].items()}
        if not verdict.activates:
            reasons = " ".join(verdict.reasons)
            raise UpdateFailedError(
                t("updating.gate_refused", name=self._row.name, version=version, reasons=reasons),
                t("updating.gate_refused_hint", name=self._row.name),
            )
        with self._store.lock():
            judged = replace(adapter, evaluation={**adapter.evaluation, EVALUATION: told})
            self._keep(version, judged)
        # Of these very adapters, as ``activating.adopt`` has it.
        activating.recalibrate(parts, self._model, told["grounded"], verdict)
        return Tried(told, tuple(verdict.notes))

    def _chosen(self, adapter: Adapter, now: Chosen) -> Chosen:
        """What answers with ``adapter`` in the place of the one in use: as it was measured; the
        model without it where it was not."""
        told = adapter.evaluation.get(EVALUATION)
        others = {name: digest for name, digest in now.digests.items() if name != self._name}
        if isinstance(told, Mapping) and told.get("activates") is True:
            same = {k: v for k, v in told["digests"].items() if k != self._name} == others
            if same and told["digests"].get(self._name) == adapter.digest:
                return Chosen(dict(told["chat"]), dict(told["grounded"]), dict(told["digests"]))
            return replace(now, digests={**others, self._name: adapter.digest})
        return Chosen(_without(now.chat, self._name), _without(now.grounded, self._name), others)

    def _active(self) -> Adapter | None:
        file = self._store.adapters_directory(self._model) / f"{self._name}.json"
        found = adapter_manifest.read_or_none(file)
        if found is None or not (found.private or self._has(found)):
            return None
        try:
            self._store.get(self._model)
        except ModelError:
            return None
        return found

    def _base(self, release: Release) -> Model:
        """The model that it goes on; UpdateFailedError unless that has the weights it needs."""
        card = release.card
        try:
            model = self._store.get(self._model)
            weights = model.file("weights")
        except ModelError:
            model, weights = None, None
        if model is None or weights is None or weights.digest != card.base_digest:
            raise no_base(release)
        return model

    def _keep(self, version: str, adapter: Adapter) -> None:
        self._store.write(self._folder / f"{version}.json", adapter_manifest.to_json(adapter))

    def _get(self, version: str) -> Adapter:
        found = self._whole(version)
        if found is None:
            raise not_kept(self._row, version, self.kept())
        return found

    def _whole(self, version: str) -> Adapter | None:
        try:
            found = adapter_manifest.read(self._folder / f"{version}.json")
        except (OSError, ValueError):
            return None
        return found if self._has(found) else None

    def _has(self, adapter: Adapter) -> bool:
        return self._store.blobs.has(adapter.digest, adapter.size_bytes)


def adapter_file(release: Release) -> ReleaseFile:
    """The one file of role "adapter"; InvalidModelError."""
    found = [file for file in release.files if file.role == "adapter"]
    if len(found) != 1:
        raise InvalidModelError(t("updating.no_adapter_file", release=release.reference))
    return found[0]


def full_name(parts: Parts, release: Release, name: str) -> str:
    """What the adapter of ``release`` is called here, with ``name`` as its own name or the card's;
    UpdateFailedError where the model that it was made for is not here."""
    base = base_of(parts, release.card.base_digest, release.card.base_model)
    if base is None:
        raise no_base(release)
    own = name or release.card.name.rpartition(":")[2]
    own = own.removeprefix(f"{base.name}:").lower()
    # It becomes the name of files, and a candidate's is longer.
    if not adapter_manifest.NAME.fullmatch(own + CANDIDATE):
        raise UsageError(
            t("adapters.bad_name", name=own), t("adapters.bad_name_hint"), param="name"
        )
    return f"{base.name}:{own}"


def no_base(release: Release) -> UpdateFailedError:
    model = release.card.base_model or "?"
    return UpdateFailedError(
        t("updating.no_base", release=release.reference, model=model),
        t("updating.no_base_hint", digest=release.card.base_digest.partition(":")[2][:12]),
    )


def _without(scales: Mapping[str, float], name: str) -> dict[str, float]:
    return {one: scale for one, scale in scales.items() if one != name}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and abs(value) < 100 else 0.0
