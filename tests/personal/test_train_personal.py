"""``ondol train file`` from samples to an adapter that answers, or does not: interrupted, gone on
with, refused, adopted. A real training of a random model, a few steps long."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tiny_lesson import MODEL, add_tiny, lesson_lines

from ondol.samples.store import Samples

COMMAND = [sys.executable, str(Path(__file__).with_name("tiny_personal.py"))]


@dataclass(frozen=True)
class Said:
    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Home:
    """A home of its own with one tiny model and a file of samples."""

    folder: Path

    @property
    def trainings(self) -> Path:
        return self.folder / "home" / "data" / "training"

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ONDOL_")}
        own = {
            "ONDOL_HOME": str(self.folder / "home"),
            "ONDOL_MODELS": str(self.folder / "models"),
            "ONDOL_CHAT_MODEL": MODEL,
            "ONDOL_LANGUAGE": "en",
        }
        return subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=kept | own | environ,
        )

    def ondol(self, *arguments: str, **environ: str) -> Said:
        process = self.start(*arguments, **environ)
        stdout, stderr = process.communicate(timeout=280)
        return Said(process.returncode, stdout, stderr)

    def file(self) -> tuple[str, ...]:
        how = ("--yes", "--model", MODEL, "--task", "sft", "--r", "2", "--epochs", "2")
        return ("train", "file", str(self.folder / "samples.jsonl"), *how)


@dataclass(frozen=True)
class Story:
    """The same training: stopped by Ctrl-C, gone on with, and judged twice."""

    home: Home
    stopped: Said
    listed: Said
    refused: Said
    made_at: int
    adopted: Said
    adapters: dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("home")
    add_tiny(folder)
    lines = "".join(json.dumps(one) + "\n" for one in lesson_lines())
    (folder / "samples.jsonl").write_text(lines)
    return Home(folder)


@pytest.fixture(scope="module")
def story(home: Home) -> Story:
    process = home.start(*home.file())
    deadline = time.monotonic() + 240
    while not any(home.trainings.glob("personal-*/sft/job.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    stopped = Said(process.returncode, stdout, stderr)
    listed = home.ondol("train", "list", "--json")
    (one,) = listed.json["trainings"]
    refused = home.ondol("train", "resume", one["id"], "--json")
    made = home.trainings / one["id"] / "sft" / "adapter.gguf"
    made_at = made.stat().st_mtime_ns
    adopted = home.ondol(*home.file(), ADOPT="1")
    found = home.ondol("adapters", "list", "--json").json["adapters"]
    return Story(
        home, stopped, listed, refused, made_at, adopted, {one["name"]: one for one in found}
    )


def test_ctrl_c_keeps_what_was_learned_and_says_how_to_go_on(story: Story) -> None:
    assert story.stopped.code == 130, story.stopped.stderr
    (one,) = story.listed.json["trainings"]
    assert (one["state"], one["model"], one["name"]) == ("paused", MODEL, "style")
    assert f"ondol train resume {one['id']}" in story.stopped.stderr
    assert "Traceback" not in story.stopped.stderr


def test_adapter_that_is_not_better_does_not_answer(story: Story) -> None:
    told = story.refused.json
    assert story.refused.code == 8, story.refused.stderr
    assert (told["state"], told["adapter"]) == ("refused", f"{MODEL}:style-candidate")
    assert told["verdict"]["reasons"] == ["It is not better."]
    assert "It is not better." in told["error"]["message"]
    assert f"{MODEL}:style-candidate" in told["error"]["hint"]


def test_adapter_that_passes_answers_and_says_how_to_take_it_back(story: Story) -> None:
    assert story.adopted.code == 0, story.adopted.stderr
    assert f"{MODEL}:style passed the gate and answers from now on." in story.adopted.stdout
    assert "loss of your held-out replies" in story.adopted.stdout
    assert f"ondol adapters rollback {MODEL}" in story.adopted.stderr
    assert list(story.adapters) == [f"{MODEL}:style"]
    made = story.adapters[f"{MODEL}:style"]
    assert made["trained_on"]["task"] == "style" and made["r"] == 2
    assert made["trained_on"]["num_held_out"] >= 5


def test_the_same_command_learns_nothing_twice(story: Story) -> None:
    (folder,) = story.home.trainings.glob("personal-*")
    assert (folder / "sft" / "adapter.gguf").stat().st_mtime_ns == story.made_at
    assert ": 0 new, " in story.adopted.stderr
    listed = story.home.ondol("train", "list", "--json").json["trainings"]
    assert [(one["state"], one["adapter"]) for one in listed] == [("done", f"{MODEL}:style")]


def test_the_samples_that_it_learned_from_are_known(story: Story) -> None:
    with Samples.open(story.home.folder / "home" / "data" / "ondol.db") as samples:
        learned = set(samples.learned_by(story.adapters[f"{MODEL}:style"]["digest"]))
        assert learned == {one.id for one in samples.all(held_out=False)}


def test_finished_training_is_erased_and_its_adapter_stays(story: Story) -> None:
    (folder,) = story.home.trainings.glob("personal-*")
    paused = story.home.ondol("train", "pause", folder.name)
    assert paused.code == 2 and "is not running" in paused.stderr
    done = story.home.ondol("train", "cancel", folder.name, "--yes")
    assert (done.code, done.stdout.strip()) == (0, f"{folder.name} is erased.")
    assert not folder.exists()
    assert story.home.ondol("train", "resume", folder.name).code == 8
    assert story.home.ondol("adapters", "list", "--quiet").stdout.split() == [f"{MODEL}:style"]


def test_too_few_samples_are_refused_before_the_work(home: Home, tmp_path: Path) -> None:
    own = Home(tmp_path)
    shutil.copytree(home.folder / "models", tmp_path / "models")
    (tmp_path / "samples.jsonl").write_text(
        "".join(json.dumps(one) + "\n" for one in lesson_lines(8))
    )
    told = own.ondol(*own.file())
    assert told.code == 8
    assert told.stderr.count("error: There are ") == 1 and "20 and 5 are needed" in told.stderr
    assert not list(own.trainings.glob("personal-*"))
    none = own.ondol("train", "feedback", "--yes")
    assert none.code == 8 and "There are 0 answers to learn from" in none.stderr


def test_without_a_yes_nothing_is_kept(home: Home, tmp_path: Path) -> None:
    own = Home(tmp_path)
    shutil.copytree(home.folder / "models", tmp_path / "models")
    shutil.copy(home.folder / "samples.jsonl", tmp_path)
    told = own.ondol("train", "file", str(tmp_path / "samples.jsonl"))
    assert told.code != 0 and "40" in told.stderr
    with Samples.open(tmp_path / "home" / "data" / "ondol.db") as samples:
        assert samples.sources() == []
