"""What the tests of conversations share: a house of one's own, and how a client talks to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from house import CHAT, GatedEngine, House, scripted_house

from ondol import paths


@contextmanager
def own_house(folder: Path, environ: dict[str, str] | None = None) -> Iterator[House]:
    # The library and what is kept beside it are one file, as they really are.
    with scripted_house(folder, environ) as house:
        house.parts.library.close()
        house.parts.use_library(house.parts.open_library(paths.database_file()))
        yield house


TEXT = (
    "The kitchen was painted in spring. The stove in the hall burns dry oak logs, never coal. "
    "The garden has two pear trees."
)
QUESTION = "What does the stove in the hall burn?"


def add_document(house: House, folder: Path) -> Path:
    document = folder / "stove.txt"
    document.write_text(TEXT)
    call(house, "POST", "documents", paths=[str(document)], stream=False)
    return document


def call(house: House, method: str, path: str, /, **body: Any) -> httpx2.Response:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{path}", json=body or None)


def begin(house: House, mode: str = "chat", **fields: Any) -> str:
    return call(house, "POST", "conversations", mode=mode, **fields).json()["id"]


def run(house: House, conversation: str, content: str = "Tell me.", **how: Any) -> dict[str, Any]:
    body = {"content": content, **how} if content else how
    response = call(house, "POST", f"conversations/{conversation}/runs", **body)
    assert response.status_code == 201, response.text
    return response.json()


def read(house: House, run_id: str, after: int = 0, most: int = 10**6) -> list[Any]:
    """The events of a run: number, name and data."""
    found: list[Any] = []
    with (
        house.client() as client,
        client.stream("GET", f"/ondol/v1/runs/{run_id}/events?after={after}") as response,
    ):
        assert response.headers["content-type"].startswith("text/event-stream")
        number, name = 0, ""
        for line in response.iter_lines():
            key, _, value = line.partition(": ")
            if key == "id":
                number = int(value)
            elif key == "event":
                name = value
            elif key == "data":
                found.append((number, name, json.loads(value)))
                if len(found) >= most:
                    break
    return found


def messages(house: House, conversation: str) -> list[dict[str, Any]]:
    return call(house, "GET", f"conversations/{conversation}").json()["messages"]


def long_story(house: House, words: int = 1_000_000) -> GatedEngine:
    house.pool.engines[CHAT] = engine = GatedEngine(words=words)
    return engine
