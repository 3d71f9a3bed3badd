"""llama-bench, llama.cpp's own yardstick, run on the same file with the same threads and batches.

A program of the native engine that serves, or one that is named. Called by ``ondol bench`` and
benchmarks. Raises ``EngineError`` where it cannot be run or tells nothing.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import keys
from ondol.engine.native import records
from ondol.errors import EngineError
from ondol.i18n import t
from ondol.lab.measuring.bench import REPETITIONS, Speed, Workload

if TYPE_CHECKING:
    from ondol.engine.settings import ModelSpec

NAME = "llama-bench"
TIMEOUT_SECONDS = 1800


def beside_the_engine() -> Path | None:
    """That of the native engine that serves; None where the bundled one does, which has none."""
    engine = records.serving()
    return engine.tool(NAME) if engine else None


def measured(
    program: Path,
    spec: ModelSpec,
    test: Workload,
    threads: int,
    *,
    repetitions: int = REPETITIONS,
    gpu_layers: int = -1,
) -> Speed:
    """What ``program`` says of ``test`` on the model file ``spec.path``."""
    command = [str(program), *map(str, _flags(spec, test, threads, repetitions, gpu_layers))]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=keys.public_environ(),
            check=True,
        )
        (told,) = json.loads(done.stdout)
        samples = tuple(float(sample) for sample in told["samples_ts"])
        if not samples:
            raise ValueError("no samples")
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError) as error:
        raise EngineError(
            t("measuring.bench_failed", program=program.name, reason=_reason(error)),
            t("measuring.bench_failed_hint"),
        ) from error
    return Speed(test, samples)


def _flags(
    spec: ModelSpec, test: Workload, threads: int, repetitions: int, gpu_layers: int
) -> list[Any]:
    running = spec.running
    both = bool(test.prompt and test.generate)
    told: dict[str, Any] = {
        "--model": spec.path,
        "--threads": threads,
        "--n-prompt": 0 if both else test.prompt,
        "--n-gen": 0 if both else test.generate,
        "--n-depth": test.depth,
        "--repetitions": repetitions,
        "--output": "json",
    }
    if both:
        told["-pg"] = f"{test.prompt},{test.generate}"
    set_only: Mapping[str, Any] = {
        "--batch-size": running.batch_tokens,
        "--ubatch-size": running.ubatch_tokens,
        "--cache-type-k": running.cache_type,
        "--cache-type-v": running.cache_type,
        "--flash-attn": {"on": "1", "off": "0"}.get(running.flash_attention),
    }
    told |= {flag: value for flag, value in set_only.items() if value}
    if gpu_layers >= 0:
        told["--n-gpu-layers"] = gpu_layers
    return [part for flag in told.items() for part in flag]


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        said = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines()
        return said[-1][:200] if said else f"exit code {error.returncode}"
    return str(error)[:200] or type(error).__name__
