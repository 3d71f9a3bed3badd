"""Ollama's endpoints about models: version, tags, show, ps, pull, delete, copy (docs/api.md)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol import callers
from ondol.errors import ModelError, ModelNotFoundError, UsageError
from ondol.i18n import t
from ondol.models.making import duplicate
from ondol.parts import Parts
from ondol.server.body import Flag, JsonRoute, Lenient, json_response, to_bytes
from ondol.server.door.security import check_no_device
from ondol.server.errors import body_in
from ondol.server.generation import find
from ondol.server.grounded.names import listed
from ondol.server.ollama import create as ollama_create
from ondol.server.ollama.documented import (
    EMPTY,
    PsBody,
    ShowBody,
    StatusBody,
    TagsBody,
    VersionBody,
    answers,
    streams,
)
from ondol.server.ollama.requests import ModelRequest
from ondol.server.ollama.show import details, show
from ondol.server.streaming import NDJSON, Source, Work, in_thread, stream, whole

if TYPE_CHECKING:
    from ondol.engine.pool import LoadedModel
    from ondol.models.pull import Progress
    from ondol.models.store import Model

# Clients refuse below 0.6.4; this is the Ollama whose API these endpoints follow.
OLLAMA_VERSION = "0.12.0"
FOR_EVER = datetime(2300, 1, 1, tzinfo=UTC)


class PullRequest(ModelRequest):
    stream: bool | None = None


class ShowRequest(ModelRequest):
    verbose: Flag = False


class CopyRequest(Lenient):
    model_config = Lenient.model_config | {
        "json_schema_extra": {"required": ["source", "destination"]}
    }

    source: str = ""
    destination: str = ""


def router(parts: Parts) -> APIRouter:
    """The routes under ``/api`` that are about models."""
    routes = APIRouter(prefix="/api", tags=["ollama"], route_class=JsonRoute)

    @routes.get("/version", responses=answers(VersionBody))
    async def version() -> Response:
        """The Ollama version whose API this is."""
        return json_response({"version": OLLAMA_VERSION})

    @routes.get("/tags", responses=answers(TagsBody))
    async def tags() -> Response:
        """The models on this machine, newest first, each before its adapters."""
        models = await in_thread(lambda: listed(parts))
        return json_response({"models": [_tag(*model) for model in models]})

    @routes.get("/ps", responses=answers(PsBody))
    async def ps() -> Response:
        """The models in memory."""
        return json_response({"models": await in_thread(lambda: _loaded(parts))})

    @routes.post("/show", responses=answers(ShowBody))
    async def show_model(request: Request, body: ShowRequest) -> Response:
        """All about one model."""
        shown = await in_thread(lambda: show(parts, request, body.asked, verbose=body.verbose))
        return json_response(shown)

    @routes.post("/pull", responses=streams(StatusBody))
    async def pull(request: Request, body: PullRequest) -> Response:
        """Fetch a model; status lines until ``success``."""
        if not body.asked:
            raise UsageError(t("server.model_required"), param="model")
        check_source(request, body.asked)
        source = Source(lambda: _pulling(parts, body.asked))
        if body.stream is False:
            return await whole(request, source, lambda s: json_response(_status(list(s)[-1])))
        lines = (to_bytes(_status(progress)) + b"\n" for progress in source)
        return await stream(
            request, source, lines, NDJSON, lambda f: to_bytes(body_in("ollama", f)) + b"\n"
        )

    @routes.delete("/delete", response_class=Response, responses=EMPTY)
    async def delete(body: ModelRequest) -> Response:
        """Remove a model, or one of its adapters."""
        await in_thread(lambda: _delete(parts, body.asked))
        return Response(status_code=200)

    @routes.post("/copy", response_class=Response, responses=EMPTY)
    async def copy(body: CopyRequest) -> Response:
        """Give a model a second name."""
        for field in ("source", "destination"):
            if not getattr(body, field):
                raise UsageError(t("server.field_required", field=field), param=field)

        def work() -> None:
            parts.adapters.refuse(body.source, "copy")
            source = find(parts, body.source).name
            check_name(body.destination)
            duplicate(source, body.destination, parts.store, parts.adapters)

        await in_thread(work)
        return Response(status_code=200)

    ollama_create.add_routes(routes, parts)
    routes.add_api_route("/version", version, methods=["HEAD"], include_in_schema=False)
    routes.add_api_route("/tags", tags, methods=["HEAD"], include_in_schema=False)
    return routes


def _delete(parts: Parts, name: str) -> None:
    model, adapter = parts.adapters.resolve(find(parts, name).name)
    if adapter is not None:
        parts.adapters.remove(model.name, adapter.name)
        return
    parts.pool.stop(model.name)
    parts.adapters.forget_private(model.name)
    parts.store.remove(model.name)


def check_source(request: Request, name: str) -> None:
    """Refuse (``ForbiddenError``) a phone, a program or a page that names a file of this machine as
    a model, and the latter two an address, for it may be one of the owner's own network; and what
    ``check_name`` does."""
    from ondol.models import names

    is_foreign = callers.current().id.startswith(("key:", "page"))
    is_address = name.strip().lower().startswith(("http:", "https:"))
    if (is_foreign and is_address) or names.is_file(name):
        check_no_device(request)
    check_name(name)


def check_name(name: str) -> None:
    """Refuse (``ModelNotFoundError``) a new model of a name that the caller's key is not for: it
    could take the place of one that the key may not see."""
    from ondol.models import names

    caller = callers.current()
    if caller.models is None:
        return
    try:
        target = names.installed_name(name)
    except UsageError:
        target = name  # with an adapter: a model of that name there is none
    if not caller.may_use(target):
        raise ModelNotFoundError(t("server.model_not_found", model=name))


def pulling(parts: Parts, name: str) -> Iterator[Progress]:
    """The progress of a pull, ending with ``success``; closing it cancels the pull."""
    from ondol.models.pull import Progress, pull

    def run(report: Callable[[Progress], None], cancel: threading.Event) -> Progress:
        def on_progress(progress: Progress) -> None:
            if progress.status != "success":
                report(progress)

        parts.adapters.refuse(name, "pull")
        pull(name, parts.store, parts.egress, on_progress=on_progress, cancel=cancel)
        return Progress("success")

    return Work(run)


def _pulling(parts: Parts, name: str) -> Iterator[Progress]:
    """As ``pulling``; an adapter that is here is one that has been pulled, as its clients take a
    model to be."""
    from ondol.models.pull import Progress

    try:
        _, adapter = parts.adapters.resolve(name)
    except (ModelError, UsageError):
        adapter = None
    return pulling(parts, name) if adapter is None else iter([Progress("success")])


def _tag(model: Model, parent: str) -> dict[str, Any]:
    return {
        "name": model.name,
        "model": model.name,
        "modified_at": model.modified_at.isoformat(),
        "size": model.size_bytes,
        "digest": _bare(model.digest),
        "details": details(model, parent),
        "capabilities": list(model.capabilities),
    }


def _loaded(parts: Parts) -> list[dict[str, Any]]:
    by_name = {model.name: model for model in parts.store.list()}
    usable = [one for one in parts.pool.loaded() if callers.current().may_use(one.name)]
    caches = {one.name: parts.located.cache(one).bytes for one in usable}
    return [_process(one, by_name.get(one.name), caches[one.name]) for one in usable]


def _process(loaded: LoadedModel, model: Model | None, cache_bytes: int) -> dict[str, Any]:
    return {
        "name": loaded.name,
        "model": loaded.name,
        "size": loaded.size_bytes,
        "size_vram": 0,
        "digest": _bare(loaded.digest),
        "details": details(model) if model else {},
        "expires_at": (loaded.expires_at or FOR_EVER).isoformat(),
        "context_length": loaded.num_ctx,
        "kv_cache_size": cache_bytes,
    }


def _status(progress: Progress) -> dict[str, Any]:
    status: dict[str, Any] = {"status": progress.status}
    if progress.digest:
        status["digest"] = progress.digest
    if progress.total_bytes is not None:
        status["total"] = progress.total_bytes
    if progress.completed_bytes is not None:
        status["completed"] = progress.completed_bytes
    return status


def _bare(digest: str) -> str:
    return digest.removeprefix("sha256:")
