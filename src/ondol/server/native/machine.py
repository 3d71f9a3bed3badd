"""Ondol's own endpoints about this machine: its memory, graphics cards, disk and processor, what
models take of them, and which of these are in memory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.errors import ModelError, UsageError
from ondol.i18n import t
from ondol.models import scales
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.native.models import NamedModel
from ondol.server.streaming import in_thread

if TYPE_CHECKING:
    from ondol.engine.pool import LoadedModel
    from ondol.models.store import Model


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about this machine and what is in its memory."""

    @routes.get("/machine")
    async def machine() -> Response:
        """What this machine has, how much of it is free now, and what the models take."""
        return json_response(await in_thread(lambda: _machine(parts)))

    @routes.get("/loaded")
    async def loaded() -> Response:
        """The models in memory."""

        def work() -> list[dict[str, Any]]:
            return [_loaded_json(parts, model) for model in parts.pool.loaded()]

        return json_response({"loaded": await in_thread(work)})

    @routes.post("/loaded")
    async def load(body: NamedModel) -> Response:
        """Bring a model into memory now."""

        def work() -> dict[str, Any]:
            model, _ = scales.of(parts.adapters, body.model)
            if model.format != "gguf":
                # The small ones are read by the library itself, when it needs them.
                raise UsageError(t("pulls.cannot_load", name=model.name), param="model")
            parts.pool.load(model.name)
            here = [one for one in parts.pool.loaded() if one.name == model.name]
            return {"model": model.name, "loaded": [_loaded_json(parts, one) for one in here]}

        return json_response(await in_thread(work))

    @routes.delete("/loaded")
    async def stop(body: NamedModel) -> Response:
        """Free the memory of a model; ``stopped`` is false when it was not loaded."""

        def work() -> bool:
            try:
                model, _ = scales.of(parts.adapters, body.model)
            except ModelError:
                # Another process may have removed what is still in memory here.
                if parts.pool.stop(body.model):
                    return True
                raise
            return parts.stop(model.name)

        return json_response({"stopped": await in_thread(work)})


def _machine(parts: Parts) -> dict[str, Any]:
    from ondol.models.hardware import machine
    from ondol.models.recommendation import room

    here, models_dir = machine(), parts.config.models_dir
    place = room(here)
    disk = shutil.disk_usage(_nearest(models_dir))
    loaded = parts.pool.loaded()
    models = parts.store.list()
    return {
        "cpu": here.cpu,
        "cpu_features": list(here.cpu_features),
        "cores": here.cores,
        "physical_cores": here.physical_cores,
        "ram": {
            "total_bytes": here.ram_bytes,
            "available_bytes": here.available_ram_bytes,
            "room_bytes": place.ram_bytes,
            "models_bytes": sum(one.size_bytes for one in loaded),
        },
        "gpus": [asdict(gpu) for gpu in here.gpus],
        "disk": {
            "total_bytes": disk.total,
            "free_bytes": disk.free,
            "models_bytes": _unique_bytes(models),
        },
        "loaded": [
            {"model": one.name, "size_bytes": one.size_bytes, "in_use": one.in_use}
            for one in loaded
        ],
    }


def _unique_bytes(models: Sequence[Model]) -> int:
    # Copies of a model share their files.
    return sum({f.digest: f.size_bytes for model in models for f in model.files}.values())


def _nearest(directory: Path) -> Path:
    """The innermost folder on the way to ``directory`` that is there."""
    while not directory.exists() and directory != directory.parent:
        directory = directory.parent
    return directory


def _loaded_json(parts: Parts, model: LoadedModel) -> dict[str, Any]:
    cache = parts.located.cache(model)
    return {
        "model": model.name,
        "digest": model.digest,
        "size_bytes": model.size_bytes,
        "kv_cache_bytes": cache.bytes,
        "cache_type": cache.type,
        "num_parallel": model.num_parallel,
        "num_ctx": model.num_ctx,
        "expires_at": model.expires_at.isoformat() if model.expires_at else None,
        "in_use": model.in_use,
    }
