"""The estimate, against the formula's parts and against a real engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.models.gguf import GgufHeader, read_header
from ondol.models.gguf_reader import Elided, TensorInfo
from ondol.models.memory import MIB, guess_need, memory_need

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "memory" / "run.py"
LLAMA = {
    "block_count": 30,
    "embedding_length": 576,
    "feed_forward_length": 1536,
    "attention.head_count": 9,
    "attention.head_count_kv": 3,
}


def header(architecture: str = "llama", **numbers: object) -> GgufHeader:
    """A header with the default model's numbers, or others; underscores in names mean dots."""
    given = {**LLAMA, **{name.replace("__", "."): value for name, value in numbers.items()}}
    metadata = {f"{architecture}.{name}": value for name, value in given.items()}
    metadata |= {
        "general.architecture": architecture,
        "tokenizer.ggml.tokens": Elided(49_152),
        "tokenizer.ggml.merges": Elided(48_900),
    }
    tensors = (TensorInfo("token_embd.weight", (576, 49_152), "Q8_0", 0, 30_081_024),)
    return GgufHeader(3, MappingProxyType(metadata), tensors, 0, 2**30)


def cache_mib(model: GgufHeader, num_ctx: int = 4096, **options: object) -> float:
    return memory_need(model, num_ctx, **options).kv_cache_bytes / MIB  # type: ignore[arg-type]


def test_the_cache_holds_keys_and_values_of_every_layer() -> None:
    assert cache_mib(header()) == 30 * 3 * (64 + 64) * 4096 * 2 / MIB == 90


@pytest.mark.parametrize(("num_ctx", "cells"), [(1, 256), (1000, 1024), (1024, 1024)])
def test_the_cache_is_rounded_up_as_the_engine_does(num_ctx: int, cells: int) -> None:
    assert cache_mib(header(), num_ctx) == cache_mib(header(), cells)


@pytest.mark.parametrize(("cache_type", "bits"), [("f32", 32), ("q8_0", 8.5), ("q4_0", 4.5)])
def test_the_cache_type_decides_its_size(cache_type: str, bits: float) -> None:
    assert cache_mib(header(), cache_type=cache_type) == pytest.approx(90 * bits / 16)


def test_requests_have_caches_of_their_own_unless_they_share() -> None:
    assert cache_mib(header(), num_parallel=4) == 4 * 90
    assert cache_mib(header(), num_parallel=4, kv_unified=True) == 90


def test_an_unknown_cache_type_is_refused() -> None:
    with pytest.raises(ValueError, match="q9_9"):
        memory_need(header(), 4096, cache_type="q9_9")


def test_layers_without_attention_have_no_cache() -> None:
    heads = tuple(3 if layer % 3 == 0 else 0 for layer in range(30))
    assert cache_mib(header(attention__head_count_kv=heads)) == 30
    assert cache_mib(header(full_attention_interval=3)) == 30


def test_recurrent_layers_keep_a_state_that_does_not_grow() -> None:
    recurrent = header(full_attention_interval=3, ssm__inner_size=4096, ssm__state_size=128)
    state = cache_mib(recurrent, 4096) - 30
    assert state == 20 * 4 * 4096 * 128 / MIB
    assert cache_mib(recurrent, 8192) - 60 == state


def test_a_window_caps_the_cache_of_its_layers() -> None:
    gemma = header("gemma3", attention__sliding_window=512)
    assert cache_mib(gemma, 32_768) == (5 * 32_768 + 25 * 1024) * 3 * 128 * 2 / MIB
    assert cache_mib(gemma, 512) == cache_mib(header(), 512)
    pattern = tuple(layer != 0 for layer in range(30))
    said = header("x", attention__sliding_window=512, attention__sliding_window_pattern=pattern)
    assert cache_mib(said, 32_768) == (32_768 + 29 * 1024) * 3 * 128 * 2 / MIB


def test_an_encoder_has_no_cache() -> None:
    assert cache_mib(header("bert")) == 0


def test_a_mixture_needs_room_for_the_experts_it_uses() -> None:
    def overhead(used: int) -> int:
        mixture = header("qwen3moe", expert_used_count=used, expert_feed_forward_length=1536)
        return memory_need(mixture, 4096).overhead_bytes

    assert overhead(8) > overhead(1) > memory_need(header(), 4096).overhead_bytes


def test_a_prompt_cache_is_counted_in_full() -> None:
    more = memory_need(header(), 4096, prompt_cache_bytes=64 * MIB)
    assert more.overhead_bytes - memory_need(header(), 4096).overhead_bytes == 64 * MIB


def test_pages_of_repacked_matrices_are_resident_but_not_needed() -> None:
    matrix = TensorInfo("blk.0.ffn_up.weight", (576, 1536), "Q4_K", 0, 500_000)
    need = memory_need(replace(header(), tensors=(matrix,)), 4096)
    assert need.weights_bytes == need.reclaimable_bytes == 500_000
    assert need.rss_bytes == need.total_bytes + 500_000


@given(st.integers(1, 200_000), st.integers(1, 200_000), st.integers(1, 16))
def test_more_context_or_requests_never_need_less(one: int, other: int, requests: int) -> None:
    few, many = sorted((one, other))
    small = memory_need(header(), few)
    large = memory_need(header(), many, num_parallel=requests)
    assert small.total_bytes <= large.total_bytes
    assert small.total_bytes == sum(
        (small.weights_bytes, small.kv_cache_bytes, small.overhead_bytes)
    )


wrong = [st.text(max_size=3), st.booleans(), st.lists(st.integers()), st.floats()]
hostile = st.one_of(st.integers(-(2**63), 2**64), *wrong)
NAMES = [*LLAMA, "pooling_type", "expert_used_count", "full_attention_interval"]
NAMES += ["attention.key_length", "attention.sliding_window", "ssm.inner_size"]
NAMES += ["attention.sliding_window_pattern", "ssm.conv_kernel"]


@given(
    st.dictionaries(st.sampled_from(NAMES), hostile),
    st.sampled_from(["llama", "gemma3", "bert"]),
    st.integers(-5, 2**40),
)
def test_nonsense_in_a_header_never_breaks_the_estimate(numbers, architecture, num_ctx) -> None:
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in numbers.items()}
    assert memory_need(header(architecture, **values), num_ctx).total_bytes > 0


def test_a_guess_without_the_file_is_on_the_large_side() -> None:
    real = memory_need(header(), 4096).total_bytes - 30_081_024
    numbers = {"size_bytes": 0, "parameters": 135_000_000, "num_ctx": 4096}
    assert real < guess_need(**numbers).total_bytes < 2 * real
    known = guess_need(**numbers, layers=30, kv_heads=3, head_dim=64)
    assert known.kv_cache_bytes == 90 * MIB


@pytest.mark.slow
@pytest.mark.model
def test_the_estimate_is_within_15_percent_of_the_real_process(chat_model_file: Path) -> None:
    command = [sys.executable, str(BENCHMARK), str(chat_model_file), "--quick", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    rows = json.loads(done.stdout)
    assert [row["num_ctx"] for row in rows] == [1024, 4096, 8192]
    for row in rows:
        for moment in ("rss_after_one_request", "rss_after_long_prompt"):
            assert abs(row["estimate_rss"] / row[moment] - 1) <= 0.15, row
    weights = read_header(chat_model_file)
    assert {row["weights"] for row in rows} == {sum(x.size_bytes for x in weights.tensors)}
