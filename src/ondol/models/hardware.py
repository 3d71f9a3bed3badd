"""What this machine can hold and how fast: memory, cores, CPU features, GPUs.

Counts only what this process may use: cgroup limits, CPU quota and affinity are honoured.
Knows nothing of models. Never raises: what cannot be found out is absent.
"""

from __future__ import annotations

import math
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/")

# The features that decide which kernels llama.cpp and onnxruntime pick, as Linux spells them.
_FEATURES = {
    **{"avx": "avx", "avx2": "avx2", "fma": "fma", "f16c": "f16c", "avx_vnni": "avx_vnni"},
    **{"avx512f": "avx512f", "avx512_vnni": "avx512_vnni", "avx512_bf16": "avx512_bf16"},
    **{"amx_tile": "amx", "amx_int8": "amx_int8", "amx_bf16": "amx_bf16"},
    **{"asimd": "neon", "neon": "neon", "asimddp": "dotprod", "i8mm": "i8mm", "bf16": "bf16"},
    **{"sve": "sve", "sve2": "sve2", "sme": "sme"},
}


@dataclass(frozen=True, slots=True)
class Gpu:
    """A graphics card that NVML reports."""

    name: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """This machine, as much of it as this process may use."""

    cores: int
    physical_cores: int
    ram_bytes: int
    available_ram_bytes: int
    cpu: str
    cpu_features: tuple[str, ...]
    gpus: tuple[Gpu, ...] = ()


def machine() -> Machine:
    """Look at the machine now; ``available_ram_bytes`` changes from call to call."""
    ram_bytes, available_bytes = memory()
    cores, physical_cores = count_cores()
    cpu, features = describe_cpu()
    return Machine(cores, physical_cores, ram_bytes, available_bytes, cpu, features, find_gpus())


def memory(root: Path = _ROOT) -> tuple[int, int]:
    """Bytes of RAM, and of it what can be had without swapping."""
    import psutil

    seen = psutil.virtual_memory()
    total, available = int(seen.total), int(seen.available)
    for limit, used in _cgroup_limits(root):
        total = min(total, limit)
        available = min(available, max(0, limit - used))
    return total, available


def count_cores(root: Path = _ROOT) -> tuple[int, int]:
    """Logical and physical cores; at least 1 of each."""
    allowed = _allowed_cpus()
    cores = min(len(allowed), _cpu_quota(root) or len(allowed))
    topology = {_core_of(cpu, root) for cpu in allowed}
    physical = len(topology) if None not in topology else _physical_cores()
    return cores, max(1, min(physical, cores))


def describe_cpu(root: Path = _ROOT) -> tuple[str, tuple[str, ...]]:
    """The processor's name and those of its features that matter here."""
    fields: dict[str, str] = {}
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), value.strip())
    flags = (fields.get("flags") or fields.get("features") or "").lower().split()
    if not flags and platform.machine().lower() in ("arm64", "aarch64"):
        flags = ["neon"]
    names = dict.fromkeys(known for flag, known in _FEATURES.items() if flag in flags)
    cpu = fields.get("model name") or _mac_cpu() or platform.processor() or platform.machine()
    return cpu, tuple(names)


def find_gpus() -> tuple[Gpu, ...]:
    """NVIDIA cards, unless CUDA_VISIBLE_DEVICES hides them all."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return ()
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # no library, no driver, or a driver half installed: the same to us
        return ()
    try:
        return tuple(_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount()))
    except Exception:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _gpu(nvml: object, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)  # type: ignore[attr-defined]
    name = nvml.nvmlDeviceGetName(handle)  # type: ignore[attr-defined]
    info = nvml.nvmlDeviceGetMemoryInfo(handle)  # type: ignore[attr-defined]
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    return Gpu(text, int(info.total), int(info.free))


def _cgroup_limits(root: Path) -> Iterator[tuple[int, int]]:
    """Each memory limit above this process and the bytes used under it that cannot be dropped."""
    for folder in _cgroup_folders(root, "memory"):
        for limit_name, usage_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            limit = _number(_text(folder / limit_name))
            # Version 1 says "no limit" with a number near 2**63.
            if limit and limit < 2**60:
                usage = _number(_text(folder / usage_name)) or 0
                stat = dict(
                    line.split(" ", 1)
                    for line in _text(folder / "memory.stat").splitlines()
                    if " " in line
                )
                # Cached file pages count as used, but the kernel gives them up on demand.
                yield limit, max(0, usage - (_number(stat.get(cache_name, "")) or 0))


def _cpu_quota(root: Path) -> int | None:
    """Cores' worth of CPU time that a cgroup allows, rounded up."""
    quotas = []
    for folder in _cgroup_folders(root, "cpu"):
        quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
        if not period:
            quota = _text(folder / "cpu.cfs_quota_us")
            period = _text(folder / "cpu.cfs_period_us")
        allowed, length = _number(quota), _number(period)
        if allowed and length:
            quotas.append(math.ceil(allowed / length))
    return min(quotas, default=None)


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of all its parents, both cgroup versions."""
    base = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        top = base / controller if controllers else base
        parts = [part for part in path.split("/") if part and part != ".."]
        # Inside a container the path may be the host's; then only the top exists here.
        for depth in range(len(parts), -1, -1):
            yield top.joinpath(*parts[:depth])


def _allowed_cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _core_of(cpu: int, root: Path) -> tuple[str, str] | None:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    package, core = _text(folder / "physical_package_id"), _text(folder / "core_id")
    return (package, core) if core else None


def _physical_cores() -> int:
    import psutil

    return psutil.cpu_count(logical=False) or len(_allowed_cpus())


def _mac_cpu() -> str:
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    """A positive whole number; None for "max", -1 and rubbish."""
    stripped = text.strip()
    return int(stripped) if stripped.isdecimal() and stripped.isascii() else None
