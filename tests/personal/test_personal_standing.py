"""How a training stands is in its folder: it outlives the process that was at it, holds no text of
a sample, and anybody may ask for a pause."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ondol import config, trainable
from ondol.parts import Parts
from ondol.personal import planning, standing, training
from ondol.personal.runs import Runs
from ondol.personal.standing import Standing, Training, TrainingNotFoundError

ONE = Standing(
    id="personal-0123456789ab",
    training=Training("smollm2:135m", sources=("a1", "b2"), when_idle=True),
    samples=("s1", "s2"),
    num_examples=24,
    num_held_out=6,
    started_at="2026-11-22T06:00:00+00:00",
    state="running",
)


def test_what_was_written_is_read_again() -> None:
    with trainable.alone(ONE.id):
        standing.begin(ONE)
        now = ONE.with_(stage="evaluation", step=3, steps=40, loss=1.5, verdict={"rows": []})
        standing.write(now)
        assert standing.read(ONE.id) == now
        assert standing.listed() == [now]


def test_training_that_nobody_is_at_is_paused() -> None:
    """As after kill -9: the word "running" alone proves nothing."""
    with trainable.alone(ONE.id):
        standing.begin(ONE)
        assert standing.read(ONE.id).state == "running"
    assert standing.read(ONE.id).state == "paused"


def test_lock_that_a_killed_process_left_is_held_by_nobody() -> None:
    standing.begin(ONE)
    (trainable.trainings() / f"{ONE.id}.lock").write_text("")
    assert not standing.is_held(ONE.id)
    assert standing.read(ONE.id).state == "paused"


@pytest.mark.parametrize("state", ["done", "refused", "failed", "paused"])
def test_how_it_ended_stays(state: standing.State) -> None:
    standing.begin(ONE.with_(state=state))
    assert standing.read(ONE.id).state == state


@pytest.mark.parametrize(
    "id", ["personal-ffffffffffff", "grounding-1", "", "../x", "personal-../x"]
)
def test_training_that_is_not_here_is_told(id: str) -> None:
    with pytest.raises(TrainingNotFoundError) as error:
        standing.read(id)
    assert error.value.status == 404
    assert "ondol train list" in error.value.hint


def test_folders_that_are_no_trainings_are_passed_over() -> None:
    root = trainable.trainings()
    for name, content in (("personal-1", "{"), ("personal-2", "[]"), ("personal-3", '{"id": 1}')):
        (root / name).mkdir(parents=True)
        (root / name / "training.json").write_text(content)
    (root / "personal-4").mkdir()
    (root / "grounding-1").mkdir()
    standing.begin(ONE)
    assert [one.id for one in standing.listed()] == [ONE.id]


def test_state_that_was_damaged_leaves_what_it_is() -> None:
    standing.begin(ONE.with_(state="done"))
    (ONE.folder / "state.json").write_text('{"state": "of another Ondol", "colour": 1}')
    found = standing.read(ONE.id)
    assert (found.training, found.num_examples, found.state) == (ONE.training, 24, "paused")


def test_wish_is_seen_until_it_is_taken_back() -> None:
    standing.begin(ONE)
    assert standing.requested(ONE.id) == ""
    for wish in ("pause", "cancel"):
        standing.request(ONE.id, wish)  # type: ignore[arg-type]
        assert standing.requested(ONE.id) == wish
    standing.request(ONE.id, "")
    assert standing.requested(ONE.id) == ""


def test_curve_is_thinned_and_keeps_every_check() -> None:
    standing.begin(ONE)
    (ONE.folder / "sft").mkdir()
    lines = [
        {"step": n, "loss": 1 / n, "seconds": 1.0} | ({"held_out_loss": 2.0} if n % 50 == 0 else {})
        for n in range(1, 1001)
    ]
    text = "".join(json.dumps(one) + "\n" for one in lines)
    (ONE.folder / "sft" / "losses.jsonl").write_text(text + '{"step": 10')
    points = standing.curve(ONE.id, 100)
    assert len(points) <= 121
    assert [one["step"] for one in points if one["held_out_loss"]] == list(range(50, 1001, 50))
    assert points[-1] == {"stage": "sft", "step": 1000, "loss": 0.001, "held_out_loss": 2.0}
    assert standing.curve("personal-ffffffffffff") == []


def test_erased_training_leaves_no_file() -> None:
    standing.begin(ONE)
    (ONE.folder / "sft").mkdir()
    (ONE.folder / "sft" / "examples.jsonl").write_text("what was said")
    standing.erase(ONE.id)
    assert not ONE.folder.exists()
    standing.erase(ONE.id)


def test_texts_are_forgotten_and_how_it_went_stays() -> None:
    """As for a library that is locked."""
    standing.begin(ONE.with_(state="done"))
    (ONE.folder / "sft").mkdir()
    (ONE.folder / "sft" / "losses.jsonl").write_text('{"step": 1, "loss": 2.0}\n')
    for name in ("examples.jsonl", "held_out.jsonl", "job.json", "adapter.gguf"):
        (ONE.folder / "sft" / name).write_text("Captain, it is warm.")
    standing.forget_texts(ONE.id)
    texts = [one.read_bytes() for one in ONE.folder.rglob("*") if one.is_file()]
    assert texts and not any(b"Captain" in text for text in texts)
    assert standing.read(ONE.id).state == "done" and len(standing.curve(ONE.id)) == 1


def test_json_says_how_many_samples_and_not_which() -> None:
    told = ONE.json()
    assert "samples" not in told and "training" not in told
    assert (told["model"], told["sources"], told["when_idle"]) == (
        "smollm2:135m",
        ["a1", "b2"],
        True,
    )
    json.dumps(told)


def test_one_that_has_just_said_it_is_paused_goes_on_when_asked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that was at it need not have ended yet."""
    asked = []

    def train(parts: Parts, wanted: Training, *, on_progress: Any, **how: Any) -> None:
        asked.append(how["pinned"])
        standing.begin(ONE)
        on_progress(ONE)
        standing.write(ONE.with_(state="paused"))
        time.sleep(0.3)

    monkeypatch.setattr(planning, "plan", lambda parts, wanted, pinned=None: ONE)
    monkeypatch.setattr(training, "train_personal", train)
    with Parts(config.load()) as parts:
        runs = Runs(parts)
        runs.start(ONE.training)
        while runs.get(ONE.id).state != "paused":
            time.sleep(0.01)
        runs.resume(ONE.id)
        runs.close()
    assert [pinned is None for pinned in asked] == [True, False]
