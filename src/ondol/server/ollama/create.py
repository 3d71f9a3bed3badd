"""Ollama's endpoints that make models: create, and blobs, the files that a model is made of.

A model is made from one that is here or from files that were sent before; nothing is fetched, and
no path of this machine is read. There is nowhere to push to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.requests import ClientDisconnect

from ondol.errors import UsageError
from ondol.i18n import t
from ondol.models import incoming, modelfile
from ondol.models.made import ROLES
from ondol.models.making import Recipe, make
from ondol.models.pull import Progress
from ondol.parts import Parts
from ondol.server.body import Flag, json_response, to_bytes
from ondol.server.door.security import check_no_device
from ondol.server.errors import body_in
from ondol.server.ollama.documented import BLOB, HEAD, REFUSALS, StatusBody, streams
from ondol.server.ollama.requests import ModelRequest
from ondol.server.streaming import NDJSON, Source, Work, in_thread, stream, whole

Digest = Annotated[
    str,
    Path(
        description="sha256: and 64 hexadecimal digits",
        json_schema_extra={"pattern": "^sha256[:-][0-9a-f]{64}$"},
    ),
]


class CreateRequest(ModelRequest):
    """``modelfile`` is how old clients say all of it, as text."""

    stream: bool | None = None
    from_: str | None = None
    files: dict[str, str] | None = None
    adapters: dict[str, str] | None = None
    system: str | None = None
    template: str | None = None
    license: str | list[str] | None = None
    parameters: dict[str, Any] | None = None
    messages: list[Any] | None = None
    quantize: str | None = None
    quantization: str | None = None
    modelfile: str | None = None

    model_config = ModelRequest.model_config | {
        "alias_generator": lambda name: "from" if name == "from_" else name
    }


class PushRequest(ModelRequest):
    stream: bool | None = None
    insecure: Flag = False


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """``/create``, ``/push`` and ``/blobs``, beside the others that are about models."""

    @routes.post("/create", responses=streams(StatusBody))
    async def create(request: Request, body: CreateRequest) -> Response:
        """Make a model from another, or from files; status lines until ``success``."""
        check_no_device(request)
        if not body.asked:
            raise UsageError(t("server.model_required"), param="model")
        if body.quantize or body.quantization:
            raise UsageError(t("making.no_quantizing"), param="quantize")
        recipe = _recipe(body)
        source = Source(lambda: Work(lambda report, cancel: _making(parts, body, recipe, report)))
        if body.stream is False:
            return await whole(request, source, lambda s: json_response(_status(list(s)[-1])))
        lines = (to_bytes(_status(progress)) + b"\n" for progress in source)
        return await stream(
            request, source, lines, NDJSON, lambda f: to_bytes(body_in("ollama", f)) + b"\n"
        )

    @routes.post("/push", status_code=400, responses=REFUSALS)
    async def push(body: PushRequest) -> Response:
        """Refused: models are sent nowhere."""
        if not body.asked:
            raise UsageError(t("server.model_required"), param="model")
        raise UsageError(t("making.no_pushing", name=body.asked[:80]))

    @routes.post("/blobs/{digest}", status_code=201, response_class=Response, responses=BLOB)
    async def receive(request: Request, digest: Digest) -> Response:
        """Send a file for a model to be made of; the body is the file."""
        check_no_device(request)
        if await in_thread(lambda: incoming.find(parts.store.blobs, digest)):
            return Response(status_code=200)
        length = request.headers.get("content-length", "")
        size_bytes = int(length) if length.isdecimal() else None
        try:
            with incoming.Incoming(parts.store.blobs, digest, size_bytes) as arriving:
                async for block in request.stream():
                    await in_thread(partial(arriving.write, block))
                await in_thread(arriving.finish)
        except ClientDisconnect:
            return Response(status_code=499)
        return Response(status_code=201)

    @routes.head("/blobs/{digest}", response_class=Response, responses=HEAD)
    async def has_blob(digest: Digest) -> Response:
        """Whether a file is here."""
        found = await in_thread(lambda: incoming.find(parts.store.blobs, digest))
        return Response(status_code=200 if found else 404)


def _making(
    parts: Parts, body: CreateRequest, recipe: Recipe, report: Callable[[Progress], None]
) -> Progress:
    make(body.asked, recipe, parts.store, parts.adapters, lambda said: report(Progress(said)))
    return Progress("success")


def _recipe(body: CreateRequest) -> Recipe:
    recipe = Recipe(
        source=_installed(body.from_) if body.from_ else "",
        files=body.files or {},
        adapters=body.adapters or {},
        system=body.system,
        template=body.template or None,
        parameters=body.parameters or {},
        messages=[_message(one, index) for index, one in enumerate(body.messages or ())],
        licences=[body.license] if isinstance(body.license, str) else body.license or (),
    )
    return recipe if body.modelfile is None else _with_modelfile(recipe, body.modelfile)


def _with_modelfile(recipe: Recipe, text: str) -> Recipe:
    """What a Modelfile says, and over it the fields of the request."""
    told = modelfile.parse(text)
    source, files = "", dict[str, str]()
    for index, one in enumerate(told.sources):
        if one.startswith("@"):
            files[f"model-{index}.gguf"] = one.removeprefix("@")
        else:
            source = _installed(one)
    adapters = {}
    for index, one in enumerate(told.adapters):
        if not one.startswith("@"):
            raise UsageError(t("making.only_here", path=one[:80]), param="modelfile")
        adapters[f"adapter-{index}.gguf"] = one.removeprefix("@")
    return replace(
        recipe,
        source=recipe.source or source,
        files=recipe.files or files,
        adapters=recipe.adapters or adapters,
        system=told.system if recipe.system is None else recipe.system,
        template=recipe.template or told.template,
        parameters={**told.parameters, **recipe.parameters},
        messages=recipe.messages or told.messages,
        licences=recipe.licences or told.licences,
    )


def _installed(name: str) -> str:
    """``name``, which is a model's and no path: a program names no file of this machine."""
    from ondol.models import names

    if names.is_file(name):
        raise UsageError(t("making.only_here", path=name[:80]), param="from")
    return name


def _message(given: Any, index: int) -> tuple[str, str]:
    role = given.get("role") if isinstance(given, Mapping) else None
    content = given.get("content") if isinstance(given, Mapping) else None
    if role not in ROLES or not isinstance(content, str):
        raise UsageError(t("making.not_a_message", field=f"messages[{index}]"), param="messages")
    return str(role), content


def _status(progress: Progress) -> dict[str, Any]:
    return {"status": progress.status}
