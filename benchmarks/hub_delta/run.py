"""How many bytes does an update of a model cost, and how fast is it applied and verified?

    .venv/bin/python benchmarks/hub_delta/run.py [cases|update|memory|verify] [--write]

See README.md. CPU seconds of one process; other work on the machine does not count.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastcdc
import numpy as np
from backports.zstd import CompressionParameter, ZstdCompressor, ZstdDict, compress
from cases import CASES

sys.path.insert(0, str(Path(__file__).parents[2]))

from ondol.config import load
from ondol.egress import Egress
from ondol.hub.card import Card
from ondol.hub.client import Hub, HubRow
from ondol.hub.delta import apply, make
from ondol.hub.delta.layout import COPY, PATCH, Header, Record
from ondol.hub.release import Release
from ondol.hub.repository import Repository, keys
from ondol.hub.scan import Report
from ondol.hub.serving import create_app
from ondol.models.blobs import digest_of
from ondol.models.store import ModelStore
from tests.hub.served import served

RESULTS = Path(__file__).with_name("results.json")
MODEL = "smollm2:135m"
ROUNDS = 9
WHOLE = ("requantised", "random")
"""What no delta helps: not fetched."""


def seconds(what: Callable[[], object]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def whole_patch(old: bytes, new: bytes) -> int:
    """``zstd --patch-from`` as it is: the whole old file is the prefix (and in memory)."""
    options = {
        CompressionParameter.compression_level: 3,
        CompressionParameter.window_log: 30,
        CompressionParameter.enable_long_distance_matching: 1,
    }
    prefix = ZstdDict(old, is_raw=True).as_prefix
    packed = ZstdCompressor(options=options, zstd_dict=prefix)
    return len(packed.compress(new, ZstdCompressor.FLUSH_FRAME))


def chunks(old: bytes, new: bytes) -> int:
    """Content-defined chunks alone: what no chunk of the old file is, compressed; 36 bytes for
    each reference."""

    def cut(content: bytes) -> list[tuple[str, bytes]]:
        found = fastcdc.fastcdc(
            content, min_size=16384, avg_size=65536, max_size=262144, hf=hashlib.sha256
        )
        return [(c.hash, content[c.offset : c.offset + c.length]) for c in found]

    have = {name for name, _ in cut(old)}
    parts = cut(new)
    return 36 * len(parts) + len(compress(b"".join(p for name, p in parts if name not in have)))


def kinds(delta: Path) -> dict[str, int]:
    """Bytes of the new file that each kind of record yields."""
    totals = {"copy": 0, "patch": 0, "difference": 0}
    with delta.open("rb") as file:
        header = Header.read(file)
        done = 0
        while done < header.new_bytes:
            record = Record.read(file, header, done)
            file.seek(record.frame_length, 1)
            done += record.new_length
            name = {COPY: "copy", PATCH: "patch"}.get(record.kind, "difference")
            totals[name] += record.new_length
    return totals


def cases(folder: Path) -> dict[str, object]:
    old = model()
    before = old.read_bytes()
    results: dict[str, object] = {}
    for name, build in CASES.items():
        new = folder / name
        build(old, new)
        content = new.read_bytes()
        start = time.process_time()
        delta = make(old, new, folder)
        row: dict[str, object] = {
            "new_bytes": len(content),
            "make_seconds": round(time.process_time() - start, 2),
            "patch_from_bytes": whole_patch(before, content),
            "chunks_bytes": chunks(before, content),
        }
        if delta:
            out = folder / "out"
            spent = seconds(lambda: apply(old, delta.path, out, most_bytes=len(content)))  # noqa: B023
            assert out.read_bytes() == content
            row |= {
                "delta_bytes": delta.size_bytes,
                "share": round(delta.size_bytes / len(content), 5),
                "apply_and_hash_seconds": round(spent, 2),
                "made_of": kinds(delta.path),
            }
        new.unlink()
        results[name] = row
        print(name, row, flush=True)
    return results


class Counting:
    """An ASGI app that counts the bytes of the bodies that another one sends."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            self.sent += len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, counted)


class Publisher:
    """Who publishes the cases in a hub of its own, each as an item."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder)
        offline = self.repository.init("Benchmark")
        self.key = keys.make()
        self.repository.add_publisher("bench", keys.public_text(self.key), offline.targets)

    def publish(self, item: str, version: str, file: Path) -> Release:
        card = Card("model", item, {"model.gguf": "weights"})
        files = {"model.gguf": file}
        report = Report(True, (), 0.1)
        return self.repository.publish("bench", item, version, card, files, self.key, report=report)


def update(folder: Path) -> dict[str, object]:
    """All that a device asks of a real hub over HTTP to go from one version to the next: the
    metadata, and the delta."""
    publisher = Publisher(folder / "hub")
    old = model()
    items = {name.replace("_", "-"): name for name in CASES if name not in WHOLE}
    for item in items:
        publisher.publish(item, "1", old)
    app = Counting(create_app(folder / "hub"))
    results: dict[str, object] = {}
    with served(app) as url:
        root = (folder / "hub" / "metadata" / "1.root.json").read_bytes()
        row = HubRow("bench", publisher.repository.fingerprint, root, url, (), "")
        hub = Hub(row, folder / "known", Egress())
        hub.refresh()
        for item, name in items.items():
            CASES[name](old, folder / "new")
            file = publisher.publish(item, "2", folder / "new").files[0]
            app.sent = 0
            hub.refresh()
            metadata = app.sent
            start = time.perf_counter()
            hub.fetch(file, folder / "partial", have=[old])
            results[name] = {
                "new_bytes": file.size_bytes,
                "metadata_bytes": metadata,
                "sent_bytes": app.sent,
                "share": round(app.sent / file.size_bytes, 5),
                "fetch_seconds": round(time.perf_counter() - start, 2),
            }
            (folder / "partial").unlink()
            print(name, results[name], flush=True)
    return results


MEASURED = """
import sys, time
from pathlib import Path
from ondol.hub.delta import apply, make
import numpy, backports.zstd, fastcdc
folder = Path(sys.argv[2])

def peak():
    # Of this program's memory alone: ru_maxrss keeps that of who started it.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

base = peak()
start = time.process_time()
if sys.argv[1] == "make":
    known = {"old_digest": "sha256:0", "new_digest": sys.argv[3]}
    print(make(folder / "old", folder / "new", folder, **known).size_bytes)
elif sys.argv[1] == "hostile":
    # The longest prefix and the widest window that a record may ask for, and no length said.
    from ondol.hub.delta.layout import *
    content = numpy.random.default_rng(2).bytes(SEGMENT_BYTES)
    options = {backports.zstd.CompressionParameter.window_log: WINDOW_LOG}
    frame = backports.zstd.ZstdCompressor(options=options)
    packed = frame.compress(content) + frame.flush()
    record = Record(PATCH, 0, MOST_PREFIX_BYTES, SEGMENT_BYTES, len(packed))
    size = (folder / "old").stat().st_size
    header = Header(size, SEGMENT_BYTES)
    (folder / "hostile").write_bytes(header.packed() + record.packed() + packed)
    del content, frame, packed
    Path("/proc/self/clear_refs").write_text("5")
    base = peak()
    print(apply(folder / "old", folder / "hostile", folder / "out", most_bytes=2**40))
else:
    delta = next((folder / "deltas").iterdir())
    print(apply(folder / "old", delta, folder / "out", most_bytes=2**40))
print(time.process_time() - start)
print((peak() - base) // 1024)
"""


def memory(folder: Path, gigabytes: int = 4) -> dict[str, object]:
    """The most memory that making and applying takes, beside what the libraries take."""
    random = np.random.default_rng(1)
    with (folder / "old").open("wb") as old, (folder / "new").open("wb") as new:
        new.write(b"a longer header" * 1000)
        for number in range(gigabytes * 10):
            block = random.integers(0, 256, 100_000_000, dtype=np.uint8)
            old.write(block)
            # A block in one place, nudged numbers in another: every kind of record.
            block[:500_000] = random.integers(0, 256, 500_000, dtype=np.uint8)
            block[50_000_000:60_000_000] += random.integers(0, 2, 10_000_000, dtype=np.uint8)
            if number % 10 == 0:
                # And a hundred megabytes of which no chunk is what it was: the longest records.
                block[random.integers(0, len(block), len(block) // 100)] ^= 1
            new.write(block)
    digest = digest_of(folder / "new")
    made = measured("make", folder, digest)
    applied = measured("apply", folder, digest)
    assert applied[0] == digest, applied
    hostile = measured("hostile", folder, "")
    return {
        "file_bytes": (folder / "new").stat().st_size,
        "delta_bytes": int(made[0]),
        "make_seconds": round(float(made[1]), 1),
        "make_most_mib": int(made[2]),
        "apply_and_hash_seconds": round(float(applied[1]), 1),
        "apply_most_mib": int(applied[2]),
        "hostile_most_mib": int(hostile[2]),
    }


def measured(what: str, folder: Path, digest: str) -> list[str]:
    command = [sys.executable, "-c", MEASURED, what, str(folder), digest]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def verify(folder: Path) -> dict[str, object]:
    """How fast a file is verified, beside SHA-256 of the same file alone (what ``sha256sum``
    does), and of the same bytes where they are in memory already."""
    file = model()
    content = file.read_bytes()

    def alone() -> str:
        with file.open("rb", buffering=0) as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    ways: dict[str, Callable[[], object]] = {
        "sha256_alone": alone,
        "file_verified": lambda: digest_of(file),
        "sha256_in_memory": lambda: hashlib.sha256(content).digest(),
    }
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            found[name].append(seconds(way))
    rates = {name: len(content) / min(spent) for name, spent in found.items()}
    ratios = [a / b for a, b in zip(found["sha256_alone"], found["file_verified"], strict=True)]
    return {
        "bytes": len(content),
        **{f"{name}_mb_per_second": round(rate / 1e6) for name, rate in rates.items()},
        "verify_to_sha256": round(rates["file_verified"] / rates["sha256_alone"], 3),
        "median_of_rounds": round(statistics.median(ratios), 3),
    }


def model() -> Path:
    store = ModelStore(load().models_dir)
    return store.path(store.get(MODEL))


def main() -> None:
    parser = argparse.ArgumentParser()
    parts = {"cases": cases, "update": update, "memory": memory, "verify": verify}
    parser.add_argument("part", nargs="?", choices=parts)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, part in parts.items():
        if arguments.part in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                results[name] = part(Path(folder))
            print(json.dumps({name: results[name]}, indent=1))
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
