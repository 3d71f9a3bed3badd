"""Collections, limits and filters over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import CHAT, GatedEngine, House
from test_native import call, events


@pytest.fixture
def folder(house: House, tmp_path: Path) -> Iterator[Path]:
    """Two files, each in a collection of its own, during the test."""
    for name, text in (("home", "The stove burns oak."), ("work", "The stove report is late.")):
        (tmp_path / f"{name}.txt").write_text(text)
        paths = [str(tmp_path / f"{name}.txt")]
        response = call(
            house, "POST", "documents", paths=paths, collection=f"its {name}", stream=False
        )
        assert response.status_code == 200
    yield tmp_path
    call(house, "DELETE", "documents", paths=[str(tmp_path)])
    for one in call(house, "GET", "collections").json()["collections"]:
        call(house, "DELETE", f"collections/{one['name']}")
        if one["name"] == "default":
            call(house, "PATCH", "collections/default", sensitivity="private")


def sources(response: object) -> set[str]:
    assert response.status_code == 200, response.text  # type: ignore[attr-defined]
    body = response.json()  # type: ignore[attr-defined]
    return {Path(one["source"]).name for one in body.get("hits", body.get("documents"))}


@pytest.mark.parametrize(
    "where",
    [
        {"in": "its home"},
        {"in": ["its home"]},
        {"path": "home.txt"},
        {"not": {"in": "its work"}},
        {"type": "txt", "after": "2020", "not": {"path": "work*"}},
    ],
)
def test_search_looks_only_inside_its_filter(house: House, folder: Path, where: dict) -> None:
    assert sources(call(house, "POST", "search", query="stove", filter=where)) == {"home.txt"}


def test_filter_in_the_words_and_filter_in_the_field_must_both_hold(
    house: House, folder: Path
) -> None:
    query = 'stove in:"its home"'
    assert sources(call(house, "POST", "search", query=query)) == {"home.txt"}
    both = call(house, "POST", "search", query=query, filter={"in": "its work"})
    assert sources(both) == set()


def test_question_is_asked_within_the_filter_and_the_model_does_not_see_it(
    house: House, folder: Path
) -> None:
    engine, seen = GatedEngine(words=1), []
    inner = engine.generate
    engine.generate = lambda messages, options: seen.append(messages) or inner(messages, options)
    house.pool.engines[CHAT] = engine
    found = events(call(house, "POST", "ask", question='Is the stove report in:"its work" late?'))
    evidence = found[0][1]
    assert {Path(q["source"]).name for q in evidence["quotes"]} == {"work.txt"}
    assert evidence["sensitivity"] == "private"
    assert all("its work" not in message.content for message in seen[0])


@pytest.mark.parametrize(
    ("where", "status", "param"),
    [
        ({"type": "nonsense"}, 422, "filter.type"),
        ({"after": "soon"}, 422, "filter.after"),
        ({"not": {"lang": "klingonish"}}, 422, "filter.lang"),
        ({"collections": ["x"]}, 422, "filter.collections"),
        ({"not": {"after": "2025"}}, 422, "filter.not.after"),
        ({"path": "./here"}, 422, "filter.path"),
        ({"in": [""]}, 422, "filter.in.0"),
        ({"in": "nowhere"}, 404, None),
    ],
)
def test_filter_that_cannot_be_is_refused_and_never_widened(
    house: House, folder: Path, where: dict, status: int, param: str | None
) -> None:
    for path, body in (("search", {"query": "stove"}), ("ask", {"question": "stove?"})):
        response = call(house, "POST", path, filter=where, **body)
        assert response.status_code == status, response.text
        error = response.json()["error"]
        assert error.get("param") == param and error["message"]
    if status == 404:
        assert error["code"] == "collection_not_found" and "collection list" in error["hint"]


def test_documents_are_listed_through_a_filter_with_their_labels(
    house: House, folder: Path
) -> None:
    assert sources(call(house, "GET", "documents?in=its%20home&in=its%20work&type=txt")) == {
        "home.txt",
        "work.txt",
    }
    assert sources(call(house, "GET", "documents?path=work.txt&before=2999")) == {"work.txt"}
    assert call(house, "GET", "documents?after=soon").json()["error"]["param"] == "filter.after"
    assert call(house, "GET", "documents?nonsense=1").status_code == 422
    for document in call(house, "GET", "documents").json()["documents"]:
        assert (document["sensitivity"], document["limit"]) == ("private", "public")


def test_collection_is_made_relabelled_renamed_and_removed(house: House, folder: Path) -> None:
    made = call(house, "POST", "collections", name="books/2025", sensitivity="trusted")
    assert made.status_code == 201 and made.json()["sensitivity"] == "trusted"
    assert call(house, "POST", "collections", name="books/2025").status_code == 422

    loosened = call(house, "PATCH", "collections/its home", sensitivity="public").json()
    assert (loosened["loosened"], loosened["tightened"]) == (1, 0)
    (hit,) = call(house, "POST", "search", query="stove", filter={"in": "its home"}).json()["hits"]
    assert (hit["sensitivity"], hit["collection"]) == ("public", "its home")

    renamed = call(house, "PATCH", "collections/its home", name="theirs").json()
    assert (renamed["name"], renamed["documents"]) == ("theirs", 1)
    assert call(house, "PATCH", "collections/theirs", name="its work").status_code == 422
    both = call(house, "PATCH", "collections/its work", name="theirs", sensitivity="public")
    assert both.status_code == 422
    (hit,) = call(house, "POST", "search", query="stove", filter={"in": "its work"}).json()["hits"]
    assert hit["sensitivity"] == "private"
    assert call(house, "DELETE", "collections/theirs").status_code == 422
    assert call(house, "DELETE", "collections/books/2025").json() == {"removed": "books/2025"}
    assert call(house, "PATCH", "collections/gone", sensitivity="public").status_code == 404
    assert call(house, "PATCH", "collections/theirs", sensitivity="secret").status_code == 422


def test_limit_holds_whatever_the_collection_says(house: House, folder: Path) -> None:
    def limit(path: str, sensitivity: str) -> Any:
        body = {"path": path, "sensitivity": sensitivity}
        with house.client() as client:
            return client.post("/ondol/v1/limits", json=body)

    limited = limit(str(folder / "home.txt"), "private")
    assert limited.status_code == 200
    call(house, "PATCH", "collections/its home", sensitivity="public")
    (hit,) = call(house, "POST", "search", query="stove", filter={"in": "its home"}).json()["hits"]
    assert hit["sensitivity"] == "private"
    limits = call(house, "GET", "limits").json()["limits"]
    assert limits == [{"path": str(folder / "home.txt"), "sensitivity": "private"}]
    taken = limit(str(folder / "home.txt"), "public")
    assert taken.json()["loosened"] == 1 and call(house, "GET", "limits").json() == {"limits": []}
    for path in ("relative", "/a\0b"):
        assert limit(path, "public").status_code == 422
    assert limit("/no/where", "private").status_code == 404
    assert limit(str(folder), "secret").status_code == 422
