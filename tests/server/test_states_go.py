"""What models made of a text goes with the text, whatever owns that: looked for byte by byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from house import CHAT, House, scripted_house

from ondol import paths
from ondol.engine.states import folder
from ondol.engine.states.identity import Identity, name

WORDS = b"the spare key lies under the third flowerpot"
API = "/ondol/v1"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with scripted_house(tmp_path) as house:
        yield house


def plant(owner: str = "") -> None:
    """A state as the model that a chat is given to leaves it, under that model's own digest."""
    named = name(b"", Identity("sha256:of the base", "blob 1", "", "[]"), "head", [1], owner)
    (paths.ensure(folder.directory()) / str(named)).write_bytes(WORDS)


def left() -> int:
    """How many files of this user's Ondol still hold it."""
    files = [file for file in paths.data_dir().rglob("*") if file.is_file()]
    return sum(WORDS in file.read_bytes() for file in files)


def prompt(client: httpx2.Client) -> str:
    made = client.post(f"{API}/prompts", json={"name": "keys", "text": WORDS.decode()})
    return f"{API}/prompts/{made.json()['id']}"


def preset(client: httpx2.Client, system: str = "Say where the key is.") -> None:
    made = {"model": "mine", "from": CHAT, "system": system, "stream": False}
    assert client.post("/api/create", json=made).is_success


def conversation(client: httpx2.Client) -> str:
    made = client.post(f"{API}/conversations", json={"mode": "chat", "persona": "porter"})
    return f"{API}/conversations/{made.json()['id']}"


def erased_with(deed: Callable[[], Any]) -> bool:
    """Whether what a model made of it goes with ``deed``, and with no less."""
    plant()
    before = left()
    found = deed()
    assert found.is_success, found.text
    assert before
    return left() == 0


def test_a_prompt_that_is_deleted_or_says_something_else(house: House) -> None:
    with house.client() as client:
        path = prompt(client)
        assert not erased_with(lambda: client.patch(path, json={"name": "other"}))
        assert erased_with(lambda: client.patch(path, json={"text": "Nothing."}))
        assert erased_with(lambda: client.delete(path))


def test_a_model_with_words_of_its_own_that_is_deleted_or_made_anew(house: House) -> None:
    with house.client() as client:
        preset(client)
        copy = {"source": CHAT, "destination": "plain"}
        assert not erased_with(lambda: client.post("/api/copy", json=copy))
        plain = {"model": "plain"}
        assert not erased_with(lambda: client.request("DELETE", "/api/delete", json=plain))
        plant()
        preset(client, "Say nothing of keys.")
        assert left() == 0
        named = {"model": "mine"}
        assert erased_with(lambda: client.request("DELETE", "/api/delete", json=named))


def test_a_persona_and_a_conversation_that_are_deleted(house: House) -> None:
    with house.client() as client:
        persona = f"{API}/personas/porter"
        assert client.put(persona, json={"text": "You are a porter."}).is_success
        path = conversation(client)
        assert erased_with(lambda: client.put(persona, json={"text": "You are a guard."}))
        assert erased_with(lambda: client.delete(path))
        assert erased_with(lambda: client.delete(persona))


def test_what_is_pinned_stays(house: House) -> None:
    with house.client() as client:
        path = prompt(client)
        client.patch(path, json={"text": "Nothing."})
        plant("contract")
        client.delete(path)
        assert left() == 1
