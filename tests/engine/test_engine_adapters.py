"""Adapters on the real model: switched per request, loaded when asked for, never in the way."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from lora_gguf import random_adapter

from ondol.engine.llama import LlamaEngine
from ondol.engine.pool import AdapterFile, EnginePool, ModelSpec
from ondol.errors import AdapterNotFoundError, InvalidModelError, UsageError
from ondol.types import GenerateOptions, Message

pytestmark = pytest.mark.model

STORY = [Message("user", "Tell a very long story about a river")]
LONG = GenerateOptions(max_tokens=900)
OFF: dict[str, float] = {}
A, B, HALF = {"a": 1.0}, {"b": 1.0}, {"a": 0.5}


@pytest.fixture(scope="module")
def files(spec: ModelSpec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, AdapterFile]:
    """Two random adapters that fit the default model, by name."""
    folder = tmp_path_factory.mktemp("adapters")
    return {
        name: AdapterFile(
            name, random_adapter(spec.path, folder / name, seed=seed), f"sha256:{seed}"
        )
        for seed, name in enumerate("ab")
    }


@pytest.fixture
def installed(files: dict[str, AdapterFile]) -> list[AdapterFile]:
    """What is installed now; a test may change it while the pool runs."""
    return list(files.values())


@pytest.fixture
def adapted(make_pool, spec: ModelSpec, installed: list[AdapterFile]) -> EnginePool:
    return make_pool(locate=lambda name: replace(spec, name=name, adapters=tuple(installed)))


def heard(engine: LlamaEngine, adapters: dict[str, float], num_tokens: int = 8) -> list[tuple]:
    """The tokens of an answer with their log-probabilities: what a stale cache would colour."""
    options = GenerateOptions(num_tokens, temperature=0, logprobs=3, adapters=adapters)
    tokens = engine.complete("The capital of France is", options)
    return [(t.text, t.logprob) for t in tokens if t.logprob is not None]


def said(pool: EnginePool, adapters: dict[str, float]) -> list[tuple]:
    return heard(pool.engine("m"), adapters)


def pid(pool: EnginePool) -> int:
    (model,) = pool.loaded()
    return model.pid


def test_an_adapter_changes_the_answer_and_its_scale_says_how_much(adapted):
    answers = [said(adapted, adapters) for adapters in (OFF, A, B, HALF, A | B)]
    assert all(answers)
    assert len({str(answer) for answer in answers}) == 5
    assert said(adapted, {"a": 0.0}) == answers[0]
    assert len(adapted.loaded()) == 1


def test_switching_from_request_to_request_gives_the_cold_answers(adapted, make_pool, spec):
    kinds = [OFF, A, B, HALF]
    cold, warm = [], []
    for kind in kinds:
        adapted.stop("m")
        cold.append(said(adapted, kind))
        # The same prompt again is read from the cache, one token instead of all: other rounding.
        warm.append(said(adapted, kind))
    assert cold[0] == said(make_pool(), OFF)  # as if there were no adapter at all
    said(adapted, OFF)
    child, before = pid(adapted), 0
    for index in (1, 0, 2, 1, 1, 0, 0, 3, 3, 0):
        expected = warm if index == before else cold
        assert said(adapted, kinds[index]) == expected[index]
        before = index
    assert pid(adapted) == child


def test_answers_side_by_side_do_not_colour_each_other(adapted):
    alone = [said(adapted, kind) for kind in (OFF, A)]
    with ThreadPoolExecutor(2) as threads:
        for together in (threads.map(lambda kind: said(adapted, kind), (OFF, A)) for _ in range(3)):
            for one, other in zip(alone, together, strict=True):
                assert [text for text, _ in one] == [text for text, _ in other]


def test_a_conversation_keeps_its_cache_while_its_adapters_stay(adapted):
    options = replace(LONG, max_tokens=1, adapters=A)
    for _ in range(2):
        usage = list(adapted.engine("m").generate(STORY, options))[-1].usage
    assert usage.cached_tokens > 0


def test_an_engine_of_a_model_with_an_adapter_uses_it_unless_told_otherwise(adapted):
    engine = adapted.engine("m", adapters=A, name="m:a")
    assert engine.model == "m:a"
    for adapters, same in ((OFF, A), (B, B), ({"a": 0.0}, OFF)):
        expected = said(adapted, same)
        said(adapted, HALF)  # so that neither finds a cache
        assert heard(engine, adapters) == expected
        said(adapted, HALF)
    assert [m.name for m in adapted.loaded()] == ["m"]
    assert adapted.engine("m", adapters=B).load() < 0.05  # one process for all of them


def test_an_unknown_adapter_is_one_sentence(adapted):
    for ask in (
        lambda: said(adapted, {"c": 1.0}),
        lambda: said(adapted, {"c": 0.0}),
        adapted.engine("m", adapters={"c": 1.0}).load,
    ):
        with pytest.raises(AdapterNotFoundError) as caught:
            ask()
        assert caught.value.status == 404
        assert "m has no adapter c" in caught.value.message
        assert "ondol adapters list" in caught.value.hint
    with pytest.raises(UsageError):
        said(adapted, {"a": float("nan")})


def test_a_new_adapter_is_loaded_when_it_is_asked_for_and_not_before(adapted, installed, files):
    del installed[1]
    assert said(adapted, A)
    first = pid(adapted)
    installed.append(files["b"])
    off, on = said(adapted, OFF), said(adapted, A)
    assert pid(adapted) == first
    assert said(adapted, B)
    second = pid(adapted)
    assert second != first
    assert (said(adapted, OFF), said(adapted, A)) == (off, on)
    assert pid(adapted) == second


def test_a_running_answer_is_finished_before_a_new_adapter_is_loaded(
    adapted, installed, files, until
):
    del installed[1]
    tokens = adapted.engine("m").generate(STORY, replace(LONG, max_tokens=60, temperature=0))
    next(tokens)
    first = pid(adapted)
    installed.append(files["b"])
    with ThreadPoolExecutor(1) as thread:
        newer = thread.submit(said, adapted, B)
        until(lambda: adapted._demand.count["m"] == 2)
        rest = list(tokens)
        assert newer.result(60)
    assert len(rest) > 10 and rest[-1].finish_reason in ("stop", "length")
    assert pid(adapted) != first


def test_an_adapter_trained_anew_replaces_the_old_one(adapted, installed, files):
    old, base = said(adapted, A), said(adapted, OFF)
    installed[:] = [replace(files["b"], name="a", digest="sha256:new")]
    assert said(adapted, OFF) == base
    new = said(adapted, A)
    assert new not in (old, base)
    installed[:] = [files["b"]]
    assert said(adapted, B) == new


def test_a_removed_adapter_is_not_served_though_it_is_still_in_memory(adapted, installed):
    base = said(adapted, OFF)
    said(adapted, A)
    child = pid(adapted)
    installed.clear()
    with pytest.raises(AdapterNotFoundError):
        said(adapted, A)
    assert said(adapted, OFF) == base
    assert pid(adapted) == child


def test_adapters_are_back_after_a_crash(adapted):
    answer = said(adapted, A)
    os.kill(pid(adapted), signal.SIGKILL)
    assert said(adapted, A) == answer


def test_a_damaged_adapter_is_a_sentence_without_a_path(adapted, installed, tmp_path, files):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(files["a"].path.read_bytes()[:5000])
    installed[:] = [replace(files["a"], path=broken)]
    with pytest.raises(InvalidModelError) as caught:
        said(adapted, A)
    assert str(tmp_path) not in caught.value.message
    assert "m cannot be loaded with its adapter a" in caught.value.message
    assert "ondol adapters rm m:a" in caught.value.hint


def test_a_binary_switches_adapters_like_the_bundled_runtime(
    make_pool, spec, installed, llama_server, adapted
):
    binary = make_pool(
        runtime=str(llama_server),
        locate=lambda name: replace(spec, name=name, adapters=tuple(installed)),
    )
    for kind in (OFF, A, OFF, A | B, B):
        assert [text for text, _ in said(binary, kind)] == [text for text, _ in said(adapted, kind)]


def test_paths_of_adapters_reach_a_binary_as_flags(installed, spec):
    from ondol.engine.runtime import launch
    from ondol.engine.settings import EngineSettings
    from ondol.engine.worker import arguments

    def flags(spec: ModelSpec) -> list[str]:
        from dataclasses import asdict

        told = asdict(launch(spec, 512, EngineSettings(threads=1))) | {"socket": ""}
        return arguments(told, port=1)

    assert not [flag for flag in flags(spec) if "lora" in flag]
    given = flags(replace(spec, adapters=tuple(installed)))
    assert given.count("--lora-init-without-apply") == 1
    paths = [Path(given[i + 1]) for i, flag in enumerate(given) if flag == "--lora"]
    assert paths == [adapter.path for adapter in installed]


def test_a_given_reply_is_scored_with_the_adapters_of_its_request(adapted: EnginePool) -> None:
    engine, asked = adapted.engine("m"), [Message("user", "Say hi")]
    alone = engine.score(asked, "Hello.")
    other = engine.score(asked, "Hello.", GenerateOptions(adapters=A))
    assert other != pytest.approx(alone, abs=0.5)
    named = adapted.engine("m", adapters=A, name="m:a").score(asked, "Hello.")
    # Whether a prompt was read anew or is in the cache changes the last digits.
    assert named == pytest.approx(other, abs=0.1)
    assert engine.score(asked, "Hello.") == pytest.approx(alone, abs=0.1)
