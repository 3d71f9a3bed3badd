"""Ondol's own endpoints for pins: documents that the model has read before anybody asks."""

from __future__ import annotations

import logging
import threading
from contextvars import copy_context
from dataclasses import asdict
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol import pinned
from ondol.engine.generation import Cancellation, Cancelled
from ondol.errors import OndolError, UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.door.security import check_no_device
from ondol.server.native.collections import Text
from ondol.server.native.library import absolute
from ondol.server.streaming import in_thread

Name = Annotated[Text, Field(max_length=200)]

_log = logging.getLogger(__name__)


class NewPin(Lenient):
    """A document by its ``path``, or a ``collection``; either alone."""

    path: Text | None = None
    collection: Name | None = None
    name: Name = ""
    model: Text | None = None


class Reading(Lenient):
    """Which model is to read it, if not the configured one."""

    model: Text | None = None


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about pins."""
    readings = _Readings(parts)

    @routes.get("/pins")
    async def pins() -> Response:
        """What is pinned, with the bytes of its state; 0: it is read when it is asked about."""
        return json_response({"pins": await in_thread(lambda: pinned.listed(parts.library))})

    @routes.post("/pins")
    async def pin(request: Request, body: NewPin) -> Response:
        """Pin a document or a collection; the model reads it in the background."""
        check_no_device(request)
        if (body.path is None) == (body.collection is None):
            raise UsageError(t("pins.one_of_both"), param="path")
        path = absolute(body.path, "path") if body.path is not None else None
        made = await in_thread(
            lambda: pinned.pin(parts.library, path, body.collection or "", body.name)
        )
        readings.end(made.name)  # of what had that name before
        readings.begin(made.name, body.model)
        return json_response(asdict(made), 201)

    @routes.post("/pins/{name}/read")
    async def read(name: str, body: Reading) -> Response:
        """Have the model read what is pinned, in the background."""
        await in_thread(lambda: parts.library.pins.get(name))
        readings.begin(name, body.model)
        return json_response({"reading": name}, 202)

    @routes.delete("/pins/{name}/read")
    async def end_reading(name: str) -> Response:
        """End the reading of it in the background; what is pinned stays so, and what was read is
        not kept."""
        return json_response({"ended": readings.end(name)})

    @routes.delete("/pins/{name}")
    async def unpin(name: str) -> Response:
        """Take a pin off, and erase what the model has made of it."""
        await in_thread(lambda: pinned.unpin(parts.library, name))
        readings.end(name)
        return json_response({"unpinned": name})


class _Readings:
    """What models read in the background just now: each pin once a model, until it is read or
    nobody wants it any more."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._lock = threading.Lock()
        self._going: dict[tuple[str, str | None], Cancellation] = {}

    def begin(self, name: str, model: str | None) -> None:
        """Read the pin ``name`` with ``model``."""
        key, until = (name, model), Cancellation()
        with self._lock:
            if key in self._going:
                return
            self._going[key] = until
        work = partial(copy_context().run, self._read, key, until)
        threading.Thread(target=work, name="ondol-pin-reader", daemon=True).start()

    def end(self, name: str) -> int:
        """End every reading of the pin ``name``; how many those were."""
        with self._lock:
            gone = [self._going.pop(key) for key in list(self._going) if key[0] == name]
        for one in gone:
            one.cancel()
        return len(gone)

    def _read(self, key: tuple[str, str | None], until: Cancellation) -> None:
        try:
            pinned.prepare_in(self._parts, *key, cancellation=until)
        except Cancelled:
            pass
        except OndolError as error:
            _log.warning("A pinned document was not read: %s", error.code)
        finally:
            with self._lock:
                if self._going.get(key) is until:
                    del self._going[key]
