"""A card that cannot be written again takes itself off the list, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tuf.api.metadata import Metadata, TargetFile, Targets

from ondol.errors import HubError
from ondol.hub.card import MAX_DEPTH, Card
from ondol.hub.release import Release, releases_of
from ondol.models.blobs import readable_size

FIELDS = '"kind": "model", "name": "m", "files": {"m.gguf": "weights"}'


def deep(levels: int) -> str:
    return f'{{{FIELDS}, "training": {"[" * levels}1{"]" * levels}}}'.replace(
        '"training": [', '"training": {"a": [', 1
    ).replace("]}", "]}}", 1)


HOSTILE = {
    "half a character": f'{{{FIELDS}, "title": "\\ud800"}}',
    "half a character in a table": f'{{{FIELDS}, "evaluation": {{"\\udfff": 1}}}}',
    "an infinite number": f'{{{FIELDS}, "epsilon": 1e999}}',
    "an infinite number in a table": f'{{{FIELDS}, "training": {{"loss": [-1e999]}}}}',
    "a number too large": f'{{{FIELDS}, "training": {{"seed": 1{"0" * 400}}}}}',
    "a count too large": f'{{{FIELDS}, "parameters": 1{"0" * 4000}}}',
    "a count below nothing": f'{{{FIELDS}, "context_length": -1}}',
    "tables in tables": deep(500),
}


def read(card: str, length: int = 5) -> list[Release]:
    """Beside a release that is as it must be, as a device reads both."""
    said = {"m.gguf": (card, length, "2"), "n.gguf": (f"{{{FIELDS}}}", 5, "1")}
    files = {
        f"p/i/{version}/m.gguf": TargetFile(
            size, {"sha256": "a" * 64}, "", {"custom": {"role": "weights", "card": text}}
        )
        for text, size, version in said.values()
    }
    again = Metadata[Targets].from_bytes(Metadata(Targets(targets=files)).to_bytes())
    return releases_of("p", again.signed)


@pytest.mark.parametrize("card", HOSTILE.values(), ids=HOSTILE)
def test_one_card_does_not_take_the_list_of_a_hub_away(card: str) -> None:
    found = read(card)
    assert [str(one.version) for one in found] == ["1"]
    text = json.dumps([one.json() for one in found], ensure_ascii=False, allow_nan=False)
    assert text.encode()


@pytest.mark.parametrize("length", [10**400, 2**63])
def test_a_file_that_no_disk_has_is_no_release(length: int) -> None:
    found = read(f"{{{FIELDS}}}", length)
    assert [str(one.version) for one in found] == ["1"]
    assert readable_size(sum(one.size_bytes for one in found)) == "5 B"


@pytest.mark.parametrize("value", [(1, [2.5, {"b": None}]), True, "한글\n"])
def test_what_is_plain_stays(value: Any) -> None:
    said = {"kind": "model", "name": "m", "files": {"m": "weights"}, "training": {"a": value}}
    assert Card.of(said).training == {"a": value}


def test_tables_are_as_deep_as_is_said() -> None:
    table: Any = 1
    for _ in range(MAX_DEPTH - 1):
        table = {"a": table}
    said = {"kind": "model", "name": "m", "files": {"m": "weights"}}
    assert Card.of({**said, "training": table}).json()
    with pytest.raises(HubError):
        Card.of({**said, "training": {"a": table}})
