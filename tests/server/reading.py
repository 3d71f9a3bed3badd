"""What the tests of answers from documents share: a house with three collections, and questions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from house import CHAT, House, scripted_house

from ondol.engine.scripted import ScriptedEngine

QUESTION = "When was the boiler serviced?"
NOTES = "The boiler was serviced on 14 March by Mr Kim. The cat is called Gureum."
MAIL = "The boiler was serviced in secret on 9 May. The wire transfer was 4000 euros."
SAID = "On 14 March [1]."


@contextmanager
def documented_house(folder: Path) -> Iterator[House]:
    """A house with notes, mail, and a collection that nothing is in."""
    with scripted_house(folder) as house:
        for name, text in (("notes", NOTES), ("mail", MAIL)):
            file = folder / name / f"{name}.md"
            file.parent.mkdir()
            file.write_text(text)
            house.parts.library.add([file], collection=name)
        house.parts.library.collections.create("empty")
        yield house


class Recording(ScriptedEngine):
    """Remembers every prompt, with its options."""

    def __init__(self, *replies: str) -> None:
        super().__init__([*replies, *[SAID] * 20], model=CHAT)
        self.seen: list[tuple[Any, Any]] = []

    def generate(self, messages, options):
        self.seen.append((list(messages), options))
        return super().generate(messages, options)


def says(house: House, *replies: str) -> Recording:
    """What the model says next."""
    engine = house.pool.engines[CHAT] = Recording(*replies)
    return engine


def post(house: House, path: str, headers: dict[str, str] | None = None, **body: Any) -> Any:
    with house.client() as client:
        return client.post(path, json=body, headers=headers or {})


def chat(house: House, content: str = QUESTION, model: str = f"{CHAT}+notes", **body: Any) -> Any:
    messages = [{"role": "user", "content": content}]
    return post(house, "/v1/chat/completions", **{"model": model, "messages": messages} | body)


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["choices"][0]["message"]["content"])
