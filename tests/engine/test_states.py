"""Saved states on the real model: what was read once is not read again, and answers stay the same,
byte for byte; nothing that goes wrong with a state costs more than time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from lora_gguf import random_adapter

from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.pool import AdapterFile, EnginePool, ModelSpec
from ondol.engine.running import Running
from ondol.engine.states import folder, keeping
from ondol.engine.wire import connect
from ondol.types import GenerateOptions, Message, Usage

pytestmark = pytest.mark.model

PRICES = "Answer from this list only.\n" + " ".join(
    f"The price of item {number} is {number * 7 % 50} won." for number in range(6)
)
LIST = Message("system", PRICES)
QUESTIONS = ("How much is item 3?", "What is listed?", "Which item is free?")


@pytest.fixture(autouse=True)
def short_beginnings_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of six items is enough for a test."""
    monkeypatch.setattr(keeping, "LEAST_TOKENS", 64)


@pytest.fixture
def make(spec: ModelSpec, make_pool) -> Iterator[Callable[..., EnginePool]]:
    """Pools one after the other, as after a restart, whose states are in this test's home."""
    pools: list[EnginePool] = []

    def begin(**changes) -> EnginePool:
        for pool in pools:
            pool.close()
        states_mb = changes.pop("states_mb", 64)
        running = Running(states_folder=folder.given(states_mb))
        spec_now = replace(spec, running=running, **changes)
        pools.append(make_pool(locate=lambda name: spec_now, states_mb=states_mb))
        return pools[-1]

    yield begin
    for pool in pools:
        pool.close()


def asked(pool: EnginePool, question: str, *before: Message, **options) -> tuple[str, Usage]:
    given = GenerateOptions(max_tokens=12, temperature=0, **options)
    messages = [LIST, *before, Message("user", question)]
    tokens = list(pool.engine("m").generate(messages, given))
    assert tokens[-1].usage is not None
    return "".join(token.text for token in tokens), tokens[-1].usage


def test_an_answer_is_the_same_with_and_without_its_state(make) -> None:
    pool = make(states_mb=0)
    before = []
    for question in QUESTIONS:
        # Read in the same pieces: the beginning, then the question.
        assert pool.engine("m").prepare([LIST], pin="list").size_bytes == 0
        before.append(asked(pool, question)[0])
    assert folder.used_bytes() == 0
    pool = make()
    saved = pool.engine("m").prepare([LIST], pin="list")
    assert folder.used_bytes() == saved.size_bytes > 1_000_000
    pool = make()
    for question, answer in zip(QUESTIONS, before, strict=True):
        text, usage = asked(pool, question)
        assert text == answer
        assert usage.cached_tokens == saved.tokens > 64
    assert oct(folder.directory().stat().st_mode & 0o777) == "0o700"


def test_what_two_prompts_begin_with_is_saved_and_their_conversation_is_kept(make, until) -> None:
    pool = make()
    first, _ = asked(pool, QUESTIONS[0])
    assert folder.used_bytes() == 0
    turns = Message("user", QUESTIONS[0]), Message("assistant", first)
    asked(pool, QUESTIONS[1], *turns)
    until(lambda: folder.used_bytes() > 0)
    until(lambda: pool.loaded()[0].in_use == 0)
    # Not even what came after the beginning has to be read again.
    _, usage = asked(pool, QUESTIONS[1] + " Say it.", *turns)
    assert usage.cached_tokens > usage.prompt_tokens - 24
    _, usage = asked(make(), QUESTIONS[2])
    assert usage.cached_tokens > 64
    assert [path for path in folder.directory().iterdir() if "passing" in path.name] == []


def test_a_damaged_state_is_gone_and_the_answer_comes(make) -> None:
    pool = make()
    pool.engine("m").prepare([LIST], pin="list")
    (state,) = folder.owned("list")
    text, _ = asked(pool, QUESTIONS[0])
    state.write_bytes(state.read_bytes()[:500_000] + b"\0" * 1000)
    again, usage = asked(make(), QUESTIONS[0])
    assert len(again) > 0 and len(text) > 0
    assert usage.cached_tokens == 0
    assert folder.owned("list") == []


def test_a_state_is_of_its_adapters_at_their_scales(make, spec, tmp_path: Path) -> None:
    file = random_adapter(spec.path, tmp_path / "a", seed=1)
    adapters = (AdapterFile("a", file, "sha256:a"),)
    pool = make(adapters=adapters)
    on = GenerateOptions(adapters={"a": 0.5})
    saved = pool.engine("m").prepare([LIST], on, pin="list")
    coloured, _ = asked(pool, QUESTIONS[0], adapters={"a": 0.5})
    pool = make(adapters=adapters)
    assert asked(pool, QUESTIONS[0])[1].cached_tokens == 0
    text, usage = asked(pool, QUESTIONS[0], adapters={"a": 0.5})
    assert (text, usage.cached_tokens) == (coloured, saved.tokens)
    assert asked(pool, QUESTIONS[0], adapters={"a": 1.0})[1].cached_tokens == 0


def test_what_is_forgotten_while_it_is_read_is_not_kept(make, monkeypatch) -> None:
    pool = make()
    real = keeping.prefix_tokens

    def forgotten_meanwhile(*given) -> list[int]:
        folder.erase_all_but(set())
        return real(*given)

    monkeypatch.setattr(keeping, "prefix_tokens", forgotten_meanwhile)
    assert pool.engine("m").prepare([LIST], pin="list").size_bytes == 0
    assert folder.used_bytes() == 0


def test_who_cancels_a_long_reading_waits_no_more_and_leaves_nothing_of_it(
    make, until, monkeypatch
) -> None:
    monkeypatch.setattr(keeping, "PIECE_TOKENS", 32)
    pool, reading = make(), Cancellation()
    pool.engine("m").load()
    (loaded,) = pool.loaded()
    launched = next(iter(pool._residents.values())).process
    long = Message("system", " ".join(f"Item {number} is blue." for number in range(120)))

    def is_at_work() -> bool:
        with connect(launched.address, launched.key) as client:
            return any(slot["is_processing"] for slot in client.get("/slots").json())

    read = partial(pool.engine("m").prepare, [long], pin="long", cancellation=reading)
    with ThreadPoolExecutor(1) as other:
        going = other.submit(read)
        until(is_at_work)
        reading.cancel()
        with pytest.raises(Cancelled):
            going.result(timeout=20)
    # The process neither reads on nor is thought to have crashed, and its seat is nobody's.
    until(lambda: not is_at_work())
    (after,) = pool.loaded()
    assert (after.pid, after.in_use) == (loaded.pid, 0)
    assert list(folder.directory().iterdir()) == []
    with pytest.raises(Cancelled):
        read()
    assert asked(pool, QUESTIONS[0])[0]
