"""Ollama's endpoints about models: version, tags, show, ps, pull, delete, copy (docs/api.md).

``/api/show`` writes what clients parse: a Go-like template, ``parameters`` as lines, the GGUF
metadata. Only capabilities that this server really offers are listed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ondol.errors import ModelError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import JsonRoute, Lenient, json_response, to_bytes
from ondol.server.errors import body_in
from ondol.server.generation import find, installed
from ondol.server.ollama import ModelRequest
from ondol.server.streaming import NDJSON, Source, Work, in_thread, stream, whole

if TYPE_CHECKING:
    from ondol.engine.pool import LoadedModel
    from ondol.models.adapters import Adapter
    from ondol.models.pull import Progress
    from ondol.models.store import Model

# Clients refuse below 0.6.4; this is the Ollama whose API these endpoints follow.
OLLAMA_VERSION = "0.12.0"
FOR_EVER = datetime(2300, 1, 1, tzinfo=UTC)

# The beginning of a Jinja chat template that gives it away, its Go twin, and where a turn stops.
_CHATML = (
    "{{ if .System }}<|im_start|>system\n{{ .System }}<|im_end|>\n{{ end }}"
    "{{ if .Prompt }}<|im_start|>user\n{{ .Prompt }}<|im_end|>\n{{ end }}"
    "<|im_start|>assistant\n{{ .Response }}<|im_end|>\n"
)
_PLAIN = "{{ if .System }}{{ .System }}\n\n{{ end }}{{ .Prompt }}"


class PullRequest(ModelRequest):
    stream: bool | None = None


class CopyRequest(Lenient):
    source: str = ""
    destination: str = ""


def router(parts: Parts) -> APIRouter:
    """The routes under ``/api`` that are about models."""
    routes = APIRouter(prefix="/api", tags=["ollama"], route_class=JsonRoute)

    @routes.get("/version")
    async def version() -> Response:
        """The Ollama version whose API this is."""
        return json_response({"version": OLLAMA_VERSION})

    @routes.get("/tags")
    async def tags() -> Response:
        """The models on this machine, newest first, each before its adapters."""
        models = await in_thread(lambda: installed(parts))
        return json_response({"models": [_tag(*model) for model in models]})

    @routes.get("/ps")
    async def ps() -> Response:
        """The models in memory."""
        return json_response({"models": await in_thread(lambda: _loaded(parts))})

    @routes.post("/show")
    async def show(body: ModelRequest) -> Response:
        """All about one model."""
        return json_response(await in_thread(lambda: _show(parts, body.asked)))

    @routes.post("/pull")
    async def pull(request: Request, body: PullRequest) -> Response:
        """Fetch a model; status lines until ``success``."""
        if not body.asked:
            raise UsageError(t("server.model_required"), param="model")
        source = Source(lambda: _pulling(parts, body.asked))
        if body.stream is False:
            return await whole(request, source, lambda s: json_response(_status(list(s)[-1])))
        lines = (to_bytes(_status(progress)) + b"\n" for progress in source)
        return await stream(
            request, source, lines, NDJSON, lambda f: to_bytes(body_in("ollama", f)) + b"\n"
        )

    @routes.delete("/delete")
    async def delete(body: ModelRequest) -> Response:
        """Remove a model, or one of its adapters."""

        def work() -> None:
            model, adapter = parts.adapters.resolve(find(parts, body.asked).name)
            if adapter is not None:
                parts.adapters.remove(model.name, adapter.name)
                return
            parts.pool.stop(model.name)
            parts.store.remove(model.name)

        await in_thread(work)
        return Response(status_code=200)

    @routes.post("/copy")
    async def copy(body: CopyRequest) -> Response:
        """Give a model a second name."""
        for field in ("source", "destination"):
            if not getattr(body, field):
                raise UsageError(t("server.field_required", field=field), param=field)

        def work() -> None:
            parts.adapters.refuse(body.source, "copy")
            parts.store.copy(find(parts, body.source).name, body.destination)

        await in_thread(work)
        return Response(status_code=200)

    routes.add_api_route("/version", version, methods=["HEAD"], include_in_schema=False)
    routes.add_api_route("/tags", tags, methods=["HEAD"], include_in_schema=False)
    return routes


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


def details(model: Model, parent: str = "") -> dict[str, Any]:
    """Ollama's summary of a model; ``parent`` is the one it was made from."""
    return {
        "parent_model": parent,
        "format": model.format,
        "family": model.family,
        "families": [model.family] if model.family else [],
        "parameter_size": parameter_size(model.parameters),
        "quantization_level": model.quantization,
        "context_length": model.context_length,
        "embedding_length": model.embedding_length,
    }


def parameter_size(parameters: int | None) -> str:
    """134515008 is ``134.52M``, 8030000000 is ``8.0B``."""
    if not parameters:
        return ""
    if parameters >= 1e9:
        return f"{parameters / 1e9:.1f}B"
    return f"{parameters / 1e6:.2f}M" if parameters >= 1e6 else f"{parameters / 1e3:.2f}K"


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
    return [_process(loaded, by_name.get(loaded.name)) for loaded in parts.pool.loaded()]


def _process(loaded: LoadedModel, model: Model | None) -> dict[str, Any]:
    return {
        "name": loaded.name,
        "model": loaded.name,
        "size": loaded.size_bytes,
        "size_vram": 0,
        "digest": _bare(loaded.digest),
        "details": details(model) if model else {},
        "expires_at": (loaded.expires_at or FOR_EVER).isoformat(),
        "context_length": loaded.num_ctx,
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


def _show(parts: Parts, name: str) -> dict[str, Any]:
    view = find(parts, name)
    model, adapter = parts.adapters.resolve(view.name)
    metadata, jinja = _metadata(parts, model)
    is_chatml = "<|im_start|>" in jinja
    template = _CHATML if is_chatml else _PLAIN
    lines = []
    if "completion" in model.capabilities:
        context = min(parts.config["engine.num_ctx"], model.context_length or 2**31)
        lines = [f"{'num_ctx':<30} {context}"]
        if is_chatml:
            lines.append(f'{"stop":<30} "<|im_end|>"')
    parameters = "\n".join(lines)
    return {
        "license": model.licence or "",
        "modelfile": _modelfile(view, model, adapter, template, lines),
        "parameters": parameters,
        "template": template,
        "system": "",
        "details": details(model, model.name if adapter else ""),
        "model_info": metadata,
        "capabilities": list(model.capabilities),
        "modified_at": view.modified_at.isoformat(),
    }


def _modelfile(
    view: Model, model: Model, adapter: Adapter | None, template: str, lines: list[str]
) -> str:
    head = [f"# ondol show {view.name}", f"FROM {model.name}"]
    head += [f"ADAPTER {adapter.name}"] if adapter else []
    head += [f'TEMPLATE """{template}"""']
    return "\n".join([*head, *(f"PARAMETER {' '.join(line.split())}" for line in lines)]) + "\n"


def _metadata(parts: Parts, model: Model) -> tuple[dict[str, Any], str]:
    """What clients look for in ``model_info``, and the chat template."""
    architecture, jinja = model.family or "unknown", ""
    found: dict[str, Any] = {}
    if model.format == "gguf":
        from ondol.models.gguf import read_header

        header = read_header(parts.store.path(model))
        architecture, jinja = header.architecture, header.chat_template or ""
        for key, value in header.metadata.items():
            # Ollama, too, leaves out the long lists (a vocabulary is megabytes).
            is_plain = isinstance(value, str | int | float | bool)
            found[key] = value if is_plain else None
        found.pop("tokenizer.chat_template", None)
    known = {
        "general.architecture": architecture,
        "general.basename": model.name.partition(":")[0],
        "general.parameter_count": model.parameters,
        f"{architecture}.context_length": model.context_length,
        f"{architecture}.embedding_length": model.embedding_length,
    }
    return {**{k: v for k, v in known.items() if v is not None}, **_finite(found)}, jinja


def _finite(metadata: dict[str, Any]) -> dict[str, Any]:
    # A float in a file may be infinite or not a number, which JSON cannot say.
    return {
        key: None if isinstance(v, float) and not abs(v) < float("inf") else v
        for key, v in metadata.items()
    }


def _bare(digest: str) -> str:
    return digest.removeprefix("sha256:")
