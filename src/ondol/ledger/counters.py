"""Where joules are read: RAPL (processor packages), NVML (NVIDIA cards), the battery while it
discharges, and else an estimate from CPU seconds. Each says whether it measures or estimates.

A counter sees the whole machine; who takes part in it is ``ledger.energy``'s business.
"""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ondol.types import EnergySource

WATTS_PER_CORE = 8.0
"""A busy core, where nothing is measured: a 65-watt processor that keeps eight cores busy."""

FAMILY_SECONDS = 2.0
"""How long it is taken for granted which processes are below this one."""

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
        self._cpu_seconds = cpu_seconds or _family.cpu_seconds
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


class _Family:
    """This process and all below it. Who they are is looked up now and then, for that means reading
    what all processes of the machine say; what they used is read each time."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._known: list[_Used] = []
        self._looked_at = -math.inf

    def cpu_seconds(self) -> float:
        """What they have used since they began."""
        import psutil

        if self._now() >= self._looked_at + FAMILY_SECONDS:
            self._looked_at, own = self._now(), psutil.Process()
            known = [own]
            with suppress(psutil.Error):
                known += own.children(recursive=True)
            self._known = [_Used(process) for process in known]
        return sum(used.seconds() for used in self._known)


class _Used:
    """What one process has used: by its clock where POSIX gives it (clock_getcpuclockid, which
    macOS lacks), a hundred times faster than by what the system writes about it."""

    def __init__(self, process: Any) -> None:
        self._process, self.pid = process, int(process.pid)
        self._clock: int | None = None
        found = ctypes.c_int()
        with suppress(OSError, AttributeError):
            ask = ctypes.CDLL(None).clock_getcpuclockid
            if ask(self.pid, ctypes.byref(found)) == 0:
                self._clock = found.value

    def seconds(self) -> float:
        """Of all its threads; nothing of one that is gone."""
        import psutil

        if self._clock is not None:
            with suppress(OSError):
                return time.clock_gettime(self._clock)
            return 0.0
        with suppress(psutil.Error):
            times = self._process.cpu_times()
            return float(times.user + times.system)
        return 0.0


_family = _Family()
