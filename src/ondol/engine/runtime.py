"""Which llama-server answers, and with how many threads.

``resolve`` reads the setting ``engine.runtime``: the bundled wheel, a native engine that passed its
check ("auto"), or a binary of the owner's choice; ``count_threads`` reads the machine. Raises
``ConfigError``.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from ondol.engine.native import fallback, records
from ondol.engine.process import Launch
from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.errors import ConfigError
from ondol.i18n import t

BUNDLED = "bundled"
AUTO = "auto"
P = TypeVar("P")


def resolve(runtime: str) -> Path | None:
    """The binary to start, or None for the bundled runtime."""
    if runtime == BUNDLED:
        return None
    if runtime == AUTO:
        engine = records.serving()
        return engine.path if engine else None
    found = shutil.which(os.path.expanduser(runtime))
    if found is None:
        key = "runtime_not_executable" if Path(runtime).expanduser().exists() else "runtime_missing"
        raise ConfigError(t(f"engine.{key}", path=runtime), t("engine.runtime_hint"))
    return Path(found).absolute()


def launch(spec: ModelSpec, num_ctx: int, settings: EngineSettings) -> Launch:
    """What to start for ``spec`` on this machine."""
    engine = records.serving() if settings.runtime == AUTO else None
    if engine is not None and not fallback.fits(engine.name, str(spec.path)):
        engine = None
    binary = "" if settings.runtime == AUTO else str(resolve(settings.runtime) or "")
    return Launch(
        name=spec.name,
        model=str(spec.path),
        num_ctx=num_ctx,
        num_parallel=settings.num_parallel,
        threads=spec.running.threads or settings.threads or count_threads(),
        gpu_layers=settings.gpu_layers if engine is None or engine.devices else 0,
        embedding=spec.kind in ("embedding", "reranker"),
        pooling="rank" if spec.kind == "reranker" else spec.pooling,
        binary=str(engine.path) if engine else binary,
        adapters=tuple((adapter.name, str(adapter.path)) for adapter in spec.adapters),
        mmproj=str(spec.projector or ""),
        running=spec.running,
        engine=engine.name if engine else "",
        takes_socket=engine is not None and engine.takes_socket,
    )


def begun(
    spec: ModelSpec, num_ctx: int, settings: EngineSettings, begin: Callable[[Launch], P]
) -> P:
    """What ``begin`` makes of the launch of ``spec``; where a native engine cannot, of that of the
    bundled one."""
    bundled = replace(settings, runtime=BUNDLED)
    return fallback.begun(
        launch(spec, num_ctx, settings), lambda: launch(spec, num_ctx, bundled), begin
    )


@cache
def count_threads() -> int:
    """Physical cores that this process may use (affinity and container quota respected)."""
    quota = _cpu_quota()
    cores = _cores()
    return max(1, cores if quota is None else min(cores, quota))


def _cores() -> int:
    if not hasattr(os, "sched_getaffinity"):
        import psutil

        return psutil.cpu_count(logical=False) or os.cpu_count() or 1
    allowed = os.sched_getaffinity(0)
    return len({_core_id(cpu) for cpu in allowed})


def _core_id(cpu: int) -> tuple[str, ...]:
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return tuple((topology / n).read_text() for n in ("physical_package_id", "core_id"))
    except OSError:
        return (str(cpu),)


def _cpu_quota() -> int | None:
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError, ZeroDivisionError):
        return None
