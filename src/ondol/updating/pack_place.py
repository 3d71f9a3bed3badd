"""The releases of a pack: they lie and are switched as a model's do, over the weights of a base
that is here already; each is measured before it may be active.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ondol.errors import InvalidPackError, UsageError
from ondol.hub.packs import format
from ondol.hub.packs.format import Pack
from ondol.hub.release import Release, ReleaseFile
from ondol.i18n import t
from ondol.models import manifest, names
from ondol.models.inspection import StagedFile
from ondol.models.manifest import Model, ModelFile
from ondol.parts import Parts
from ondol.updating import pack_model, pack_trial, packs
from ondol.updating.installs import Install
from ondol.updating.model_place import ModelPlace, installable
from ondol.updating.pack_model import is_pack
from ondol.updating.switching import LOCAL, Progress, Tell, Tried

EVALUATION = ".evaluation"
"""Ends the name of the file that says what was measured of a version that is kept."""


class PackPlace(ModelPlace):
    """The place of one pack, which need not be here yet."""

    def __init__(self, parts: Parts, row: Install) -> None:
        super().__init__(parts, replace(row, name=names.normalize(row.name)))

    def paths(self) -> dict[str, list[Path]]:
        return {}  # their files are small: they come whole

    def refuses(self, release: Release, *, replace: bool) -> None:
        here = self._active()
        if here is not None and not is_pack(here):
            raise UsageError(
                t("packs.name_taken", name=self._row.name), t("packs.name_hint"), param="name"
            )
        if self.active() == LOCAL and not replace:
            raise UsageError(
                t("updating.model_here", name=self._row.name),
                t("updating.model_here_hint"),
                param="name",
            )
        card = release.card
        pack_model.base_named(self._parts, card.name, card.base_model, card.base_digest)

    def stale(self, release: Release) -> tuple[str, ...]:
        return ()

    def stage(self, release: Release, files: Mapping[str, Path]) -> None:
        wanted = installable(release)
        pack = format.check({one.name: files[one.name] for one in wanted})
        _refuse_other(release, pack)
        base = pack_model.base_of(self._parts, pack)
        pack_model.check_adapter(self._parts, base, pack)
        listed = {one.name: _listed(one) for one in wanted}
        staged = [StagedFile(listed[one.name], files[one.name]) for one in wanted]
        source = f"{packs.HUB}{release.reference}"
        model = pack_model.model_of(base, pack, listed, self._row.name, source)
        with self._store.lock():
            self._store.place(staged, self._row.name)
            self._store.write(self._file(str(release.version)), manifest.to_json(model))

    def try_out(self, version: str, tell: Tell) -> Tried:
        pack = pack_model.pack_of(self._store, self._get(version))
        tell(Progress("smoke"))
        found = pack_trial.try_out(
            self._parts, pack, on_progress=lambda done, total: tell(Progress("gate", done, total))
        )
        pack_trial.refuse_worse(pack, found)
        if found is None:
            return Tried(words=(t("packs.not_measured", pack=pack.name), pack.not_for))
        told = found.json()
        with self._store.lock():
            self._store.write(self._evaluation(version), json.dumps(told).encode())
        words = (t("packs.measured", **pack_trial.points(one)) for one in found.measures)
        return Tried(told, (*words, pack.not_for))

    def switch(self, version: str, *, verify: bool) -> None:
        super().switch(version, verify=verify)
        if (model := self._active()) is not None:
            packs.took_over(self._parts, model, self._measured(version), self._row.hub)

    def _activate(self, model: Model) -> None:
        pack_model.activate(self._parts, model)

    def drop(self, version: str) -> None:
        self._evaluation(version).unlink(missing_ok=True)
        super().drop(version)

    def _measured(self, version: str) -> Mapping[str, object] | None:
        try:
            found = json.loads(self._evaluation(version).read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def _evaluation(self, version: str) -> Path:
        return self._folder / f"{version}{EVALUATION}"


def _listed(file: ReleaseFile) -> ModelFile:
    return ModelFile(file.role, file.name, file.digest, file.size_bytes)


def _refuse_other(release: Release, pack: Pack) -> None:
    """What the card says, which people saw, is what the pack says."""
    card = pack.card()
    said = (release.card.name, release.card.base_digest, release.card.licence, release.version)
    if said != (card.name, card.base_digest, card.licence, pack.version):
        raise InvalidPackError(t("packs.other_card", release=release.reference))
    roles = {one.name: one.role for one in release.files}
    if roles != pack.roles:
        raise InvalidPackError(t("packs.other_card", release=release.reference))
