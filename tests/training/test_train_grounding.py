"""``ondol train grounding`` from documents to an adapter that is adopted, or is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.model, pytest.mark.slow]

CHAT = "smollm2:135m"
COMMAND = [sys.executable, str(Path(__file__).with_name("tiny_grounding.py"))]
ARTICLES = {
    "Lighthouse": [
        ("The lighthouse of Harrow was built in 1846. It is 31 metres high.",
         [("When was the lighthouse of Harrow built?", "1846"),
          ("How high is the lighthouse of Harrow?", "31 metres")]),
        ("Its keeper, Ada Thorne, rescued nine sailors. The lamp burned whale oil.",
         [("Who rescued nine sailors?", "Ada Thorne"),
          ("What did the lamp burn?", "whale oil")]),
    ],
    "Orchard": [
        ("The orchard of Velm has 420 pear trees. Monks planted them along the river Ise.",
         [("How many pear trees has the orchard of Velm?", "420"),
          ("Along which river were the pear trees planted?", "Ise")]),
        ("Cider is pressed in October. The press was made by a smith named Oskar.",
         [("When is cider pressed?", "October"),
          ("Who made the press?", "Oskar")]),
    ],
}  # fmt: skip
STEPS = 2


@dataclass(frozen=True)
class Said:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class House:
    """A home of its own, in which the models are not the developer's."""

    folder: Path

    def ondol(self, *arguments: str, **environ: str) -> Said:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONDOL_")}
        own = {
            "ONDOL_HOME": str(self.folder / "home"),
            "ONDOL_MODELS": str(self.folder / "models"),
            "ONDOL_LANGUAGE": "en",
        }
        done = subprocess.run(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env=kept | own | environ,
            timeout=280,
            check=False,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def train(self, *arguments: str, **environ: str) -> Said:
        data = ("--data", str(self.folder / "articles"))
        how = ("--model", CHAT, "--name", "tiny", "--r", "2", "--epochs", str(STEPS))
        return self.ondol("train", "grounding", *data, *how, *arguments, **environ)

    def trainings(self) -> list[Path]:
        kept = (self.folder / "home" / "data" / "training").iterdir()
        return [path for path in kept if path.is_dir()]

    def adapters(self) -> dict[str, Any]:
        listed = self.ondol("adapter", "list", "--json").json["adapters"]
        return {adapter["name"]: adapter for adapter in listed if not adapter["shipped"]}


@dataclass(frozen=True)
class Story:
    """The same training twice: first judged as it is, then by a generous gate."""

    refused: Said
    candidates: dict[str, Any]
    folder: Path
    made_at: int
    adopted: Said
    adapters: dict[str, Any]


@pytest.fixture(scope="module")
def house(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    adapters = shutil.ignore_patterns("adapters")  # the developer's own
    shutil.copytree(models_dir, folder / "models", copy_function=os.symlink, ignore=adapters)
    (folder / "articles").mkdir()
    passages, questions = [], []
    for title, texts in ARTICLES.items():
        for number, (text, asked) in enumerate(texts):
            name = f"{title}-{number}"
            passages.append({"id": name, "title": title, "text": text})
            questions += [{"question": q, "answers": [a], "passage": name} for q, a in asked]
    for name, rows in (("passages", passages), ("questions", questions)):
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "articles" / f"{name}.jsonl").write_text(lines, "utf-8")
    return House(folder)


@pytest.fixture(scope="module")
def story(house: House) -> Story:
    refused = house.train("--json")
    candidates = house.adapters()
    (folder,) = house.trainings()
    made_at = (folder / "adapter.gguf").stat().st_mtime_ns
    return Story(
        refused, candidates, folder, made_at, house.train("--json", ADOPT="1"), house.adapters()
    )


def test_adapter_that_is_not_better_is_not_adopted(story: Story) -> None:
    error = story.refused.json["error"]
    assert story.refused.code == 8, story.refused.stderr
    assert error["message"].startswith("The adapter was trained but not adopted. Not better")
    assert f"{CHAT}:tiny-candidate" in error["hint"] and "ondol adapters rm" in error["hint"]
    assert list(story.candidates) == [f"{CHAT}:tiny-candidate"]
    assert "Traceback" not in story.refused.stderr


def test_adapter_that_is_better_takes_its_candidates_place(story: Story) -> None:
    assert story.adopted.code == 0, story.adopted.stderr
    assert list(story.adapters) == [f"{CHAT}:tiny"]
    made = story.adopted.json
    assert made == story.adapters[f"{CHAT}:tiny"]
    assert (made["r"], made["lora_alpha"], len(made["target_modules"])) == (2, 4, 7)
    assert made["trained_on"]["sets"] == ["articles"]
    assert made["trained_on"]["steps"] == STEPS
    assert made["trained_on"]["num_examples"] == 4 * STEPS
    assert made["trained_on"]["held_out_loss"] > 0
    assert {"held_out", "before", "drift"} <= made["evaluation"].keys()


def test_the_same_command_learns_nothing_twice(house: House, story: Story) -> None:
    assert house.trainings() == [story.folder], "and no lock is left"
    assert (story.folder / "adapter.gguf").stat().st_mtime_ns == story.made_at
    assert not (story.folder / "checkpoint.pt").exists()
    (candidate,) = story.candidates.values()
    assert story.adopted.json["digest"] == candidate["digest"]


def test_name_that_cannot_be_added_is_told_before_the_work(house: House, story: Story) -> None:
    told = house.ondol("train", "grounding", "--name", "My adapter")
    assert told.code == 2
    assert told.stderr.startswith("error: My adapter cannot be the name of an adapter.\nhint: ")
    assert house.trainings() == [story.folder]
