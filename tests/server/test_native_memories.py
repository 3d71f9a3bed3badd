"""Memories by the API: seen, added, changed, erased; and the first run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path) as house:
        yield house


def call(house: House, method: str, path: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{path}", **({"json": body} if body else {}))


def kept(answer: Any) -> dict[str, Any]:
    """The memory in what was answered to it."""
    return {k: v for k, v in answer.json().items() if k not in ("deed", "replaced")}


def test_memory_is_added_found_changed_and_erased(own: House) -> None:
    made = call(own, "POST", "memories", text="I keep bees.")
    assert made.status_code == 201
    memory = kept(made)
    assert (memory["kind"], memory["sensitivity"], memory["source"]) == (
        "fact",
        "private",
        "owner",
    )
    other = kept(
        call(own, "POST", "memories", text="Short.", kind="preference", sensitivity="trusted")
    )
    everything = call(own, "GET", "memories").json()["memories"]
    assert everything == [other, memory]
    assert call(own, "GET", "memories?query=BEES").json()["memories"] == [memory]
    assert call(own, "GET", "memories?kind=preference").json()["memories"] == [other]

    path = f"memories/{memory['id']}"
    changed = call(own, "PATCH", path, text="I keep hens.", sensitivity="public").json()
    assert (changed["text"], changed["sensitivity"]) == ("I keep hens.", "public")
    assert call(own, "DELETE", path).json() == {"memories": 1, "is_erased": True}
    assert call(own, "DELETE", path).status_code == 404
    assert call(own, "DELETE", "memories", all=True).json()["memories"] == 1
    assert call(own, "GET", "memories").json() == {"memories": []}


def test_several_are_erased_together_or_not_at_all(own: House) -> None:
    ids = [call(own, "POST", "memories", text=t).json()["id"] for t in ("one", "two", "three")]
    assert call(own, "DELETE", "memories", ids=[ids[0], "0" * 16]).status_code == 404
    assert call(own, "DELETE", "memories", ids=ids[:2]).json()["memories"] == 2
    assert [one["text"] for one in call(own, "GET", "memories").json()["memories"]] == ["three"]
    assert call(own, "DELETE", "memories", ids=[]).json()["memories"] == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"text": "  "}, "text"),
        ({"text": "x" * 3000}, "text"),
        ({"text": "x", "kind": "rumour"}, "kind"),
        ({"text": "x", "sensitivity": "secret"}, "sensitivity"),
        ({"kind": "fact"}, "text"),
    ],
)
def test_memory_that_cannot_be_is_refused(own: House, body: dict[str, str], param: str) -> None:
    refused = call(own, "POST", "memories", **body)
    assert refused.status_code == 422
    assert refused.json()["error"]["param"] == param
    assert call(own, "GET", "memories?kind=rumour").status_code == 422


def test_unknown_memory_is_named_with_a_way_on(own: House) -> None:
    refused = call(own, "PATCH", "memories/0000000000000000", text="x")
    assert refused.status_code == 404
    error = refused.json()["error"]
    assert error["code"] == "memory_not_found" and "ondol memory list" in error["hint"]


def test_first_run_is_over_when_the_owner_says_so_or_has_documents(
    own: House, tmp_path: Path
) -> None:
    state = call(own, "GET", "onboarding").json()
    assert (state["done"], state["library_empty"], state["model"]) == (False, True, "smollm2:135m")
    assert [model["name"] for model in state["models"]] == ["smollm2:135m"]
    assert state["recommended"]["name"] and state["recommended"]["why"]
    assert call(own, "PATCH", "onboarding", done=True).json() == {"done": True}
    assert call(own, "GET", "onboarding").json()["done"] is True
    call(own, "PATCH", "onboarding", done=False)
    assert call(own, "GET", "onboarding").json()["done"] is False

    paper = tmp_path / "paper.txt"
    paper.write_text("The stove is warm.", encoding="utf-8")
    call(own, "POST", "documents", paths=[str(paper)], stream=False)
    state = call(own, "GET", "onboarding").json()
    assert (state["done"], state["documents"]) == (True, 1)
