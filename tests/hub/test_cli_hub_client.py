"""``ondol hub add``, ``list``, ``search``, ``show``, ``remove``: what is said at a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from forged_hub import ForgedHub, Mirror, mirrors

from ondol.cli.main import run
from ondol.hub.card import Card
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report
from ondol.ledger.ledger import Ledger

Said = Callable[..., tuple[int, str, str]]
CARD: dict[str, Any] = {
    "kind": "model",
    "name": "triage:1",
    "files": {"triage.gguf": "weights"},
    "title": "Triage\x1b[31m in Korean",
    "licence": "MIT",
    "parameters": 135_000_000,
    "evaluation": {"accuracy": 0.81},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, bytes]]:
    """The fingerprint and the files of a hub that its operator made."""
    folder = tmp_path_factory.mktemp("operator")
    weights = folder / "triage.gguf"
    repository = Repository(folder / "hub")
    offline = repository.init("Clinic of Jeju")
    key = keys.make()
    repository.add_publisher("clinic", keys.public_text(key), offline.targets)
    for version, channel in (("1", "stable"), ("1.1", "stable"), ("2", "beta")):
        weights.write_bytes(version.encode())
        card = Card(**{**CARD, "channel": channel})
        files, report = {"triage.gguf": weights}, Report(True, (), 0.0)
        repository.publish("clinic", "triage", version, card, files, key, report=report)
    repository.yank("clinic", "triage", "1", "wrong doses", key)
    served = [p for part in ("metadata", "blobs") for p in (folder / "hub" / part).iterdir()]
    return repository.fingerprint, {f"{p.parent.name}/{p.name}": p.read_bytes() for p in served}


@pytest.fixture
def mirror(made: tuple[str, dict[str, bytes]]) -> Iterator[Mirror]:
    with mirrors(made[1]) as (found,):
        yield found


@pytest.fixture
def ondol_hub(capsys: pytest.CaptureFixture[str]) -> Said:
    def say(*arguments: str) -> tuple[int, str, str]:
        code = run(["hub", *arguments])
        said = capsys.readouterr()
        return code, said.out, said.err

    return say


@pytest.fixture
def added(made: tuple[str, dict[str, bytes]], mirror: Mirror, ondol_hub: Said) -> str:
    code, out, _ = ondol_hub("add", mirror.url, "--fingerprint", made[0], "--json")
    assert code == 0
    return str(json.loads(out)["name"])


def test_a_hub_is_added_listed_and_removed(
    made: tuple[str, dict[str, bytes]], mirror: Mirror, ondol_hub: Said, home: Path
) -> None:
    code, out, err = ondol_hub("add", mirror.url, "--fingerprint", made[0], "--name", "jeju")
    assert (code, out) == (0, "jeju was added.\n")
    assert "Items that it offers: 1" in err
    _, out, _ = ondol_hub("list", "--json")
    (row,) = json.loads(out)["hubs"]
    assert (row["name"], row["url"], row["fingerprint"]) == ("jeju", mirror.url, made[0])
    assert row["error"] is None and row["refreshed_at"] < row["expires_at"]
    _, out, _ = ondol_hub("list")
    assert made[0] in out and "jeju" in out
    assert ondol_hub("remove", "jeju")[:2] == (
        0,
        "jeju was removed. What was installed from it stays.\n",
    )
    code, out, err = ondol_hub("list")
    assert (code, out) == (0, "") and "No hub was added yet." in err
    with Ledger.open() as ledger:
        entries = list(ledger.entries(kind="hub", limit=10))
    assert [(e.reasons[0], e.reasons[1]) for e in entries] == [
        ("removed", made[0]),
        ("added", made[0]),
    ]
    assert not any((home / "data" / "hubs").iterdir())


def test_without_a_name_it_is_called_as_it_calls_itself(added: str) -> None:
    assert added == "clinic-of-jeju"


def test_another_fingerprint_is_refused_with_a_sentence(mirror: Mirror, ondol_hub: Said) -> None:
    code, out, err = ondol_hub("add", mirror.url, "--fingerprint", ForgedHub().fingerprint)
    assert (code, out) == (12, "")
    assert "is not the hub that this fingerprint belongs to: it was not added." in err
    assert "Compare the fingerprint" in err


def test_what_a_hub_has_is_found(added: str, ondol_hub: Said) -> None:
    _, out, _ = ondol_hub("search", "korean", "triage")
    assert "clinic/triage" in out and "1.1" in out and "MIT" in out
    assert "\x1b[31m in Korean" not in out
    _, out, _ = ondol_hub("search", "--beta", "--json")
    (item,) = json.loads(out)["items"]
    assert (item["hub"], item["version"], item["card"]["name"]) == (added, "2", "triage:1")
    code, out, err = ondol_hub("search", "weather")
    assert (code, out) == (0, "") and "Nothing found." in err


def test_a_card_is_shown_with_who_signed_it(added: str, ondol_hub: Said) -> None:
    _, out, _ = ondol_hub("show", "clinic/triage")
    assert "clinic/triage@1.1" in out and "135,000,000" in out and "0.81" in out
    assert "1 (withdrawn), 1.1, 2 (beta)" in out
    _, out, _ = ondol_hub("show", "clinic/triage@1")
    assert "Withdrawn by its publisher: wrong doses" in out
    _, out, _ = ondol_hub("show", "clinic/triage@2", "--json")
    found = json.loads(out)
    assert found["card"]["channel"] == "beta" and found["is_fresh"] and found["hub"] == added
    assert len(found["keys"]) == 1 and len(found["keys"][0]) == 64
    assert [one["yanked"] for one in found["versions"]] == ["wrong doses", "", ""]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("show", "clinic"), 2, "is no item of a hub"),
        (("show", "clinic/triage/x"), 2, "is no item of a hub"),
        (("show", "clinic/other"), 12, "has no clinic/other"),
        (("show", "clinic/triage@9"), 12, "no version 9"),
        (("show", "clinic/triage@one"), 12, "is no version"),
        (("show", "clinic/triage", "--hub", "home"), 12, "No hub is called home"),
        (("search", "--hub", "home"), 12, "No hub is called home"),
        (("remove", "home"), 12, "No hub is called home"),
        (("add", "ftp://x", "--fingerprint", "y"), 2, "no fingerprint"),
    ],
)
def test_what_cannot_be_has_a_sentence(
    added: str, ondol_hub: Said, arguments: tuple[str, ...], code: int, words: str
) -> None:
    found, out, err = ondol_hub(*arguments)
    assert (found, out) == (code, "") and words in err


def test_without_a_hub_one_is_told_how_to_add_one(ondol_hub: Said) -> None:
    code, _, err = ondol_hub("search")
    assert code == 12 and "ondol hub add URL --fingerprint" in err


def test_a_hub_that_is_gone_is_searched_as_it_was(
    added: str, mirror: Mirror, ondol_hub: Said
) -> None:
    mirror.files = {}
    code, out, err = ondol_hub("search")
    assert code == 0 and "clinic/triage" in out
    assert "status 404" in err and "keeps running" in err
    code, out, _ = ondol_hub("list", "--json")
    assert json.loads(out)["hubs"][0]["error"]["code"] == "hub_unreachable"
