"""Sources and samples over HTTP: asked first, taken with consent, seen and erased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from house import House, scripted_house

REPLY = "Mina does, on Mondays. Cheers!"
ROWS = [
    {"prompt": "Who waters the ferns?", "completion": REPLY},
    {"prompt": "And the moss?", "chosen": "Rain does. Cheers!", "rejected": "It is not known."},
]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path) as house:
        yield house


def call(house: House, method: str, place: str, **body: Any) -> Any:
    with house.client() as client:
        return client.request(method, f"/ondol/v1/{place}", **({"json": body} if body else {}))


def test_a_file_is_looked_at_agreed_to_seen_and_erased(own: House, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text(JSONL, "utf-8")
    asked = call(own, "POST", "sources", path=str(file))
    assert asked.status_code == 200
    told = asked.json()
    assert (told["source"], told["drafts"], told["kind"]) == (None, 2, "file")
    assert "2 sample(s)" in told["question"]
    assert call(own, "GET", "sources").json() == {"sources": []}
    taken = call(own, "POST", "sources", path=str(file), consent=True)
    assert taken.status_code == 201 and taken.json()["added"] == 2
    (source,) = call(own, "GET", "sources").json()["sources"]
    assert taken.json()["source"] == source and source["samples"]["preference"] == 1

    page = call(own, "GET", f"samples?source={source['id']}&limit=1&offset=1").json()
    assert page["total"] == 2 and [one["kind"] for one in page["samples"]] == ["preference"]
    (first,) = call(own, "GET", "samples?kind=sft").json()["samples"]
    assert first["reply"] == REPLY and first["sensitivity"] == "private"
    shown = call(own, "GET", f"samples/{first['id']}").json()
    assert shown == {**first, "adapters": []}
    written = call(own, "GET", "samples/export")
    assert [json.loads(line)["conversation"] for line in written.text.splitlines()]

    assert call(own, "DELETE", f"samples/{first['id']}").json()["samples"] == 1
    assert call(own, "GET", f"samples/{first['id']}").status_code == 404
    assert call(own, "DELETE", "samples", ids=[first["id"]]).status_code == 404
    gone = call(own, "DELETE", f"sources/{source['id']}?dependents=remove").json()
    assert (gone["samples"], gone["sources"]) == (1, 1)


def test_an_upload_leaves_no_copy_and_what_cannot_be_is_named(own: House, home: Path) -> None:
    with own.client() as client:
        path = "/ondol/v1/sources/upload?name=chats.jsonl"
        assert client.post(path, content=JSONL.encode()).json()["drafts"] == 2
        taken = client.post(f"{path}&consent=true", content=JSONL.encode())
        assert taken.status_code == 201 and taken.json()["source"]["name"] == "chats.jsonl"
        broken = client.post(f"{path}&consent=true", content=JSONL.encode() + b"{")
    assert broken.status_code == 422 and "line 3" in broken.json()["error"]["message"]
    assert [file for file in home.rglob("uploads/*") if file.is_file()] == []
    for body, param in (
        ({}, "path"),
        ({"path": "/x.jsonl", "kind": "feedback"}, "path"),
        ({"path": "here.jsonl"}, "path"),
        ({"kind": "rumours"}, "kind"),
        ({"path": "/x.jsonl", "personal": "sell"}, "personal"),
    ):
        with own.client() as client:
            refused = client.post("/ondol/v1/sources", json=body)
        assert refused.status_code == 422 and refused.json()["error"]["param"] == param


def test_feedback_becomes_samples_and_goes_with_its_conversation(own: House) -> None:
    conversations = own.parts.kept.conversations
    id = conversations.create().id
    _, answer = conversations.turns.ask(id, "Who waters the ferns?", None)
    conversations.turns.save(answer.id, "It is not known.", status="done")
    path = f"messages/{answer.id}/feedback"
    call(own, "PUT", path, right=False)
    assert call(own, "GET", "samples").json()["total"] == 0
    assert "1 now" in call(own, "POST", "sources", kind="feedback").json()["question"]
    assert call(own, "POST", "sources", kind="feedback", consent=True).json()["added"] == 1
    call(own, "PUT", path, right=False, edited=REPLY)
    kinds = [one["kind"] for one in call(own, "GET", "samples").json()["samples"]]
    assert sorted(kinds) == ["preference", "sft"]
    call(own, "DELETE", path)
    assert call(own, "GET", "samples").json()["total"] == 0
    call(own, "PUT", path, right=True)
    assert call(own, "POST", "samples/collect").json()["added"] == 0
    told = call(own, "DELETE", f"conversations/{id}").json()
    assert told["learned"]["samples"] == 1
    assert call(own, "GET", "samples").json()["total"] == 0
