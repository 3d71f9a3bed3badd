"""Ondol's own endpoint for the first run: what is here already, and what fits this machine.

Whether the first run is over is a file of this user, not of one browser.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol import i18n, paths
from ondol.json import model_json
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.streaming import in_thread

DONE = "welcomed"
STARTER = "smollm2:135m"


class Onboarding(Lenient):
    done: bool


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes of the first run."""

    @routes.get("/onboarding")
    async def onboarding() -> Response:
        """Whether the owner has been here before, what there is, and which model fits best."""
        return json_response(await in_thread(lambda: _state(parts)))

    @routes.patch("/onboarding")
    async def finish(body: Onboarding) -> Response:
        """The first run is over (``done``), or is to be shown again."""

        def work() -> dict[str, Any]:
            mark = paths.state_dir() / DONE
            if body.done:
                paths.ensure(mark.parent)
                mark.touch()
            else:
                mark.unlink(missing_ok=True)
            return {"done": body.done}

        return json_response(await in_thread(work))


def _state(parts: Parts) -> dict[str, Any]:
    documents = sum(one.documents for one in parts.library.collections.all())
    chat = [model for model in parts.store.list() if model.kind == "chat"]
    return {
        "done": (paths.state_dir() / DONE).exists() or documents > 0,
        "library_empty": documents == 0,
        "documents": documents,
        "models": [model_json(model) for model in chat],
        "model": parts.config["models.chat"],
        "recommended": _recommended({model.name for model in chat}),
        "language": parts.config["language"] if parts.config["language"] != "auto" else "",
        "spoken": i18n.language(),
    }


def _recommended(installed: set[str]) -> dict[str, Any] | None:
    """The best model for this machine, whether it is here already or not."""
    from ondol.models import catalog
    from ondol.models.hardware import machine
    from ondol.models.recommendation import recommend

    best = next(iter(recommend(catalog.load(), machine(), kind="chat", limit=1)), None)
    if best is None:
        return None
    return {
        "name": best.entry.name,
        "size_bytes": best.entry.size_bytes,
        "parameters": best.entry.parameters,
        "licence": best.entry.licence,
        "languages": list(best.entry.languages),
        "fits": best.fits,
        "need_bytes": best.need_bytes,
        "why": best.why,
        "installed": best.entry.name in installed,
    }
