"""The KV cache, against what llama.cpp itself says that it allocates."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from ondol.config import load
from ondol.engine.settings import LoadedModel
from ondol.models.caches import KvCache, cache_of, needs_flash_attention, usable
from ondol.models.gguf import read_header
from ondol.parts import Parts

SYNTHETIC = Path(__file__).parents[2] / "benchmarks" / "memory" / "synthetic.py"
# Ends at once: what is allocated is told while the model is loaded.
SERVE = """
import json, os, sys
import xllamacpp as x
case = json.loads(sys.argv[1])
p = x.CommonParams()
p.model.path, p.n_parallel = case["model"], case["slots"]
p.n_ctx, p.kv_unified = case["num_ctx"] * case["slots"], False
p.cache_type_k = p.cache_type_v = getattr(x.ggml_type, f"GGML_TYPE_{case['kind'].upper()}")
p.cpuparams.n_threads, p.verbosity, p.ui, p.warmup, p.cache_ram_mib = 1, 4, False, False, 0
server = x.Server(p)
sys.stdout.flush()
os._exit(0)
"""


@pytest.fixture(scope="module")
def synthetic():
    spec = importlib.util.spec_from_file_location("memory_synthetic", SYNTHETIC)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def models(synthetic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small model of each kind: every layer sees everything, or most of them a window."""
    small = {"width": 64, "hidden": 64, "heads": 4, "kv_heads": 2, "vocabulary": 300, "merges": 0}
    shapes = {
        "whole": synthetic.Shape("whole", layers=4, **small),
        "windows": synthetic.Shape("windows", "gemma3", layers=12, window=512, **small),
        "narrow": synthetic.Shape("narrow", layers=4, **small | {"head_dim": 48}),
    }
    folder = tmp_path_factory.mktemp("shapes")
    for name, shape in shapes.items():
        synthetic.write(shape, folder / f"{name}.gguf")
    return {name: folder / f"{name}.gguf" for name in shapes}


@pytest.mark.parametrize(
    ("model", "num_ctx", "slots", "kind"),
    [
        ("whole", 4096, 1, "f16"),
        ("whole", 3000, 2, "q8_0"),
        ("windows", 16_384, 1, "f16"),
        ("windows", 16_384, 2, "q8_0"),
        ("windows", 600, 1, "q4_0"),
    ],
)
def test_the_cache_is_what_the_engine_allocates(models, model, num_ctx, slots, kind) -> None:
    case = {"model": str(models[model]), "num_ctx": num_ctx, "slots": slots, "kind": kind}
    command = [sys.executable, "-c", SERVE, json.dumps(case)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = re.findall(r"KV buffer size = +([\d.]+) MiB", done.stdout + done.stderr)
    assert told, (done.stdout + done.stderr)[-2000:]
    found = cache_of(read_header(models[model]), num_ctx, slots, kind)
    assert found.type == kind
    assert found.bytes / 2**20 == pytest.approx(sum(map(float, told)), abs=0.02)


def test_a_type_that_does_not_fit_the_heads_is_kept_in_16_bits(models) -> None:
    assert usable(read_header(models["whole"]), "q8_0") == "q8_0"
    assert usable(read_header(models["narrow"]), "q8_0") == "f16"
    assert usable(read_header(models["narrow"]), "f32") == "f32"
    assert cache_of(read_header(models["narrow"]), 256, 1, "q4_0").type == "f16"
    with pytest.raises(ValueError, match="q9_9"):
        usable(read_header(models["whole"]), "q9_9")


@pytest.mark.parametrize(("kind", "needs"), [("", False), ("f16", False), ("q8_0", True)])
def test_only_blocks_need_flash_attention(kind: str, needs: bool) -> None:
    assert needs_flash_attention(kind) is needs


@pytest.mark.parametrize(("wanted", "kind"), [("auto", ""), ("f16", "f16"), ("q8_0", "q8_0")])
def test_the_setting_decides_the_memory_that_is_planned(config, monkeypatch, wanted, kind) -> None:
    monkeypatch.setenv("ONDOL_CACHE_TYPE", wanted)
    with Parts(load()) as parts:
        spec = parts.located.spec("smollm2:135m")
        assert spec.running.cache_type == kind
        plain = replace(spec, running=replace(spec.running, cache_type=""))
        less = parts.located.memory_need(plain, 4096) - parts.located.memory_need(spec, 4096)
        # Two slots of 90 MiB in 16 bits; reading the smaller blocks takes a few MiB of its own.
        assert (70 if kind == "q8_0" else 0) <= less / 2**20 <= (90 if kind == "q8_0" else 0)
        assert parts.located.spec("all-minilm:l6-v2").running.cache_type == ""


def test_ps_tells_the_cache_that_the_process_was_started_with(config, spec_of) -> None:
    with Parts(load()) as parts:
        cache = parts.located.cache(spec_of(parts, "q8_0"))
        assert cache == KvCache(3 * 90 * 2**20 * 17 // 32, "q8_0")
        assert parts.located.cache(replace(spec_of(parts, ""), spec=None)).bytes == 0


@pytest.fixture
def spec_of():
    def make(parts: Parts, kind: str) -> LoadedModel:
        spec = parts.located.spec("smollm2:135m")
        spec = replace(spec, running=replace(spec.running, cache_type=kind))
        known = SimpleNamespace(name=spec.name, digest=spec.digest, pid=1, expires_at=None)
        return LoadedModel(
            **vars(known), size_bytes=1, num_ctx=4096, in_use=0, spec=spec, num_parallel=3
        )

    return make


@pytest.mark.parametrize(("drafts", "told"), [("auto", True), ("off", False)])
def test_the_setting_decides_whether_drafts_are_made_ready(config, monkeypatch, drafts, told):
    monkeypatch.setenv("ONDOL_DRAFTS", drafts)
    with Parts(load()) as parts:
        assert bool(parts.located.spec("smollm2:135m").running.draft) is told
