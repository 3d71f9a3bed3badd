"""Trying a release out: every number it says is one, and the replies that its owner wants do not
become less likely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hub_scene import Scene, write_llama

from ondol.errors import EngineError, ModelTooLargeError, UpdateFailedError
from ondol.lab.evaluating import no_harm
from ondol.lab.evaluating.history import History
from ondol.lab.evaluating.results import Score
from ondol.models.inspection import About
from ondol.parts import Parts
from ondol.samples.records import Draft
from ondol.types import Message
from ondol.updating import trial
from ondol.updating.switching import Progress


class Engine:
    """A model that finds every letter as likely as ``loss`` says."""

    model = "m"

    def __init__(self, loss: float = 1.0, vectors: Any = ((1.0, 0.0), (0.0, 1.0))) -> None:
        self.loss, self.vectors = loss, np.asarray(vectors)

    def score(self, messages: object, reply: str, options: object = None) -> list[float]:
        return [-self.loss - (len(reply) % 7) / 100] * len(reply)

    def generate(self, messages: object, options: object) -> Iterator[object]:
        yield from ()

    def embed(self, texts: object) -> Any:
        return self.vectors

    def rerank(self, query: str, texts: Sequence[str]) -> list[float]:
        return [float(value) for value in self.vectors[:, 0]]


@pytest.mark.parametrize(
    ("kind", "engine", "dimensions"),
    [
        ("chat", Engine(float("nan")), None),
        ("chat", Engine(float("inf")), None),
        ("embedding", Engine(vectors=[[0.0, 0.0], [0.0, 0.0]]), 2),
        ("embedding", Engine(vectors=[[float("nan"), 1.0], [1.0, 0.0]]), 2),
        ("embedding", Engine(), 3),
        ("reranker", Engine(vectors=[[float("nan")], [1.0]]), None),
        ("reranker", Engine(vectors=[[1.0]]), None),
    ],
)
def test_what_says_no_numbers_does_not_pass(kind: str, engine: Any, dimensions: int | None) -> None:
    with pytest.raises(UpdateFailedError, match="are not numbers"):
        trial.check(kind, "m", engine, dimensions)


@pytest.mark.parametrize("kind", ["chat", "embedding", "reranker"])
def test_what_says_numbers_passes(kind: str) -> None:
    trial.check(kind, "m", Engine(), None)  # type: ignore[arg-type]


def test_an_engine_that_fails_is_told_with_its_sentence() -> None:
    engine = Engine()

    def fail(*_: object) -> list[float]:
        raise EngineError("It stopped.")

    engine.score = fail  # type: ignore[method-assign]
    with pytest.raises(UpdateFailedError, match="It stopped"):
        trial.check("chat", "m", engine, None)  # type: ignore[arg-type]


@pytest.fixture
def heard(parts: Parts, hub: Scene) -> Parts:
    """A device with a model, and with replies that its owner wants."""
    file = write_llama(hub.work / "heard.gguf", 21)
    parts.store.add("tiny:1m", [parts.store.stage(file, "weights", file.name)], About())
    source = parts.kept.samples.add_source("writing", "letters")
    drafts = [
        Draft("sft", f"c{number}", (Message("user", f"Question {number}?"),), f"Yes, {number}" * 3)
        for number in range(80)
    ]
    parts.kept.samples.add(source.id, drafts)
    assert len(parts.kept.samples.all(held_out=True)) >= trial.FEWEST_GROUPS
    return parts


def compare(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, before: float, after: float
) -> tuple[Any, list[Progress]]:
    """Try a model with the loss ``after`` in the place of one with the loss ``before``."""

    @contextmanager
    def loaded(*_: object) -> Iterator[Engine]:
        yield Engine(after)

    monkeypatch.setattr(trial, "loaded", loaded)
    monkeypatch.setattr(Parts, "engine", lambda self, name: Engine(before))
    told: list[Progress] = []
    model = parts.store.get("tiny:1m")
    return trial.try_model(parts, model, model, told.append), told


def test_a_model_that_its_owner_would_like_less_is_refused(
    heard: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UpdateFailedError, match=r"less likely than before: by 0\.50 nats a letter"):
        compare(heard, monkeypatch, 1.0, 1.5)


def test_a_model_that_is_no_worse_passes_and_says_what_was_measured(
    heard: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, told = compare(heard, monkeypatch, 1.5, 1.0)
    assert tried.gate["reply_loss_a_letter"]["value"] == pytest.approx(-0.5)
    steps = [one for one in told if one.step == "gate"]
    assert steps and steps[-1].completed == steps[-1].total
    assert len(steps) <= 2 * (trial.MOST_HEARD + no_harm.num_items(trial.SUITES))


def test_without_enough_of_its_owners_replies_nothing_is_compared(
    parts: Parts, hub: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(hub.work / "unheard.gguf", 22)
    parts.store.add("tiny:1m", [parts.store.stage(file, "weights", file.name)], About())
    tried, told = compare(parts, monkeypatch, 1.0, 9.0)
    assert list(tried.gate) == ["suites"]
    assert [one.step for one in told].count("gate") == 2 * no_harm.num_items(trial.SUITES)


def test_a_model_that_does_less_of_what_it_is_told_is_refused(
    parts: Parts, hub: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(hub.work / "obeyed.gguf", 24)
    parts.store.add("tiny:1m", [parts.store.stage(file, "weights", file.name)], About())

    def hear(engine: Engine, *_: object) -> no_harm.Heard:
        right = {f"i{number}": engine.loss < 2 for number in range(9)}
        return (Score("instructions", right),)

    monkeypatch.setattr(no_harm, "hear", hear)
    with pytest.raises(UpdateFailedError, match="100% to 0% of the suite instructions"):
        compare(parts, monkeypatch, 1.0, 9.0)
    with History.open() as history:
        assert [one.purpose for one in history.all()] == ["update", "update"]


def test_where_both_have_no_room_the_one_that_serves_makes_it(
    parts: Parts, hub: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_llama(hub.work / "large.gguf", 23)
    parts.store.add("tiny:1m", [parts.store.stage(file, "weights", file.name)], About())
    model = parts.store.get("tiny:1m")
    stopped: list[str] = []

    class Full:
        def load(self) -> float:
            if not stopped:
                raise ModelTooLargeError("There is no room.")
            return 0.0

    class Pool:
        def __enter__(self) -> Pool:
            return self

        def __exit__(self, *_: object) -> None:
            return None

        def engine(self, name: str, adapters: object) -> Full:
            return Full()

    def stop(self: Parts, name: str) -> bool:
        stopped.append(name)
        return True

    monkeypatch.setattr(trial, "_pool", lambda *_: Pool())
    monkeypatch.setattr(Parts, "stop", stop)
    with trial.loaded(parts, trial.spec_of(parts, model), model.name):
        assert stopped == ["tiny:1m"]
    stopped.clear()
    monkeypatch.setattr(Parts, "stop", lambda self, name: False)
    with (
        pytest.raises(UpdateFailedError, match="There is no room"),
        trial.loaded(parts, trial.spec_of(parts, model), model.name),
    ):
        pass
