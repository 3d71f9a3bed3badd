"""A conversation that is erased while something is still being done in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from house import House

from ondol import paths
from ondol.retrieval import sight


@pytest.mark.parametrize("when", ["before it is read", "after it is read"])
def test_a_file_that_was_being_read_goes_with_its_conversation(
    chats: House, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    library = chats.parts.library
    attach = library.attach

    def erased_meanwhile(file: Path, conversation: str) -> Any:
        if when == "after it is read":
            reason = attach(file, conversation)
        with chats.client() as other:
            assert other.delete(f"/ondol/v1/conversations/{conversation}").status_code == 200
        if when == "before it is read":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("The secret stove burns blue light.")
            reason = attach(file, conversation)
        return reason

    monkeypatch.setattr(library, "attach", erased_meanwhile)
    with chats.client() as client:
        id = client.post("/ondol/v1/conversations", json={"mode": "chat"}).json()["id"]
        told = client.post(
            f"/ondol/v1/conversations/{id}/attachments?name=a.txt",
            content=b"The secret stove burns blue light.",
        )
        assert told.status_code == 404
        where = {"in": [sight.collection_of(id)]}
        search = {"query": "secret stove", "filter": where}
        assert client.post("/ondol/v1/search", json=search).json().get("hits", []) == []
    assert not (paths.attachments_dir() / id).exists()
    left = [
        file
        for file in paths.data_dir().rglob("*")
        if file.is_file() and b"burns blue light" in file.read_bytes()
    ]
    assert left == []
