"""Where joules are read: RAPL (processor packages), NVML (NVIDIA cards), the battery while it
discharges, and else an estimate from CPU seconds. Each says whether it measures or estimates.

A counter sees the whole machine; who takes part in it is ``ledger.energy``'s business.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ondol.types import EnergySource

WATTS_PER_CORE = 8.0
"""A busy core, where nothing is measured: a 65-watt processor that keeps eight cores busy."""

UNREADABLE = (OSError, ValueError)
"""What a counter raises that is not there, not ours to read, or nonsense. No answer fails by it."""

POWERCAP = Path("/sys/class/powercap")
POWER_SUPPLY = Path("/sys/class/power_supply")


class Counter(Protocol):
    """Joules that only grow. ``needs_samples``: it has to be read every now and then."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> EnergySource: ...
    @property
    def needs_samples(self) -> bool: ...

    def read(self) -> float:
        """Joules since some moment. Raises ``OSError`` when they cannot be read (any more)."""
        ...


class Rapl:
    """Processor packages and their memory, from the kernel's powercap files, which most systems
    let only root read (CVE-2020-8694). The counters wrap around."""

    name = "rapl"
    source: EnergySource = "measured"
    needs_samples = False

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _is_counted(zone)]
        if not zones:
            raise FileNotFoundError(str(root))
        self._zones = [(z / "energy_uj", _number(z / "max_energy_range_uj")) for z in zones]
        self._last = [_number(file) for file, _ in self._zones]
        self._joules = 0.0

    def read(self) -> float:
        for place, (file, span) in enumerate(self._zones):
            now = _number(file)
            delta = now - self._last[place]
            self._last[place] = now
            self._joules += max(0.0, delta if delta >= 0 else delta + span) / 1e6
        return self._joules


class Nvml:
    """All NVIDIA cards from Volta on, from their driver."""

    name = "nvml"
    source: EnergySource = "measured"
    needs_samples = False

    def __init__(self, library: Any = None) -> None:
        if library is None:
            import pynvml

            library = pynvml
        self._library = library
        try:
            library.nvmlInit()
            count = library.nvmlDeviceGetCount()
            self._cards = [library.nvmlDeviceGetHandleByIndex(i) for i in range(count)]
        except library.NVMLError as error:
            raise OSError(str(error)) from error
        if not self._cards:
            raise OSError("no card")
        self.read()

    def read(self) -> float:
        try:
            millijoules = map(self._library.nvmlDeviceGetTotalEnergyConsumption, self._cards)
            return float(sum(millijoules)) / 1000
        except self._library.NVMLError as error:
            raise OSError(str(error)) from error


class Battery:
    """The whole machine, from what its batteries give while they discharge."""

    name = "battery"
    source: EnergySource = "measured"
    needs_samples = True

    def __init__(self, root: Path = POWER_SUPPLY) -> None:
        self._root = root
        self._joules, self._watts, self._at = 0.0, self._power(), time.monotonic()

    def read(self) -> float:
        watts, now = self._power(), time.monotonic()
        self._joules += (now - self._at) * (watts + self._watts) / 2
        self._watts, self._at = watts, now
        return self._joules

    def _power(self) -> float:
        watts = [_watts(one) for one in sorted(self._root.glob("*")) if _discharges(one)]
        if not watts:
            raise FileNotFoundError(str(self._root))
        return sum(watts)


class Estimate:
    """CPU seconds of this process and all below it, times watts for a core."""

    name = "estimate"
    source: EnergySource = "estimated"
    needs_samples = False

    def __init__(
        self, watts_per_core: float = WATTS_PER_CORE, cpu_seconds: Callable[[], float] | None = None
    ) -> None:
        self._watts = watts_per_core
        self._cpu_seconds = cpu_seconds or _cpu_seconds
        self._last, self._joules = self._cpu_seconds(), 0.0

    def read(self) -> float:
        now = self._cpu_seconds()
        # A process that ended takes its seconds with it.
        self._joules += max(0.0, now - self._last) * self._watts
        self._last = now
        return self._joules


def counters(powercap: Path = POWERCAP, nvml: Any = None) -> list[Counter]:
    """The counters of processor and cards that can be read here; none where there are none."""
    found: list[Counter] = []
    makers: tuple[Callable[[], Counter], ...] = (lambda: Rapl(powercap), lambda: Nvml(nvml))
    for make in makers:
        with suppress(ImportError, *UNREADABLE):
            found.append(make())
    return found


def fallback(watts_per_core: float, power_supply: Path = POWER_SUPPLY) -> list[Counter]:
    """What is left without them: the battery, if the machine runs on it, else the estimate."""
    with suppress(*UNREADABLE):
        return [Battery(power_supply)]
    return [Estimate(watts_per_core)]


def _is_counted(zone: Path) -> bool:
    # Cores and graphics are parts of their package; "psys" would count the packages again.
    with suppress(OSError):
        return (zone / "name").read_text().strip().startswith(("package", "dram"))
    return False


def _number(file: Path) -> int:
    return int(file.read_text())


def _discharges(supply: Path) -> bool:
    with suppress(OSError):
        kind, status = ((supply / name).read_text().strip() for name in ("type", "status"))
        return kind == "Battery" and status == "Discharging"
    return False


def _watts(battery: Path) -> float:
    with suppress(FileNotFoundError):
        return _number(battery / "power_now") / 1e6
    return _number(battery / "current_now") * _number(battery / "voltage_now") / 1e12


def _cpu_seconds() -> float:
    import psutil

    processes = [psutil.Process()]
    with suppress(psutil.Error):
        processes += processes[0].children(recursive=True)
    total = 0.0
    for process in processes:
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
