"""The cuts we compute are those of the real engine's sampler; what is watched is what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ondol.engine.llama import LlamaEngine
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.lab.exploring.sampler import Shape, spread
from ondol.lab.exploring.watching import Sample
from ondol.types import Alternative, GenerateOptions, Message

pytestmark = pytest.mark.model

VOCABULARY = 49152
PROMPTS = ("The capital of France is", "Once upon a time there was a", "The three colours are red,")
SHAPES = (
    Shape(),
    Shape(0.3, 40, 0.9, 0.05),
    Shape(1.5, 0, 1.0, 0.02),
    Shape(1.0, 5, 1.0, 0.0),
    # Top-p of what top-k left is not top-p of everything.
    Shape(1.0, 3, 0.8, 0.0),
    Shape(0.7, 10, 0.5, 0.1),
    Shape(1.0, 0, 0.6, 0.0),
    Shape(2.0, 100, 0.99, 0.3),
    Shape(0.0, 40, 0.95, 0.05),
)


@pytest.fixture(scope="module")
def engine(chat_model_file: Path) -> Iterator[LlamaEngine]:
    size = chat_model_file.stat().st_size
    spec = ModelSpec("smollm2:135m", chat_model_file, "sha256:1", size, num_ctx=8192)
    settings = EngineSettings(num_ctx=1024, start_timeout_seconds=60)
    with EnginePool(settings, lambda name: spec) as pool:
        yield pool.engine("smollm2:135m")


def body(prompt: str, shape: Shape, **more: Any) -> dict[str, Any]:
    sampling = {
        "temperature": shape.temperature,
        "top_k": shape.top_k,
        "top_p": shape.top_p,
        "min_p": shape.min_p,
    }
    return {"prompt": prompt, "n_predict": 1, "seed": 1, **sampling, **more}


def first(engine: LlamaEngine, body: dict[str, Any]) -> dict[str, Any]:
    found = engine._ask("/completion", body, slot=True)["completion_probabilities"][0]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("prompt", PROMPTS)
def test_what_is_kept_is_what_the_engine_keeps(engine: LlamaEngine, prompt: str) -> None:
    told = first(engine, body(prompt, SHAPES[0], n_probs=1000))["top_logprobs"]
    top = [Alternative(one["token"], one["logprob"]) for one in told]
    assert len(top) == 1000
    for shape in SHAPES:
        found = spread(top, shape, VOCABULARY)
        real = first(engine, body(prompt, shape, n_probs=2000, post_sampling_probs=True))
        probabilities = [one["prob"] for one in real["top_probs"]]
        kept = [row.after for row in found.rows if not row.cut and row.after > 0]
        if not found.is_whole:
            assert len(probabilities) >= len(kept)
            continue
        assert len(kept) == len(probabilities), (shape, found.kept)
        assert kept == pytest.approx(probabilities, abs=2e-4)


def test_every_token_that_is_said_was_kept(engine: LlamaEngine) -> None:
    for shape in (Shape(1.5, 0, 0.7, 0.0), Shape(1.2, 4, 0.9, 0.0), Shape(1.5, 0, 1.0, 0.1)):
        sample = Sample(shape, 7, VOCABULARY)
        start = sample.watching(lambda given: engine.generate([Message("user", "Say why.")], given))
        steps = list(sample.steps(start(sample.options(24))))
        assert len(steps) > 4
        assert "".join(step.text for step in steps) == sample.text
        for step in steps:
            assert step.rank is not None and step.entropy is not None
            assert step.rank <= step.kept or not step.is_whole, (shape, step)
            low, high = step.entropy
            assert 0 <= low <= high < low + 1.5


def test_sampler_changes_nothing_of_what_is_reported_before_it(engine: LlamaEngine) -> None:
    plain = Sample(Shape(0.0), 1, VOCABULARY)
    wild = Sample(Shape(1.9, 0, 1.0, 0.0), 1, VOCABULARY)
    firsts = []
    for sample in (plain, wild):
        start = sample.watching(lambda given: engine.complete("The sky is", given))
        firsts.append(next(sample.steps(start(sample.options(1)))))
    assert [row.logprob for row in firsts[0].rows] == [row.logprob for row in firsts[1].rows]


def test_judge_is_given_no_more_than_it_asked_for(engine: LlamaEngine) -> None:
    sample = Sample(Shape(), 1, VOCABULARY)
    start = sample.watching(lambda given: engine.complete("The sky is", given))
    tokens = list(start(GenerateOptions(max_tokens=2, logprobs=3)))
    assert [len(token.top) for token in tokens if token.text] == [3, 3]
    assert all(not token.top for token in start(GenerateOptions(max_tokens=2)) if token.text)
