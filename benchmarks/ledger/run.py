"""What a ledger costs: an append, a million entries checked in one pass, and memory.

    .venv/bin/python benchmarks/ledger/run.py [--entries N] [--out FILE]

Each part runs in a process of its own, so that peak memory is that of the part.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
APPENDS = 2000
SIZES = (10_000, 100_000)
BATCH = 10_000


def an_entry(number: int) -> Any:
    """Like those of a busy device: two answers, and what left for one of them."""
    from ondol.ledger.entries import Entry

    if number % 3 == 2:
        return Entry(
            "egress", destination="attic.local:11443", purpose="home", sensitivity="trusted",
            bytes_out=2310 + number % 977, bytes_in=1800 + number % 877,
        )  # fmt: skip
    return Entry(
        "answer", route="local" if number % 3 else "home", reasons=("unsure",),
        probability=(number % 1000) / 1000, calibrator="smollm2:135m/grounded@2026-11-21.500",
        threshold=0.85, model="smollm2:135m+grounding", task="grounded", sensitivity="private",
        label_reasons=("document",), prompt_tokens=300 + number % 99, completion_tokens=40,
        seconds=1.25, first_token_seconds=0.3, energy_joules=12.5, energy_source="estimated",
        energy_meter="estimate", cost_krw=0.0008, cloud_usd=6.9e-05, cloud_model="gpt-4o-mini",
        prices="2026-10-21", krw_per_usd=1422.16,
    )  # fmt: skip


def append(folder: Path, before: int) -> dict[str, Any]:
    """One entry at a time, as an answer does it (FULL): on the disk, signed, with the file beside.
    NORMAL, which nobody uses, shows what of that is not the disk."""
    found: dict[str, Any] = {"entries_before": before, "appends": APPENDS}
    for mode in ("FULL", "NORMAL"):
        found[mode.lower()] = _appends(folder, mode)
    found["fsync_p50_ms"] = round(fsync_ms(folder), 3)
    found["load"] = round(os.getloadavg()[0], 2)
    return found


def _appends(folder: Path, mode: str) -> dict[str, float]:
    from ondol.ledger.ledger import Ledger

    seconds, cpu = [], []
    with Ledger.open(folder / "ledger.db") as ledger:
        ledger.append(an_entry(0))
        with ledger.reading() as connection:
            (found,) = connection.execute("PRAGMA synchronous").fetchone()
            assert found == 2, "the ledger waits for the disk"
            connection.execute(f"PRAGMA synchronous = {mode}")
        for number in range(APPENDS):
            began, worked = time.perf_counter(), time.process_time()
            ledger.append(an_entry(number))
            seconds.append(time.perf_counter() - began)
            cpu.append(time.process_time() - worked)
    return {
        "p50_ms": round(statistics.median(seconds) * 1e3, 3),
        "p95_ms": round(sorted(seconds)[int(APPENDS * 0.95)] * 1e3, 3),
        "cpu_p50_ms": round(statistics.median(cpu) * 1e3, 3),
    }


def fsync_ms(folder: Path) -> float:
    """What the disk alone takes to keep 4 KiB."""
    seconds = []
    with (folder / "probe").open("wb") as file:
        for _ in range(500):
            began = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return statistics.median(seconds) * 1e3


def fill(folder: Path, count: int) -> dict[str, Any]:
    """``count`` entries with the ledger's own code, thousands to a transaction."""
    from ondol import database
    from ondol.identity import Identity
    from ondol.ledger import chain, checkpoints

    began = time.perf_counter()
    file = folder / "ledger.db"
    with closing(database.connect(file)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        identity = Identity.open(connection)
        end, _ = chain.find_end(connection, identity, None, has_file=False)
        for begin in range(0, count, BATCH):
            new = [an_entry(n).cleaned() for n in range(begin, min(count, begin + BATCH))]
            with database.transaction(connection):
                hashes, head = chain.add(connection, identity, end, new)
            end = chain.End(end.number + len(new), hashes[-1])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    checkpoints.write_file(file.with_name("ledger.db.head"), head)
    size = file.stat().st_size
    return {"entries": count, "seconds": round(time.perf_counter() - began, 1), "bytes": size}


def verify(folder: Path, count: int) -> dict[str, Any]:
    """The whole check."""
    from ondol.ledger.ledger import Ledger
    from ondol.ledger.verification import verify as check

    began, worked = time.perf_counter(), time.process_time()
    with Ledger.open(folder / "ledger.db") as ledger:
        found = check(ledger)
    assert found.is_intact and found.entries == count, found.json()
    return {
        "entries": count,
        "signatures": found.heads,
        "seconds": round(time.perf_counter() - began, 2),
        "cpu_seconds": round(time.process_time() - worked, 2),
        "peak_rss_mb": peak_mb(),
        "load": round(os.getloadavg()[0], 2),
    }


def read(folder: Path, count: int) -> dict[str, Any]:
    """What ``ondol ledger`` and ``ondol why`` wait for."""
    from ondol.ledger.ledger import Ledger

    def timed(work: Any) -> float:
        began = time.perf_counter()
        work()
        return round((time.perf_counter() - began) * 1e3, 2)

    with Ledger.open(folder / "ledger.db") as ledger:
        id = next(ledger.entries()).id
        return {
            "entries": count,
            "newest_20_ms": timed(lambda: list(ledger.entries(limit=20))),
            "newest_20_egress_ms": timed(lambda: list(ledger.entries(kind="egress", limit=20))),
            "by_id_prefix_ms": timed(lambda: ledger.get(id[:16])),
        }


def peak_mb() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


PARTS = {"append": append, "fill": fill, "verify": verify, "read": read}


def apart(part: str, folder: Path, count: int) -> dict[str, Any]:
    """Run ``part`` in a process of its own."""
    command = [sys.executable, __file__, "--part", part, "--folder", str(folder)]
    done = subprocess.run(
        [*command, "--entries", str(count)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    print(part, found, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    parser.add_argument("--part", choices=PARTS)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    if given.part:
        print(json.dumps(PARTS[given.part](given.folder, given.entries)))
        return
    results: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "cpus": os.cpu_count(),
            "processor": platform.machine(),
        },
        "verify": [],
        "read": [],
        "append": [],
    }
    with tempfile.TemporaryDirectory() as name:
        results["append"].append(apart("append", Path(name), 0))
    for count in dict.fromkeys((*(size for size in SIZES if size < given.entries), given.entries)):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            results.setdefault("fill", []).append(apart("fill", folder, count))
            results["verify"].append(apart("verify", folder, count))
            results["read"].append(apart("read", folder, count))
            if count == given.entries:
                results["append"].append(apart("append", folder, count))
    given.out.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
