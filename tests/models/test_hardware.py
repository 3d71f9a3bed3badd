"""What the machine has, from files of a pretended machine and from this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ondol.models import hardware
from ondol.models.hardware import Gpu, count_cores, describe_cpu, find_gpus, machine, memory

GIB = 2**30


@pytest.fixture
def put(tmp_path: Path):
    """Writes one file of a pretended root and returns the root."""

    def put(name: str, content: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return tmp_path

    return put


def test_this_machine_is_described() -> None:
    found = machine()
    assert 1 <= found.physical_cores <= found.cores <= (os.cpu_count() or 1)
    assert 0 < found.available_ram_bytes <= found.ram_bytes <= psutil.virtual_memory().total
    assert found.cpu


def test_without_a_cgroup_limit_all_memory_counts(put) -> None:
    root = put("proc/self/cgroup", "0::/user\n")
    put("sys/fs/cgroup/user/memory.max", "max\n")
    assert memory(root)[0] == psutil.virtual_memory().total


@pytest.mark.parametrize("place", ["sys/fs/cgroup/a/b", "sys/fs/cgroup/a", "sys/fs/cgroup"])
def test_a_version_2_limit_anywhere_above_counts(put, place: str) -> None:
    root = put("proc/self/cgroup", "0::/a/b\n")
    put(f"{place}/memory.max", str(GIB))
    put(f"{place}/memory.current", str(GIB // 2))
    put(f"{place}/memory.stat", f"anon 5\ninactive_file {GIB // 4}\n")
    assert memory(root) == (GIB, GIB - GIB // 2 + GIB // 4)


def test_a_version_1_limit_counts_even_where_the_path_is_the_hosts(put) -> None:
    root = put("proc/self/cgroup", "9:cpu:/x\n4:cpuset,memory:/docker/1\n")
    put("proc/self/cgroup", "4:memory:/docker/1\n0::/\n")
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", str(GIB))
    put("sys/fs/cgroup/memory/memory.usage_in_bytes", str(2 * GIB))
    assert memory(root) == (GIB, 0)
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712")
    assert memory(root)[0] == psutil.virtual_memory().total


def test_the_affinity_limits_the_cores(monkeypatch: pytest.MonkeyPatch, put) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)
    for cpu in range(4):
        root = put(f"sys/devices/system/cpu/cpu{cpu}/topology/core_id", f"{cpu // 2}\n")
        put(f"sys/devices/system/cpu/cpu{cpu}/topology/physical_package_id", "0\n")
    assert count_cores(root) == (4, 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert count_cores(root) == (1, 1)


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, 8),
        ({"sys/fs/cgroup/cpu.max": "1000 100000"}, 1),
        ({"sys/fs/cgroup/cpu.max": "?"}, 8),
    ],
)
def test_a_cpu_quota_limits_the_cores(monkeypatch, put, files, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = put("proc/self/cgroup", "0::/\n")
    for name, content in files.items():
        put(name, content)
    assert count_cores(root)[0] == cores


def test_a_version_1_quota_limits_the_cores(monkeypatch, put) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    root = put("proc/self/cgroup", "3:cpu:/\n")
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000")
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert count_cores(root)[0] == 3
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1")
    assert count_cores(root)[0] == 8


@pytest.mark.parametrize(
    ("cpuinfo", "cpu", "features"),
    [
        (
            "model name\t: Some CPU @ 3GHz\nflags\t\t: fpu avx2 avx512_vnni amx_int8 amx_tile\n",
            "Some CPU @ 3GHz",
            ("avx2", "avx512_vnni", "amx", "amx_int8"),
        ),
        ("processor : 0\nFeatures : fp asimd asimddp i8mm\n", None, ("neon", "dotprod", "i8mm")),
        ("", None, ()),
    ],
)
def test_the_processor_and_its_features_are_named(put, monkeypatch, cpuinfo, cpu, features) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    name, found = describe_cpu(put("proc/cpuinfo", cpuinfo))
    assert name and (cpu is None or name == cpu)
    assert set(found) == set(features)


@given(st.text(max_size=80), st.text(max_size=80))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_rubbish_in_the_systems_files_does_no_harm(put, one: str, other: str) -> None:
    root = put("proc/self/cgroup", f"0::/\n{one.encode('utf-8', 'replace').decode()}")
    text = other.encode("utf-8", "replace").decode()
    for name in ("memory.max", "memory.current", "memory.stat", "cpu.max"):
        put(f"sys/fs/cgroup/{name}", text)
    put("proc/cpuinfo", text)
    total, available = memory(root)
    assert available <= total
    assert min(count_cores(root)) >= 1
    describe_cpu(root)


def nvml(**replaced: object) -> ModuleType:
    """A module that answers as pynvml does, for a machine with two cards."""
    module = ModuleType("pynvml")
    module.__dict__.update(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetName=lambda handle: b"Card 0" if handle == 0 else "Card 1",
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(total=24 * GIB, free=20 * GIB),
    )
    module.__dict__.update(replaced)
    return module


def fail(*_: object) -> None:
    raise RuntimeError("driver")


def test_cards_are_listed_with_their_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    assert find_gpus() == (
        Gpu("Card 0", 24 * GIB, 20 * GIB),
        Gpu("Card 1", 24 * GIB, 20 * GIB),
    )


@pytest.mark.parametrize(
    "name", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetName", "nvmlDeviceGetMemoryInfo"]
)
def test_a_failing_driver_means_no_cards(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(sys.modules, "pynvml", nvml(**{name: fail}))
    assert find_gpus() == ()


def test_without_the_library_there_are_no_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert find_gpus() == ()


def test_hidden_cards_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", nvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert find_gpus() == ()


def test_a_mac_without_sysctl_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.sys, "platform", "darwin")
    monkeypatch.setattr(hardware.subprocess, "run", lambda *a, **k: (_ for _ in ()).throw(OSError))
    assert hardware._mac_cpu() == ""
