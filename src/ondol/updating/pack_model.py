"""A pack as a model of this device: one manifest names its files beside the weights of its base.

So it is one rename to switch, nothing of the base is copied, and every dialect knows it by name.
Raises ``PackNotFoundError``, ``InvalidPackError``, ``UpdateFailedError``, ``InvalidModelError``,
``StorageError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ondol.errors import ModelError, PackNotFoundError, UpdateFailedError
from ondol.hub.packs import format
from ondol.hub.packs.format import ROLES, Pack
from ondol.i18n import t
from ondol.models import adapter_manifest, names
from ondol.models.adapter_fit import check_fit
from ondol.models.adapter_manifest import Adapter
from ondol.models.made import PACK, Made
from ondol.models.manifest import Model, ModelFile, sealed
from ondol.models.store import ModelStore
from ondol.parts import Parts
from ondol.role_marks import harmless

ROLE = PACK
ADAPTER_NAME = "pack-"
"""Opens the name of the adapter that came with a pack; the beginning of its digest follows."""
LOADED = ("weights", "projector")


def is_pack(model: Model) -> bool:
    """Whether a pack made it."""
    return model.file(ROLE) is not None


def base_of(parts: Parts, pack: Pack) -> Model:
    """The installed model that ``pack`` was made for: with those weights, by its own name if it has
    it. UpdateFailedError names what is missing."""
    return base_named(parts, pack.name, pack.model, pack.base_digest)


def base_named(parts: Parts, pack: str, name: str, digest: str) -> Model:
    """The same of a pack of which no more is known; any weights of that name where ``digest`` is
    empty."""
    called = names.normalize(name)
    here = [one for one in parts.store.list() if one.kind == "chat" and one.made is None]
    fits = [one for one in here if _has(one, digest) or (not digest and one.name == called)]
    if not fits:
        raise UpdateFailedError(
            t("packs.no_base", pack=pack, model=name),
            t("packs.no_base_hint", model=name, digest=digest[7:19] or "–"),
        )
    return min(fits, key=lambda one: (one.name != called, one.name))


def _has(model: Model, digest: str) -> bool:
    weights = model.file("weights")
    return weights is not None and weights.digest == digest


def model_of(
    base: Model, pack: Pack, files: Mapping[str, ModelFile], name: str, source: str
) -> Model:
    """The model called ``name`` that ``pack`` makes of ``base``. ``files`` are the pack's, by name,
    as the store has them; ``source`` says where it came from."""
    adapter = files.get(format.ADAPTER)
    own = tuple(files[one] for one in sorted(files))
    model = replace(
        base,
        name=name,
        files=(*(one for one in base.files if one.role in LOADED), *own),
        modified_at=datetime.now(UTC),
        licence=", ".join(dict.fromkeys(filter(None, (base.licence, pack.licence)))),
        source=source,
        made=made_of(base, pack, adapter.digest if adapter else ""),
    )
    sizes = {one.digest: one.size_bytes for one in model.files}
    return sealed(replace(model, size_bytes=sum(sizes.values())))


def made_of(base: Model, pack: Pack, adapter_digest: str) -> Made:
    """What ``pack`` lays over ``base``. Its words are a publisher's: they open no turn."""
    adapter = adapter_name(adapter_digest) if adapter_digest else ""
    said = harmless(pack.instructions)
    return Made(base.name, said, dict(pack.parameters), adapter=adapter)


def adapter_name(digest: str) -> str:
    return f"{ADAPTER_NAME}{digest.removeprefix('sha256:')[:12]}"


def pack_of(store: ModelStore, model: Model) -> Pack:
    """The pack that made ``model``, read from the store again."""
    return format.check(files_of(store, model))


def files_of(store: ModelStore, model: Model) -> dict[str, Path]:
    """The files of the pack that made ``model``, by name, as they lie in the store."""
    own = (one for one in model.files if ROLES.get(one.name) == one.role)
    return {one.name: store.blobs.path(one.digest) for one in own}


def activate(parts: Parts, model: Model) -> None:
    """List ``model``, whose blobs are here, in the place of what has its name. Call with the
    store's lock held."""
    store = parts.store
    adapter = _adapter(store, model)
    is_here = _is_listed(store, model.name)
    # Nobody uses one for other weights, so the new one may lie there before its model does; a
    # model that is new has no folder for it yet.
    if adapter is not None and is_here:
        _write(store, adapter)
    store.put(model)
    if adapter is not None and not is_here:
        _write(store, adapter)
    for path in store.adapters_directory(model.name).glob(f"{ADAPTER_NAME}*.json"):
        if adapter is None or path.stem != adapter.name:
            path.unlink(missing_ok=True)


def mend_adapter(parts: Parts, model: Model) -> None:
    """Write the manifest of a pack's adapter that a kill left out."""
    adapter = _adapter(parts.store, model)
    if adapter is None:
        return
    here = parts.store.adapters_directory(model.name) / f"{adapter.name}.json"
    if adapter_manifest.read_or_none(here) is None:
        with parts.store.lock():
            _write(parts.store, adapter)


def check_adapter(parts: Parts, base: Model, pack: Pack) -> None:
    """InvalidModelError unless the pack's adapter, if it has one, fits the weights of ``base``."""
    if (path := pack.files.get(format.ADAPTER)) is not None:
        check_fit(path, _weights(parts.store, base), format.ADAPTER, base.name)


def _adapter(store: ModelStore, model: Model) -> Adapter | None:
    file, weights = model.file("adapter"), model.file("weights")
    if file is None or weights is None:
        return None
    path = store.blobs.path(file.digest)
    shape = check_fit(path, _weights(store, model), file.name, model.name)
    return Adapter(
        name=adapter_name(file.digest),
        model=model.name,
        base_digest=weights.digest,
        digest=file.digest,
        size_bytes=file.size_bytes,
        template="",
        r=shape.r,
        lora_alpha=shape.lora_alpha,
        target_modules=shape.target_modules,
        created_at=model.modified_at,
        trained_on={ROLE: model.source},
    )


def _write(store: ModelStore, adapter: Adapter) -> None:
    path = store.adapters_directory(adapter.model) / f"{adapter.name}.json"
    store.write(path, adapter_manifest.to_json(adapter))


def _weights(store: ModelStore, model: Model) -> list[Path]:
    return [store.blobs.path(one.digest) for one in model.files if one.role == "weights"]


def _is_listed(store: ModelStore, name: str) -> bool:
    try:
        store.get(name)
    except ModelError:
        return False
    return True


def get(parts: Parts, name: str) -> Model:
    """The model that the pack ``name`` makes; PackNotFoundError unless a pack of that name is
    here."""
    called = names.normalize(name)
    found = next((one for one in parts.store.list() if one.name == called), None)
    if found is None or not is_pack(found):
        raise PackNotFoundError(t("packs.not_here", pack=name), t("packs.not_here_hint"))
    return found
