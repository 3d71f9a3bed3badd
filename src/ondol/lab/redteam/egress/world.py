"""What every attack on the way out is made of: the texts, the house, how its own code would send.

Knows the parts of the house and the servers around it (``sink``); ``pipelines`` and ``ways`` are
the attacks, ``families`` has them by number.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ondol.lab.redteam.egress.sink import Sink, dumps
from ondol.parts import Parts
from ondol.types import Quote, Sensitivity

PRIVATE, TRUSTED, PUBLIC = Sensitivity
TIMEOUT = 5.0


@dataclass
class Corpus:
    """The texts; more lines in the files make more attacks."""

    private: list[str]
    injections: list[str]
    harmless: list[str]

    @classmethod
    def read(cls, folder: Path) -> Corpus:
        def texts(name: str) -> list[str]:
            lines = (folder / f"{name}.jsonl").read_text("utf-8").splitlines()
            return [json.loads(line)["text"] for line in lines]

        return cls(texts("private"), texts("injections"), texts("harmless"))


@dataclass
class World:
    """The house under attack and the servers around it."""

    parts: Parts
    sink: Sink
    corpus: Corpus

    @property
    def egress(self) -> Any:
        return self.parts.egress

    @property
    def labeller(self) -> Any:
        return self.parts.oversight.labeller


@dataclass
class Attack:
    """``go`` raises whatever stops it. ``needles``: none of them may be at any server; and nothing
    at all at the stranger's, at the liar's, or on the way to anywhere else."""

    family: str
    variant: str
    go: Callable[[], None]
    needles: list[bytes] = field(default_factory=list)


Maker = Callable[[World, random.Random], Attack]


def needle(text: str) -> list[bytes]:
    """What of ``text`` would be found on the wire, however JSON or a URL writes it."""
    middle = text[len(text) // 4 :][:24]
    plain = middle.encode()
    return [plain, json.dumps(middle)[1:-1].encode(), quote(middle, safe="").encode()]


def post(world: World, purpose: str, label: Sensitivity, path: str, **more: Any) -> None:
    """A request as Ondol's own code makes it."""
    pinned = world.sink.fingerprint if purpose == "home" else None
    url = world.sink.url("mirror" if purpose == "download" else purpose)
    headers = more.pop("headers", None)
    method = "GET" if purpose == "download" else "POST"
    with world.egress.client(
        url, purpose, sensitivity=label, pinned=pinned, timeout_seconds=TIMEOUT
    ) as client:
        client.request(method, url + path, headers=headers, **more)


def quoted(text: str, sensitivity: Sensitivity) -> Quote:
    return Quote(1, text, "note", 0, len(text), 1.0, sensitivity=sensitivity)


def chat(*contents: str) -> bytes:
    return dumps({"messages": [{"role": "user", "content": one} for one in contents]})
