"""``ondol bench`` and ``ondol perplexity``."""

from __future__ import annotations

import csv
import stat
import sys
from pathlib import Path

import pytest

from ondol.engine.settings import ModelSpec
from ondol.errors import EngineError
from ondol.lab.measuring import llama_bench
from ondol.lab.measuring.bench import Workload

CHAT = "smollm2:135m"
DOUBLE = f"""#!{sys.executable}
import json, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=True))
if flags["--threads"] == "3":
    sys.exit("error: no such threads")
number = sum(map(int, flags.get("-pg", "0").split(",")))
number += int(flags["--n-prompt"]) + int(flags["--n-gen"])
samples = [number + n for n in range(int(flags["--repetitions"]))]
print(json.dumps([{{"samples_ts": samples}}]))
"""
SHORT = ["--prompt", "16", "--generate", "4", "--repetitions", "2"]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "llama-bench"
    file.write_text(DOUBLE)
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


@pytest.mark.model
def test_a_bench_is_a_table_of_what_was_measured(ondol, config) -> None:
    done = ondol("bench", CHAT, *SHORT, "--pair", "8,4", "--json")
    assert done.code == 0, done.stderr
    assert done.json["model"] == CHAT
    found = {row["test"]: row for row in done.json["results"]}
    assert list(found) == ["pp16", "tg4", "pp8+tg4"]
    for row in found.values():
        assert row["engine"] == "bundled" and len(row["samples"]) == 2
        assert 0 < row["median"] < 100_000 and row["resident_bytes"] > 50_000_000


@pytest.mark.model
def test_a_bench_is_comma_separated_values(ondol, config) -> None:
    done = ondol(
        "bench", "--prompt", "8", "--generate", "0", "--pair", "0", "--repetitions", "2", "--csv"
    )
    assert done.code == 0, done.stderr
    (row,) = csv.DictReader(done.stdout.splitlines())
    assert row["test"] == "pp8" and len(row["samples"].split()) == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--prompt", "0", "--generate", "0", "--pair", "0"], "--pair"),
        (["--prompt", "many"], "many"),
        (["--pair", "1,2,3"], "480,64"),
        (["all-minilm:l6-v2"], "all-minilm"),
    ],
)
@pytest.mark.model
def test_what_cannot_be_measured_is_said(ondol, config, arguments, word: str) -> None:
    done = ondol("bench", *arguments)
    assert done.code == 2 and word in done.stderr


@pytest.mark.model
def test_perplexity_is_compared_place_by_place(ondol, config, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The capital of France is Paris, and the capital of Italy is Rome. " * 8)
    done = ondol(
        "perplexity",
        CHAT,
        "--against",
        CHAT,
        "--text",
        text,
        "--window",
        "32",
        "--windows",
        "2",
        "--json",
    )
    assert done.code == 0, done.stderr
    first, second = done.json["models"]
    assert first["perplexity"] == second["perplexity"] and first["way"] == "states"
    assert 1 < first["perplexity"]["value"] < 50 and first["tokens"] == first["windows"] * 15
    assert done.json["change"]["value"] == 0
    assert done.json["divergence"]["mean"]["value"] == 0
    assert done.json["divergence"]["same_top"]["value"] == 1
    text.write_text("Too short.")
    done = ondol("perplexity", CHAT, "--text", text)
    assert done.code == 2 and "512" in done.stderr
    done = ondol("perplexity", CHAT, "--text", tmp_path)
    assert done.code == 2


@pytest.mark.parametrize("test", [Workload(16), Workload(0, 4), Workload(8, 4), Workload(8, 0, 99)])
def test_llama_bench_is_asked_for_the_same(program: Path, spec: ModelSpec, test: Workload) -> None:
    speed = llama_bench.measured(program, spec, test, 2, repetitions=3)
    assert speed.samples == (test.tokens, test.tokens + 1, test.tokens + 2)
    assert speed.median == test.tokens + 1


def test_a_llama_bench_that_fails_is_told(program: Path, spec: ModelSpec) -> None:
    with pytest.raises(EngineError) as told:
        llama_bench.measured(program, spec, Workload(16), 3)
    assert "no such threads" in told.value.message
    with pytest.raises(EngineError):
        llama_bench.measured(program.with_name("gone"), spec, Workload(16), 2)


@pytest.fixture
def spec(tmp_path: Path) -> ModelSpec:
    return ModelSpec("tiny", tmp_path / "tiny.gguf", "sha256:1", 1)
