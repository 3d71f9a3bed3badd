"""Ondol's own endpoints for the engines beside the bundled one: which there are, building one in
the background, which serves.

All changes are made at this machine itself; programs are adopted on the command line only, for a
request must not name what is run. Raises what ``lab.engines`` raises.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from ondol.engine.native import job, records, toolchain
from ondol.lab.engines import making
from ondol.parts import Parts
from ondol.server.body import Lenient, json_response
from ondol.server.door.security import check_at_this_machine
from ondol.server.native.collections import Text
from ondol.server.streaming import in_thread


class EngineName(Lenient):
    """``name`` is that of an engine, or ``bundled``."""

    name: Annotated[Text, Field(max_length=80)]


def add_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes that are about engines; a building goes on without the server."""

    @routes.get("/engines")
    async def engines() -> Response:
        """The engines of this machine, the one that serves, and how far a building is."""
        return json_response(await in_thread(lambda: _overview(parts)))

    @routes.post("/engines/build")
    async def build(request: Request, again: bool = False) -> Response:
        """Compile an engine for this processor (201); it takes over once it passed its check. One
        that is known not to pass is compiled ``again`` only."""
        check_at_this_machine(request)

        def work() -> dict[str, Any]:
            compiler = toolchain.find_compiler()
            if not again:
                making.refuse_known(compiler)
            making.smallest_model(parts)
            return {"build": job.start(["--again"] if again else []).json()}

        return json_response(await in_thread(work), 201)

    @routes.delete("/engines/build")
    async def cancel(request: Request) -> Response:
        """End the building that goes on."""
        check_at_this_machine(request)
        return json_response({"cancelled": await in_thread(job.cancel)})

    @routes.put("/engines/serving")
    async def use(request: Request, body: EngineName) -> Response:
        """Let an engine serve; one that failed or changed is checked again before."""
        check_at_this_machine(request)

        def work() -> dict[str, Any]:
            making.use(parts, body.name)
            return _overview(parts)

        return json_response(await in_thread(work))

    @routes.delete("/engines/{engine}")
    async def remove(request: Request, engine: str) -> Response:
        """Remove an engine; a program that was adopted stays where it is."""
        check_at_this_machine(request)
        return json_response({"removed": (await in_thread(lambda: records.remove(engine))).name})


def _overview(parts: Parts) -> dict[str, Any]:
    """Without paths of this machine: a phone and a program may read it too."""
    told = making.overview(parts)
    told["engines"] = [
        {name: value for name, value in one.items() if name != "binary"} for one in told["engines"]
    ]
    is_named = told["runtime"] not in ("auto", records.BUNDLED)
    return told | ({"serving": "named", "runtime": "named"} if is_named else {})
