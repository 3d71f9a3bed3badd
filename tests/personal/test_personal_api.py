"""Personal training over the API: a real training of a random model, started, paused, found again
by the next server, given up; and one that ends in an adapter that answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "server"))

import httpx2
import tiny_personal
from house import House, serving
from tiny_lesson import MODEL, add_tiny, lesson_lines

from ondol import config as configuration
from ondol.parts import Parts
from ondol.personal import gating
from ondol.samples.records import Draft
from ondol.types import Message

PATIENCE_SECONDS = 240.0
LONG = {"task": "sft", "epochs": 100, "r": 2}
SHORT = {"task": "sft", "epochs": 1, "r": 2, "name": "mine"}


def opened(folder: Path) -> Parts:
    environ = {"ONDOL_MODELS": str(folder / "models"), "ONDOL_CHAT_MODEL": MODEL}
    return Parts(configuration.load(environ=environ, file=folder / "config.toml"))


@dataclass
class Story:
    """What two servers said, one after the other, of a long training and a short one."""

    folder: Path
    told: dict[str, Any] = field(default_factory=dict)


def client_of(parts: Parts, port: int) -> httpx2.Client:
    return House(parts, parts.pool, port).client()  # type: ignore[arg-type]


def until(client: httpx2.Client, id: str, *states: str) -> dict[str, Any]:
    """The training, once it is in one of ``states``."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := client.get(f"/ondol/v1/personal/trainings/{id}").json())["state"] not in states:
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    return now


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("personal")
    add_tiny(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONDOL_HOME", str(folder / "home"))
        patch.setenv("ONDOL_LANGUAGE", "en")
        patch.setenv("ADOPT", "1")
        patch.setattr(gating, "judge", tiny_personal.judged)
        yield told(folder)


def told(folder: Path) -> Story:
    story = Story(folder)
    say = story.told
    with opened(folder) as parts, serving(parts) as port, client_of(parts, port) as client:
        say["too few"] = client.post("/ondol/v1/personal/trainings", json=LONG)
        source = parts.kept.samples.add_source("file", "captain")
        drafts = [
            Draft("sft", f"c{n}", (Message("user", one["prompt"]),), one["completion"])
            for n, one in enumerate(lesson_lines())
        ]
        parts.kept.samples.add(source.id, drafts)
        say["overview"] = client.get("/ondol/v1/personal").json()
        say["started"] = client.post("/ondol/v1/personal/trainings", json=LONG)
        id = say["started"].json()["id"]
        say["second"] = client.post("/ondol/v1/personal/trainings", json=SHORT)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not client.get(f"/ondol/v1/personal/trainings/{id}").json()["losses"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        client.post(f"/ondol/v1/personal/trainings/{id}/pause")
        say["paused"] = until(client, id, "paused", "done", "failed")
    with opened(folder) as parts, serving(parts) as port, client_of(parts, port) as client:
        say["found again"] = client.get("/ondol/v1/personal").json()["trainings"]
        say["removed"] = client.delete(f"/ondol/v1/personal/trainings/{id}")
        say["after"] = client.get("/ondol/v1/personal").json()["trainings"]
        id = client.post("/ondol/v1/personal/trainings", json=SHORT).json()["id"]
        say["done"] = until(client, id, "done", "refused", "failed")
        say["known"] = parts.adapters.find(f"{MODEL}:mine").evaluation["canary"]
        overview = client.get("/ondol/v1/personal").json()
        say["adapters"] = overview["adapters"]
        sample = overview["prompts"][0]["sample"]
        compare = {"adapter": f"{MODEL}:mine", "sample": sample}
        say["comparison"] = client.post("/ondol/v1/personal/comparisons", json=compare)
        learned = parts.kept.samples.all(held_out=False)[0].id
        compare["sample"] = learned
        say["unfair"] = client.post("/ondol/v1/personal/comparisons", json=compare)
        say["missing"] = client.post("/ondol/v1/personal/trainings/personal-0/resume")
    return story


def test_too_little_is_refused_with_what_is_needed(story: Story) -> None:
    answer = story.told["too few"]
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "too_few_samples"
    assert "20 and 5 are needed" in answer.json()["error"]["message"]


def test_overview_counts_what_there_is(story: Story) -> None:
    found = story.told["overview"]
    assert found["samples"]["sft"] == found["learned"] + found["held_out"] >= 30
    assert found["held_out"] == found["samples"]["held_out"] >= found["fewest"]["held_out"]
    assert [one["name"] for one in found["sources"]] == ["captain"]
    assert (found["error"], found["adapters"], found["trainings"]) == (None, [], [])
    assert found["feedback"] == {"is_agreed": False, "answers": 0}


def test_training_goes_on_in_the_server_one_at_a_time(story: Story) -> None:
    started = story.told["started"]
    assert started.status_code == 201
    assert (started.json()["state"], started.json()["model"]) == ("running", MODEL)
    second = story.told["second"]
    assert second.status_code == 422
    assert "one at a time" in second.json()["error"]["message"]


def test_paused_training_is_found_again_by_the_next_server(story: Story) -> None:
    paused = story.told["paused"]
    assert paused["state"] == "paused", paused
    assert paused["losses"][0].keys() == {"stage", "step", "loss", "held_out_loss"}
    (found,) = story.told["found again"]
    assert (found["id"], found["state"]) == (paused["id"], "paused")


def test_training_that_is_given_up_leaves_nothing(story: Story) -> None:
    assert story.told["removed"].json() == {"removed": story.told["paused"]["id"]}
    assert story.told["after"] == []


def test_adapter_that_passes_answers(story: Story) -> None:
    done = story.told["done"]
    assert (done["state"], done["adapter"]) == ("done", f"{MODEL}:mine"), done
    assert done["verdict"]["activates"] is True
    # Whether it knows the numbers of its lessons by heart was tried.
    known = story.told["known"]
    assert known["numbers"] >= known["tested"] >= 1 and 0 <= known["by_heart"] <= 4
    (adapter,) = story.told["adapters"]
    assert (adapter["is_active"], adapter["scale"], adapter["is_candidate"]) == (True, 1.0, False)


def test_held_out_prompt_is_answered_without_and_with_it(story: Story) -> None:
    said = story.told["comparison"].json()
    assert said["prompt"].startswith("What of the")
    assert said["wanted"].startswith("Captain, ")
    assert {"before", "after"} <= said.keys()
    assert story.told["unfair"].status_code == 422
    assert "held out" in story.told["unfair"].json()["error"]["message"]


def test_training_that_is_not_here_is_a_404(story: Story) -> None:
    missing = story.told["missing"]
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "training_not_found"
