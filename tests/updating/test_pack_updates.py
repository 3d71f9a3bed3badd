"""Packs from a hub: brought, measured before they are active, gone back from, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_scene import Scene
from made_packs import Told, pack_folder
from served_llama import write_llama

from ondol.errors import InvalidPackError, UpdateFailedError, UsageError
from ondol.hub.card import Card
from ondol.hub.packs import format
from ondol.hub.release import Release
from ondol.hub.scan import Report
from ondol.models.blobs import digest_of
from ondol.parts import Parts
from ondol.updating import fetching, installed, packs, rolling_back, updater
from ondol.updating.switching import Progress

MODEL = "tiny:1m"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("tiny") / "tiny.gguf")


@pytest.fixture
def told(parts: Parts, weights: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """The base is here; answers in the place of the engine's process, and nothing is scanned."""
    parts.store.add(MODEL, [parts.store.stage(weights, "weights", "tiny.gguf")])
    engine = Told()
    monkeypatch.setattr(parts, "engine", lambda *name, **how: engine)
    monkeypatch.setattr(fetching, "scanned", lambda parts, release, files: None)
    return engine


def publish(hub: Scene, item: str, version: str, weights: Path, **how: Any) -> Release:
    changes = how.pop("card", {})
    place = hub.work / f"{item}-{version}"
    pack = format.read(pack_folder(place, digest_of(weights), version=version, **how))
    card = Card.of({**pack.card().json(), **changes})
    key, report = hub.publishers["clinic"], Report(True, (), 0.0)
    return hub.repository.publish("clinic", item, version, card, pack.files, key, report=report)


def versions(parts: Parts) -> tuple[str, list[str]]:
    (here,) = installed.all(parts)
    return here.version, list(here.previous)


def test_it_comes_is_measured_and_goes_back(
    hub: Scene, parts: Parts, told: Told, weights: Path
) -> None:
    publish(hub, "words", "1.0", weights, prompts=[("Explain", "Old: ")])
    publish(hub, "words", "1.1", weights, prompts=[("Explain", "New: ")])
    steps: list[Progress] = []
    outcome = updater.install(parts, "clinic/words@1.0", on_progress=steps.append)
    assert (outcome.what, outcome.name, outcome.version) == ("installed", "words:latest", "1")
    assert "gate" in [one.step for one in steps] and "0%" in " ".join(outcome.words)
    made = packs.get(parts, "words").json()
    assert (made["publisher"], made["item"]) == ("clinic", "words")
    assert made["hub"] == hub.repository.fingerprint
    assert made["evaluation"]["measures"][0]["after"] == 1.0
    updater.update(parts, "words")
    assert versions(parts) == ("1.1", ["1"])
    library = parts.kept.conversations.prompts
    assert [one.text for one in library.all()] == ["New:"]
    rolling_back.rollback(parts, "words")
    assert versions(parts)[0] == "1" and [one.text for one in library.all()] == ["Old:"]
    assert packs.get(parts, "words").row.evaluation["measures"][0]["after"] == 1.0
    packs.remove(parts, "words")
    assert installed.all(parts) == [] and library.all() == [] and packs.all(parts) == []


def test_one_that_makes_the_model_worse_never_becomes_active(
    hub: Scene, parts: Parts, told: Told, weights: Path
) -> None:
    told.__init__("good")  # type: ignore[misc]
    publish(hub, "worse", "1.0", weights, name="worse")
    publish(hub, "worse", "1.1", weights, name="worse", meaning="bad")
    updater.install(parts, "clinic/worse@1.0")
    with pytest.raises(UpdateFailedError, match="worse"):
        updater.update(parts, "worse")
    assert versions(parts) == ("1", [])
    assert packs.get(parts, "worse").row.version == "1"


@pytest.mark.parametrize("said", [{"licence": "MIT"}, {"base_digest": f"sha256:{'1' * 64}"}])
def test_one_that_is_not_what_its_card_says_is_refused(
    hub: Scene, parts: Parts, told: Told, weights: Path, said: dict[str, str]
) -> None:
    item = f"lies-{next(iter(said)).replace('_', '-')}"
    publish(hub, item, "1.0", weights, name=item, card=said)
    with pytest.raises((InvalidPackError, UpdateFailedError)):
        updater.install(parts, f"clinic/{item}")
    assert packs.all(parts) == []


def test_names_are_not_taken_from_others(
    hub: Scene, parts: Parts, told: Told, weights: Path, tmp_path: Path
) -> None:
    publish(hub, "named", "1.0", weights, name="named")
    with pytest.raises(UsageError, match="no pack"):
        updater.install(parts, "clinic/named", name=MODEL)
    updater.install(parts, "clinic/named")
    with pytest.raises(UsageError, match="from a hub"):
        packs.install(parts, pack_folder(tmp_path / "p", digest_of(weights), name="named"))
