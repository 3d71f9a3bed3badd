"""The endpoints about responses that are kept: read, list what was sent, erase."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from ondol import callers
from ondol.errors import UsageError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.server.body import json_response
from ondol.server.openai.documented import DELETED, ITEMS, KEPT, NOT_FOUND
from ondol.server.streaming import in_thread


def days(parts: Parts) -> int:
    """How long responses are kept."""
    return int(parts.config["server.responses_days"])


def add_kept_routes(routes: APIRouter, parts: Parts) -> None:
    """Add the routes below ``/v1/responses/``."""

    @routes.get("/responses/{response}", responses=KEPT)
    async def read(response: str, stream: bool = False) -> Response:
        """A response that was kept."""
        if stream:
            raise UsageError(t("responses.no_replay"), param="stream")
        return json_response(await in_thread(lambda: _body(parts, response)))

    @routes.delete("/responses/{response}", responses=DELETED)
    async def remove(response: str) -> Response:
        """Erase a response and what was sent for it."""
        erased = await in_thread(
            lambda: parts.kept.responses.delete(callers.current().id, response)
        )
        told = {"id": response, "object": "response", "deleted": True, "erased": erased}
        return json_response(told)

    @routes.post("/responses/{response}/cancel", responses=NOT_FOUND)
    async def cancel(response: str) -> Response:
        """Only what runs in the background can be cancelled, and nothing does here: hang up."""
        await in_thread(lambda: _body(parts, response))
        raise UsageError(t("responses.not_in_background"))

    @routes.get("/responses/{response}/input_items", responses=ITEMS)
    async def input_items(
        response: str,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
        after: str | None = None,
    ) -> Response:
        """What a response answered: all that was said before it, the latest first."""
        items = await in_thread(lambda: _items(parts, response))
        if order == "desc":
            items.reverse()
        if after is not None:
            place = next((n for n, item in enumerate(items) if item["id"] == after), None)
            if place is None:
                raise UsageError(t("responses.no_item", id=after[:80]), param="after")
            items = items[place + 1 :]
        page = items[:limit]
        return json_response(
            {
                "object": "list",
                "data": page,
                "first_id": page[0]["id"] if page else "",
                "last_id": page[-1]["id"] if page else "",
                "has_more": len(items) > limit,
            }
        )


def add_native_routes(routes: APIRouter, parts: Parts) -> None:
    """Add Ondol's own route about them."""

    @routes.delete("/responses")
    async def erase_responses() -> Response:
        """Erase every kept response: the owner everybody's, a program with a key its own."""
        caller = callers.current()
        whose = None if caller == callers.OWNER else caller.id

        def work() -> dict[str, Any]:
            count, erased = parts.kept.responses.erase(whose)
            return {"responses": count, "erased": erased}

        return json_response(await in_thread(work))


def _body(parts: Parts, id: str) -> dict[str, Any]:
    return parts.kept.responses.get(callers.current().id, id, days=days(parts)).body


def _items(parts: Parts, id: str) -> list[dict[str, Any]]:
    *before, last = parts.kept.responses.chain(callers.current().id, id, days=days(parts))
    earlier = [item for one in before for item in (*one.items, *one.body["output"])]
    return [*earlier, *last.items]
