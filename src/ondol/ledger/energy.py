"""What a generation takes: joules from a counter of the machine, or an estimate that says so.

Counters are RAPL (processor packages), NVML (NVIDIA cards), the battery while it discharges, and
else an estimate from CPU seconds. Measured and estimated joules are never added together. A counter
sees the whole machine, so that answers given at the same time share what it shows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol
from weakref import WeakSet

from ondol.types import EnergySource

WATTS_PER_CORE = 8.0
"""A busy core, where nothing is measured: a 65-watt processor that keeps eight cores busy."""

SAMPLE_SECONDS = 0.5
"""How often a battery is read, which knows watts and no joules."""

POWERCAP = Path("/sys/class/powercap")
POWER_SUPPLY = Path("/sys/class/power_supply")


@dataclass(frozen=True, slots=True)
class Energy:
    """Joules, where they come from, and the names of the counters ("rapl+nvml")."""

    joules: float | None = None
    source: EnergySource = "unknown"
    meter: str = ""


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


class Span:
    """What was used between a start and an end."""

    def __init__(self) -> None:
        self.joules: float | None = 0.0
        self.energy = Energy()


class EnergyMeter:
    """Measures what goes on. One for the whole process, safe to use from several threads."""

    def __init__(self, choose: Callable[[], Sequence[Counter]]) -> None:
        self._choose = choose
        self._lock = threading.Lock()
        # Weak: an answer that nobody waits for any more takes no share.
        self._spans: WeakSet[Span] = WeakSet()
        self._counters: Sequence[Counter] = ()
        self._read: list[float] = []
        self._is_sampling = False

    @classmethod
    def of_this_machine(cls, watts_per_core: float = WATTS_PER_CORE) -> EnergyMeter:
        """The best there is here."""
        # Asking a driver takes a while; whether the battery is in use may change any time.
        found = cache(counters)
        return cls(lambda: found() or fallback(watts_per_core))

    def start(self) -> Span:
        """Something begins."""
        with self._lock:
            self._settle()
            if not self._spans:
                self._counters = ()
                with suppress(OSError):
                    chosen = self._choose()
                    self._read = [counter.read() for counter in chosen]
                    self._counters = chosen
            span = Span()
            self._spans.add(span)
            if any(c.needs_samples for c in self._counters) and not self._is_sampling:
                self._is_sampling = True
                threading.Thread(target=self._sample, daemon=True, name="ondol-energy").start()
        return span

    def finish(self, span: Span) -> Energy:
        """It ended: what it took."""
        with self._lock:
            self._settle()
            self._spans.discard(span)
            if span.joules is not None and self._counters:
                names = "+".join(counter.name for counter in self._counters)
                span.energy = Energy(span.joules, self._counters[0].source, names)
        return span.energy

    @contextmanager
    def measure(self) -> Iterator[Span]:
        """Around a generation; ``span.energy`` is there afterwards."""
        span = self.start()
        try:
            yield span
        finally:
            self.finish(span)

    def _settle(self) -> None:
        """Share what the counters show since they were last read."""
        spans = list(self._spans)
        if not spans:
            return
        try:
            now = [counter.read() for counter in self._counters]
        except OSError:
            for span in spans:
                span.joules = None
            self._spans.clear()
            return
        used = sum(now) - sum(self._read)
        self._read = now
        for span in spans:
            if span.joules is not None:
                span.joules += used / len(spans)

    def _sample(self) -> None:
        while True:
            time.sleep(SAMPLE_SECONDS)
            with self._lock:
                self._settle()
                if not self._spans:
                    self._is_sampling = False
                    return


def counters(powercap: Path = POWERCAP, nvml: Any = None) -> list[Counter]:
    """The counters of processor and cards that can be read here; none where there are none."""
    found: list[Counter] = []
    makers: tuple[Callable[[], Counter], ...] = (lambda: Rapl(powercap), lambda: Nvml(nvml))
    for make in makers:
        with suppress(OSError, ImportError, ValueError):
            found.append(make())
    return found


def fallback(watts_per_core: float, power_supply: Path = POWER_SUPPLY) -> list[Counter]:
    """What is left without them: the battery, if the machine runs on it, else the estimate."""
    with suppress(OSError, ValueError):
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

    me = psutil.Process()
    total = 0.0
    for process in (me, *me.children(recursive=True)):
        with suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
