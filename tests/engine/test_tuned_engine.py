"""The engine with the default model's weights in other formats: the grounding adapter fits them,
and what is served changes with the next request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ondol.engine.pool import AdapterFile, EnginePool, ModelSpec
from ondol.engine.running import Running
from ondol.models.adapters import SHIPPED
from ondol.models.formats import requantise
from ondol.prompt import GROUNDING, build_prompt
from ondol.types import GenerateOptions, Quote

pytestmark = pytest.mark.model

GROUNDED = GenerateOptions(max_tokens=12, temperature=0.0, adapters={"grounding": 1.0})
SENTENCES = (
    "The garden has three apple trees.",
    "The warranty of the washing machine ends on 3 May 2027.",
    "The ferry leaves Pentreath at 7:15.",
)
REPLY = "3 May 2027 [2]"


@pytest.fixture(scope="module")
def served(spec: ModelSpec) -> list[ModelSpec]:
    """What is installed now; a test may change it while the pool runs."""
    file = SHIPPED / "smollm2-135m-grounding.gguf"
    return [replace(spec, adapters=(AdapterFile("grounding", file, "sha256:g"),))]


@pytest.fixture(scope="module")
def tuned_pool(make_pool, served: list[ModelSpec]) -> EnginePool:
    return make_pool(locate=lambda name: served[0], num_parallel=1)


def heard(pool: EnginePool, name: str) -> tuple[str, list[float], int]:
    """The answer about the documents, how likely the right one is token by token, and who said
    it."""
    quotes = [
        Quote(number, text, "papers.md", 0, len(text), 1.0)
        for number, text in enumerate(SENTENCES, start=1)
    ]
    messages = build_prompt("When does the warranty end?", quotes, (), GROUNDING)
    engine = pool.engine(name)
    text = "".join(token.text for token in engine.generate(messages, GROUNDED))
    return text, engine.score(messages, REPLY, GROUNDED), pool.loaded()[0].pid


def test_grounding_adapter_answers_alike_on_every_wider_format(
    tuned_pool: EnginePool, served: list[ModelSpec], tmp_path: Path
) -> None:
    came = served[0]
    text, likely, pid = heard(tuned_pool, came.name)
    assert "3 May 2027" in text
    pids = {pid}
    for format in ("F16", "Q8_0"):
        file = tmp_path / f"{format}.gguf"
        requantise(came.path, file, format)
        served[0] = replace(came, path=file, size_bytes=file.stat().st_size)
        same, alike, pid = heard(tuned_pool, came.name)
        assert pid not in pids, "the change of weights was not noticed"
        pids.add(pid)
        assert "3 May 2027" in same
        assert alike == pytest.approx(likely, abs=0.5), format
    served[0] = replace(served[0], running=Running(threads=1, ubatch_tokens=64))
    text, _, pid = heard(tuned_pool, came.name)
    assert pid not in pids and "3 May 2027" in text
    served[0] = came
