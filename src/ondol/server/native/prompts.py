"""Ondol's own endpoints about the owner's prompts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import Response

from ondol.server.body import Lenient, json_response
from ondol.server.conversing.runs import Runs
from ondol.server.native.runs import Long
from ondol.server.streaming import in_thread


class NewPrompt(Lenient):
    name: Long
    text: Long


class PromptChange(Lenient):
    name: Long | None = None
    text: Long | None = None


def add_routes(routes: APIRouter, runs: Runs) -> None:
    """Add the routes that are about prompts."""

    @routes.get("/prompts")
    async def prompts() -> Response:
        """The owner's prompts, by name."""

        def work() -> dict[str, Any]:
            return {"prompts": [one.json() for one in runs.conversations.prompts.all()]}

        return json_response(await in_thread(work))

    @routes.post("/prompts")
    async def add(body: NewPrompt) -> Response:
        """Keep a text under a name."""
        made = await in_thread(lambda: runs.conversations.prompts.add(body.name, body.text))
        return json_response(made.json(), 201)

    @routes.patch("/prompts/{prompt}")
    async def change(prompt: str, body: PromptChange) -> Response:
        """Change a prompt's name or text."""
        kept = await in_thread(
            lambda: runs.conversations.prompts.change(prompt, body.name, body.text)
        )
        return json_response(kept.json())

    @routes.delete("/prompts/{prompt}")
    async def remove(prompt: str) -> Response:
        """Erase a prompt."""
        return json_response(
            {"erased": await in_thread(lambda: runs.conversations.prompts.remove(prompt))}
        )
