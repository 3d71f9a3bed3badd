"""Joules from counters, made of files and fakes; each figure says where it is from."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ondol.ledger import counters, energy
from ondol.ledger.counters import Battery, Counter, Estimate, Nvml, Rapl
from ondol.ledger.energy import Energy, EnergyMeter


def zone(root: Path, name: str, label: str, microjoules: int, span: int = 10_000_000) -> Path:
    directory = root / name
    directory.mkdir(parents=True)
    (directory / "name").write_text(f"{label}\n")
    (directory / "energy_uj").write_text(f"{microjoules}\n")
    (directory / "max_energy_range_uj").write_text(f"{span}\n")
    return directory / "energy_uj"


def battery(root: Path, name: str = "BAT0", status: str = "Discharging", **files: int) -> Path:
    directory = root / name
    directory.mkdir(parents=True)
    for file, value in {"type": "Battery", "status": status, **files}.items():
        (directory / file).write_text(f"{value}\n")
    return directory


class Cards:
    """An NVML with two cards."""

    class NVMLError(Exception):
        pass

    def __init__(self, *millijoules: int) -> None:
        self.millijoules = list(millijoules)

    def nvmlInit(self) -> None:
        if not self.millijoules:
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return len(self.millijoules)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetTotalEnergyConsumption(self, card: int) -> int:
        if self.millijoules[card] < 0:
            raise self.NVMLError("Not Supported")
        return self.millijoules[card]


class Fake:
    """A counter that shows what the test says."""

    name, needs_samples = "fake", False

    def __init__(self, source: Any = "measured") -> None:
        self.source, self.joules = source, 100.0

    def read(self) -> float:
        if self.joules < 0:
            raise PermissionError("gone")
        return self.joules


def test_packages_and_memory_count_and_their_parts_do_not(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    core = zone(tmp_path, "intel-rapl:0:0", "core", 0)
    memory = zone(tmp_path, "intel-rapl:0:1", "dram", 0)
    platform = zone(tmp_path, "intel-rapl:2", "psys", 0)
    counter = Rapl(tmp_path)
    for file in (package, second, core, memory, platform):
        file.write_text("3000000\n")
    assert counter.read() == pytest.approx(2.0 + 3.0 + 3.0)


def test_a_counter_that_wraps_around_goes_on(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 9_500_000, span=10_000_000)
    counter = Rapl(tmp_path)
    for now, total in ((9_900_000, 0.4), (300_000, 0.8), (1_300_000, 1.8), (0, 10.5)):
        file.write_text(f"{now}\n")
        assert counter.read() == pytest.approx(total)


def test_without_rapl_cards_or_battery_it_is_an_estimate(tmp_path: Path) -> None:
    assert counters.counters(tmp_path / "none", Cards()) == []
    (only,) = counters.fallback(7.0, tmp_path / "none")
    assert (only.name, only.source) == ("estimate", "estimated")


def test_a_counter_that_only_root_may_read_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0)

    def forbidden(file: Path) -> int:
        raise PermissionError(13, "Permission denied", str(file))

    monkeypatch.setattr(counters, "_number", forbidden)
    assert counters.counters(tmp_path, Cards()) == []


def test_a_zone_without_a_readable_number_is_passed_over(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 0).write_text("<not a number>")
    assert counters.counters(tmp_path, Cards()) == []


def test_processor_and_cards_are_both_measured_and_both_count(tmp_path: Path) -> None:
    package, cards = zone(tmp_path, "intel-rapl:0", "package-0", 0), Cards(5000, 7000)
    found = counters.counters(tmp_path, cards)
    meter = EnergyMeter(lambda: found)
    with meter.measure() as span:
        package.write_text("2000000\n")
        cards.millijoules = [6000, 7500]
    assert span.energy == Energy(pytest.approx(3.5), "measured", "rapl+nvml")


@pytest.mark.parametrize("cards", [Cards(), Cards(-1)])
def test_cards_without_a_driver_or_a_counter_are_passed_over(tmp_path: Path, cards: Cards) -> None:
    with pytest.raises(OSError):
        Nvml(cards)
    assert counters.counters(tmp_path, cards) == []


@pytest.mark.parametrize(
    "files",
    [{"power_now": 12_000_000}, {"current_now": 1_000_000, "voltage_now": 12_000_000}],
)
def test_a_battery_that_discharges_measures_the_whole_machine(
    tmp_path: Path, files: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = battery(tmp_path, **files)
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(counters.time, "monotonic", lambda: clock.now)
    counter = Battery(tmp_path)
    clock.now += 10
    assert counter.read() == pytest.approx(120.0)
    (place / "power_now").write_text("24000000\n")
    clock.now += 10
    assert counter.read() == pytest.approx(120.0 + 180.0)


@pytest.mark.parametrize("status", ["Charging", "Full", "Not charging"])
def test_a_battery_on_the_mains_says_nothing(tmp_path: Path, status: str) -> None:
    battery(tmp_path, status=status, power_now=1)
    (tmp_path / "AC").mkdir()
    (only,) = counters.fallback(7.0, tmp_path)
    assert only.source == "estimated"
    with pytest.raises(FileNotFoundError):
        Battery(tmp_path)


def test_the_estimate_is_cpu_seconds_times_watts_and_never_runs_backwards() -> None:
    seconds = [10.0]
    counter = Estimate(8.0, lambda: seconds[0])
    seconds[0] = 12.5
    assert counter.read() == 20.0
    # A process ended and took its seconds along.
    seconds[0] = 3.0
    assert counter.read() == 20.0
    seconds[0] = 4.0
    assert counter.read() == 28.0


def test_a_real_computation_is_estimated_at_more_than_nothing() -> None:
    meter = EnergyMeter(lambda: [Estimate(8.0)])
    with meter.measure() as span:
        end = time.process_time() + 0.1
        while time.process_time() < end:
            pass
    assert span.energy.joules is not None and span.energy.joules > 0.4
    assert (span.energy.source, span.energy.meter) == ("estimated", "estimate")


def test_answers_at_the_same_time_share_what_the_counter_shows() -> None:
    counter = Fake()
    meter = EnergyMeter(lambda: [counter])
    first = meter.start()
    counter.joules += 10
    second = meter.start()
    counter.joules += 20
    assert meter.finish(first) == Energy(20.0, "measured", "fake")
    counter.joules += 5
    assert meter.finish(second) == Energy(15.0, "measured", "fake")
    assert meter.finish(meter.start()).joules == 0.0


def test_an_answer_that_nobody_waits_for_takes_no_share() -> None:
    counter = Fake()
    meter = EnergyMeter(lambda: [counter])
    first, gone = meter.start(), meter.start()
    del gone
    gc.collect()
    counter.joules += 10
    assert meter.finish(first).joules == 10.0


def test_a_counter_that_fails_on_the_way_leaves_the_energy_unknown() -> None:
    counter = Fake()
    meter = EnergyMeter(lambda: [counter])
    span = meter.start()
    counter.joules = -1
    assert meter.finish(span) == Energy()
    # One that cannot be read at the start neither.
    assert meter.finish(meter.start()) == Energy(None, "unknown", "")


def test_a_file_that_turns_into_nonsense_fails_no_answer(tmp_path: Path) -> None:
    file = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    found = counters.counters(tmp_path, Cards())
    meter = EnergyMeter(lambda: found)
    span = meter.start()
    file.write_text("")
    assert meter.finish(span) == Energy()


def test_measured_and_estimated_are_never_chosen_together(tmp_path: Path) -> None:
    zone(tmp_path / "rapl", "intel-rapl:0", "package-0", 0)
    battery(tmp_path / "supply", power_now=1)
    for powercap, cards in (("rapl", Cards(1)), ("none", Cards(1)), ("none", Cards())):
        chosen: Sequence[Counter] = counters.counters(tmp_path / powercap, cards)
        chosen = chosen or counters.fallback(8.0, tmp_path / "supply")
        assert len({counter.source for counter in chosen}) == 1


def test_a_battery_is_read_while_the_answer_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(energy, "SAMPLE_SECONDS", 0.01)

    class Sampled(Fake):
        needs_samples = True
        reads = 0

        def read(self) -> float:
            self.reads += 1
            if self.reads > 5:
                enough.set()
            return float(self.reads)

    enough, counter = threading.Event(), Sampled()
    meter = EnergyMeter(lambda: [counter])
    span = meter.start()
    assert enough.wait(30)
    assert meter.finish(span).joules


def test_a_child_is_counted_soon_and_the_machine_is_not_searched_for_it_each_time() -> None:
    clock = [0.0]
    family = counters._Family(lambda: clock[0])
    before = family.cpu_seconds()
    burn = "while True: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as child:
        try:
            known = list(family._known)
            family.cpu_seconds()
            assert family._known == known
            clock[0] = counters.FAMILY_SECONDS
            family.cpu_seconds()
            assert child.pid in [process.pid for process in family._known]
            deadline = time.monotonic() + 20
            while family.cpu_seconds() <= before + 0.1:
                assert time.monotonic() < deadline
        finally:
            child.kill()
