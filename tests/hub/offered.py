"""A hub with a few things in it for whoever looks at one: a model, an adapter for
it, and one for a model that is nowhere. Nothing is scanned when it is made, and no model of it
thinks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from served import served

from ondol.hub.card import Card
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report

CLEAN = Report(True, (), 0.1)
MODEL = Card(
    "model",
    "letters:1b",
    {"letters.gguf": "weights"},
    title="Letters",
    description="Writes short letters in plain words.",
    architecture="llama",
    context_length=2048,
    licence="Apache-2.0",
    languages=("en", "ko"),
    evaluation={"letters-200": {"accuracy": {"value": 0.71, "n": 200}, "f1": {"value": 0.8}}},
    training={"examples": 4000, "method": "sft"},
    released_at="2026-11-01T09:00:00+00:00",
)
ADAPTER = Card(
    "adapter",
    "formal",
    {"formal.gguf": "adapter"},
    title="Formal tone",
    description="Answers as one writes to an office.",
    base_model="letters:1b",
    r=16,
    licence="CC-BY-4.0",
    languages=("ko",),
    epsilon=8.0,
    evaluation={
        "tone": {
            "off": {"accuracy": {"value": 0.4, "n": 50}},
            "on": {"accuracy": {"value": 0.9, "n": 50}},
        }
    },
    released_at="2026-11-02T09:00:00+00:00",
)


@dataclass
class Offered:
    """A hub and how to publish in it."""

    repository: Repository
    folder: Path
    key: Any
    url: str = ""

    @property
    def fingerprint(self) -> str:
        return self.repository.fingerprint

    def publish(self, item: str, version: str, card: Card, content: bytes) -> None:
        (name,) = card.files
        file = self.folder.with_name(f"{item}-{version}-{name}")
        file.write_bytes(content)
        card = replace(card, scan=CLEAN.json())
        self.repository.publish("clinic", item, version, card, {name: file}, self.key, report=CLEAN)


@contextmanager
def offered(folder: Path, weights: bytes, digest: str) -> Iterator[Offered]:
    """A hub that offers ``weights`` as letters 1.0, and an adapter for those of ``digest``."""
    repository = Repository(folder)
    offline = repository.init("Test")
    key = keys.make()
    repository.add_publisher("clinic", keys.public_text(key), offline.targets)
    found = Offered(repository, folder, key)
    found.publish("letters", "1.0", MODEL, weights)
    found.publish("formal", "1.0", replace(ADAPTER, base_digest=digest), b"adapter")
    lost = replace(
        ADAPTER,
        name="lost",
        title="Lost",
        base_model="nowhere:7b",
        base_digest="sha256:" + "0" * 64,
    )
    found.publish("lost", "2.0", lost, b"lost")
    with served(folder) as url:
        found.url = url
        yield found
