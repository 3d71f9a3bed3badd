"""The pool over real child processes: loading, sharing, keeping, evicting, crashing, closing."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import psutil
import pytest

from ondol.engine.pool import EnginePool
from ondol.errors import (
    EngineBusyError,
    EngineCrashedError,
    EngineError,
    InvalidModelError,
    ModelNotFoundError,
    ModelTooLargeError,
)
from ondol.types import GenerateOptions, Message

STORY = [Message("user", "Tell a very long story about a river")]
LONG = GenerateOptions(max_tokens=900)
SHORT = GenerateOptions(max_tokens=2)


def say(pool, model="a", **options) -> str:
    return "".join(t.text for t in pool.engine(model, **options).generate(STORY, SHORT))


def names(pool) -> list[str]:
    return [m.name for m in pool.loaded()]


def pid(pool, model="a") -> int:
    (found,) = [m.pid for m in pool.loaded() if m.name == model]
    return found


def test_an_engine_costs_nothing_until_it_is_used(make_pool):
    pool = make_pool()
    assert pool.engine("a").model == "a"
    assert pool.loaded() == []


def test_a_model_is_loaded_once_for_many_threads_and_reported(make_pool):
    pool = make_pool()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: say(pool), range(4)))
    assert all(answers)
    (model,) = pool.loaded()
    assert (model.name, model.digest, model.num_ctx, model.in_use) == ("a", "sha256:1", 1024, 0)
    assert model.size_bytes > 50_000_000
    assert 0 < (model.expires_at - datetime.now(UTC)).total_seconds() <= 300
    # The threads that loaded it have ended; the child must not end with them.
    assert say(pool)
    assert pid(pool) == model.pid


def test_loading_ahead_makes_the_first_answer_quick_and_zero_unloads(make_pool, gone, until):
    pool = make_pool()
    assert pool.load("a", keep_alive_seconds=math.inf) > 0.05
    child = pid(pool)
    assert pool.loaded()[0].expires_at is None
    assert say(pool)
    assert pid(pool) == child
    assert say(pool, keep_alive_seconds=0)
    assert pool.loaded() == []
    until(lambda: gone(child))


def test_an_idle_model_leaves_by_itself(make_pool, gone, until):
    pool = make_pool()
    pool.load("a", keep_alive_seconds=math.inf)
    child = pid(pool)
    say(pool, keep_alive_seconds=0.2)
    until(lambda: gone(child))
    assert pool.loaded() == []


def test_a_model_in_use_does_not_expire(make_pool):
    pool = make_pool()
    tokens = pool.engine("a", keep_alive_seconds=0.01).generate(STORY, LONG)
    next(tokens)
    pool.load("b", keep_alive_seconds=0)  # time passes
    assert next(tokens).text
    tokens.close()


def test_the_least_recently_used_idle_model_makes_room(make_pool):
    pool = make_pool(max_loaded_models=2)
    for model in ("a", "b", "a", "c"):
        pool.load(model)
    assert set(names(pool)) == {"a", "c"}


def test_a_model_in_use_is_never_evicted_and_the_next_waits_for_it(make_pool, until):
    pool = make_pool(max_loaded_models=1)
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    with ThreadPoolExecutor(1) as thread:
        other = thread.submit(say, pool, "b")
        until(lambda: pool._demand.count["b"] == 1)
        assert next(tokens).text
        assert names(pool) == ["a"]
        tokens.close()
        assert other.result(30)
    assert names(pool) == ["b"]


def test_a_wait_for_room_ends(make_pool):
    pool = make_pool(max_loaded_models=1, start_timeout_seconds=5)
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    pool.settings = replace(pool.settings, start_timeout_seconds=0.2)
    with pytest.raises(EngineBusyError):
        say(pool, "b")
    tokens.close()


def test_memory_decides_who_stays(make_pool):
    free = [10]
    pool = make_pool(
        memory_need=lambda spec, num_ctx: 6 if spec.name != "huge" else 100,
        available_bytes=lambda: free[0] - 0,
    )
    pool.load("a")
    free[0] = 5
    with pytest.raises(ModelTooLargeError) as caught:
        pool.load("huge")
    assert caught.value.hint
    assert names(pool) == []  # the idle one was evicted in the attempt
    free[0] = 10
    pool.load("b")
    assert names(pool) == ["b"]


def test_a_larger_context_reloads_and_a_smaller_one_does_not(make_pool):
    pool = make_pool()
    say(pool)
    first = pid(pool)
    say(pool, num_ctx=512)
    assert pid(pool) == first
    say(pool, num_ctx=2048)
    second = pid(pool)
    assert second != first
    assert pool.loaded()[0].num_ctx == 2048
    say(pool)
    assert pid(pool) == second


def test_a_context_is_never_longer_than_the_models(make_pool, spec):
    pool = make_pool(locate=lambda name: replace(spec, num_ctx=300))
    pool.load("a", num_ctx=100_000)
    assert pool.loaded()[0].num_ctx == 300


def test_a_larger_context_waits_for_the_answer_that_is_being_given(make_pool, until):
    pool = make_pool()
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    with ThreadPoolExecutor(1) as thread:
        larger = thread.submit(say, pool, num_ctx=2048)
        until(lambda: pool._demand.count["a"] == 2)
        assert next(tokens).text
        tokens.close()
        assert larger.result(30)
    assert pool.loaded()[0].num_ctx == 2048


def test_a_model_that_was_pulled_anew_is_reloaded(make_pool, spec):
    digest = ["sha256:1"]
    pool = make_pool(locate=lambda name: replace(spec, name=name, digest=digest[0]))
    pool.load("a")
    digest[0] = "sha256:2"
    say(pool)
    assert [m.digest for m in pool.loaded()] == ["sha256:2"]


def test_requests_beyond_the_queue_are_refused_and_the_queue_is_served(make_pool, until):
    pool = make_pool(num_parallel=1, max_queue=1)
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(say, pool)
        until(lambda: pool.loaded()[0].in_use == 2)
        with pytest.raises(EngineBusyError) as caught:
            say(pool)
        assert caught.value.retry_after_seconds > 0
        tokens.close()
        assert waiting.result(30)


def test_a_request_in_the_queue_can_be_cancelled(make_pool, until):
    pool = make_pool(num_parallel=1)
    running = pool.engine("a").generate(STORY, LONG)
    next(running)
    queued = pool.engine("a").generate(STORY, SHORT)
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(queued))
    reader.start()
    until(lambda: pool.loaded()[0].in_use == 2)
    queued.close()
    reader.join(20)
    assert [t.finish_reason for t in seen] == ["cancelled"]
    assert next(running).text
    running.close()


def test_requests_run_side_by_side_in_their_slots(make_pool):
    pool = make_pool(num_parallel=2)
    one, two = (pool.engine("a").generate(STORY, LONG) for _ in range(2))
    assert next(one).text and next(two).text and next(one).text
    assert pool.loaded()[0].in_use == 2
    one.close()
    two.close()


def test_stop_unloads_now_or_after_the_answer(make_pool, gone, until):
    pool = make_pool()
    assert pool.stop("a") is False
    pool.load("a")
    child = pid(pool)
    assert pool.stop("a") is True
    until(lambda: gone(child))
    tokens = pool.engine("a").generate(STORY, GenerateOptions(max_tokens=5))
    next(tokens)
    assert pool.stop("a") is True
    assert len(list(tokens)) >= 2
    assert pool.loaded() == []


def test_a_killed_child_is_a_clear_error_and_the_next_request_works(make_pool):
    pool = make_pool()
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    os.kill(pid(pool), signal.SIGKILL)
    with pytest.raises(EngineCrashedError) as caught:
        list(tokens)
    assert "SIGKILL" in caught.value.message
    assert say(pool)


def test_both_requests_of_a_killed_child_fail_and_both_can_repeat(make_pool):
    pool = make_pool(num_parallel=2)
    streams = [pool.engine("a").generate(STORY, LONG) for _ in range(2)]
    for tokens in streams:
        next(tokens)
    os.kill(pid(pool), signal.SIGKILL)
    for tokens in streams:
        with pytest.raises(EngineCrashedError):
            list(tokens)
    assert say(pool) and say(pool)


def test_a_child_killed_while_idle_is_nobodys_loss(make_pool):
    pool = make_pool()
    say(pool)
    os.kill(pid(pool), signal.SIGKILL)
    assert say(pool)
    os.kill(pid(pool), signal.SIGKILL)
    assert pool.engine("a").count_tokens("hello world") == 2


def test_a_waiting_request_survives_the_crash_of_the_one_before(make_pool, until):
    pool = make_pool(num_parallel=1)
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(say, pool)
        until(lambda: pool.loaded()[0].in_use == 2)
        os.kill(pid(pool), signal.SIGKILL)
        with pytest.raises(EngineCrashedError):
            list(tokens)
        assert waiting.result(30)


@pytest.mark.slow
def test_a_few_kills_at_any_point_lose_nothing(make_pool):
    sys.path.insert(0, str(kill_folder()))
    try:
        import engine as kill
    finally:
        sys.path.pop(0)
    report = kill.run(make_pool(), "a", points=4, seed=1)
    assert report.failures == []
    assert report.crashed + report.survived == 4


def kill_folder():
    from pathlib import Path

    return Path(__file__).parents[2] / "benchmarks" / "kill"


def test_a_damaged_file_is_a_sentence_for_everyone_who_waits(make_pool, spec, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(spec.path.read_bytes()[:20_000_000])
    pool = make_pool(
        locate=lambda name: replace(spec, name=name, path=broken if name == "broken" else spec.path)
    )
    with ThreadPoolExecutor(3) as threads:
        tries = [threads.submit(say, pool, "broken") for _ in range(3)]
        errors = [t.exception(60) for t in tries]
    assert all(isinstance(e, InvalidModelError) for e in errors)
    assert "corrupted or incomplete" in errors[0].message
    assert "ondol pull broken" in errors[0].hint
    assert str(tmp_path) not in errors[0].message
    assert say(pool, "a")
    assert names(pool) == ["a"]


def test_a_missing_file_and_a_missing_name_are_sentences(make_pool, spec, tmp_path):
    def locate(name):
        if name == "nobody":
            raise ModelNotFoundError("no nobody")
        return replace(spec, name=name, path=tmp_path / "gone.gguf")

    pool = make_pool(locate=locate)
    with pytest.raises(InvalidModelError):
        say(pool, "a")
    with pytest.raises(ModelNotFoundError):
        say(pool, "nobody")
    assert pool.stop("nobody") is False


def test_a_start_that_takes_too_long_is_a_sentence(make_pool):
    pool = make_pool(start_timeout_seconds=0.001)
    with pytest.raises(EngineError) as caught:
        say(pool)
    assert "start_timeout_seconds" in caught.value.hint


def test_closing_ends_everything_and_says_so(make_pool, gone, until):
    pool = make_pool(num_parallel=1)
    tokens = pool.engine("a").generate(STORY, LONG)
    next(tokens)
    child = pid(pool)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(say, pool)
        until(lambda: pool.loaded()[0].in_use == 2)
        pool.close()
        assert isinstance(waiting.exception(20), EngineError)
    with pytest.raises(EngineError) as caught:
        list(tokens)
    assert not isinstance(caught.value, EngineCrashedError)
    assert gone(child)
    with pytest.raises(EngineError):
        say(pool)
    pool.close()


def test_closing_ends_a_load(make_pool, until):
    pool = make_pool()
    with ThreadPoolExecutor(1) as thread:
        loading = thread.submit(pool.load, "a")
        until(lambda: pool._loading)
        pool.close()
        assert isinstance(loading.exception(20), EngineError)
    assert pool.loaded() == []


def test_a_pool_is_a_context_manager_and_leaves_no_thread(spec):
    from ondol.engine.pool import EngineSettings

    with EnginePool(EngineSettings(num_ctx=512), lambda name: spec) as pool:
        pool.load("a")
    assert not any("reaper" in t.name and t.is_alive() for t in [pool._reaper])


PARENT = """
import json, sys, threading
from pathlib import Path
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.engine.process import EngineProcess
from ondol.engine.runtime import launch

runtime, path, when = sys.argv[1:]
spec = ModelSpec("a", Path(path), "sha256:1", 1, num_ctx=8192)
settings = EngineSettings(runtime=runtime, num_ctx=512)
if when == "loading":
    pids = [EngineProcess(launch(spec, 512, settings)).pid]
else:
    import psutil
    pool = EnginePool(settings, lambda name: spec)
    loader = threading.Thread(target=pool.load, args=("a",))
    loader.start()
    loader.join()
    pids = [p.pid for p in psutil.Process().children(recursive=True)]
print(json.dumps(pids), flush=True)
if when == "exit":
    sys.exit(0)
threading.Event().wait()
"""


@pytest.mark.parametrize("when", ["loading", "loaded", "exit"])
@pytest.mark.parametrize("runtime", ["bundled", "binary"])
def test_no_child_outlives_its_parent(runtime, when, spec, llama_server, gone, until):
    runtime = str(llama_server) if runtime == "binary" else runtime
    command = [sys.executable, "-c", PARENT, runtime, str(spec.path), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        pids = json.loads(parent.stdout.readline())
        assert pids
        if when != "exit":
            parent.send_signal(signal.SIGKILL)
        parent.wait(30)
        until(lambda: all(gone(p) for p in pids))


TALKER = """
import sys
from pathlib import Path
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.types import GenerateOptions, Message

spec = ModelSpec("a", Path(sys.argv[1]), "sha256:1", 1, num_ctx=8192)
with EnginePool(EngineSettings(num_ctx=1024), lambda name: spec) as pool:
    print("starting", flush=True)
    for token in pool.engine("a").generate([Message("user", "A long story")], GenerateOptions(900)):
        print(pool.loaded()[0].pid, flush=True)
"""


@pytest.mark.parametrize("line", [1, 2])
def test_ctrl_c_ends_the_program_and_its_child(line, spec, gone, until):
    command = [sys.executable, "-c", TALKER, str(spec.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=subprocess.DEVNULL) as program:
        for _ in range(line):
            said = program.stdout.readline()
        children = psutil.Process(program.pid).children(recursive=True)
        program.send_signal(signal.SIGINT)
        assert program.wait(30) == -signal.SIGINT
    assert said == b"starting\n" or children
    until(lambda: all(gone(child.pid) for child in children))
