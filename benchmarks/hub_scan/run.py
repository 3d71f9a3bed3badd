"""Does the scanner refuse all that is malformed, in how much memory, and how fast is it?

    .venv/bin/python benchmarks/hub_scan/run.py [corpus|speed|engine] [--write]

``corpus``: every release of ``ondol.lab.redteam.releases`` through the real child. ``speed``:
models of 500 MB and the default model, beside SHA-256 of the same file; CPU seconds, which do not
count waiting. Memory is the child's largest resident set, as the kernel says it. ``engine``: a tiny
llama with bytes of its header changed at random, until so many have passed the scanner; each of
those is given to llama.cpp, which may take or refuse it, and may not end or hang.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from ondol.config import load
from ondol.engine.pool import EnginePool, EngineSettings, ModelSpec
from ondol.errors import InvalidModelError, OndolError
from ondol.hub.scan import child, scan, scanning
from ondol.hub.scan.refused import Refused
from ondol.lab.redteam.releases.collected import all_cases, written
from ondol.lab.redteam.releases.makers import described, gguf, tensor
from ondol.models.gguf import read_header
from ondol.models.store import ModelStore
from ondol.types import GenerateOptions, Message
from tests.updating.served_llama import write_llama

RESULTS = Path(__file__).with_name("results.json")
HELPLESS = {"ended_child", "not_looked", "too_slow", "too_much_memory", "unreadable"}
MEGABYTES = 500
RUNS = 5
PASSED = 200
EDGES = (0, 1, 2, 3, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
# Number in the file, elements and bytes of a block.
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q8_0": (8, 32, 34), "Q4_K": (12, 256, 144)}


@contextmanager
def children() -> Iterator[list[dict[str, float]]]:
    """What each child took in the end: CPU seconds and resident megabytes."""
    found: list[dict[str, float]] = []
    kill = scanning.Child.kill

    def watched(self: Any) -> int:
        status = dict(
            line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines()
        )
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        if "VmHWM" in status:
            megabytes = int(status["VmHWM"].split()[0]) / 1024
            found.append({"cpu": ticks / os.sysconf("SC_CLK_TCK"), "megabytes": megabytes})
        return int(kill(self))

    scanning.Child.kill = watched  # type: ignore[method-assign]
    try:
        yield found
    finally:
        scanning.Child.kill = kill  # type: ignore[method-assign]


def corpus() -> dict[str, Any]:
    cases = {str(number): case for number, case in enumerate(all_cases())}
    with tempfile.TemporaryDirectory() as folder, children() as took:
        report = scan(written(cases, Path(folder)))
    by_case: dict[str, set[str]] = {number: set() for number in cases}
    for finding in report.findings:
        by_case[finding.file.partition("/")[0]].add(finding.code)
    for_another = [
        case.name
        for number, case in cases.items()
        if case.codes and not case.codes & by_case[number]
    ]
    return {
        "releases": len(cases),
        "by part": Counter(case.name.partition("-")[0] for case in cases.values()),
        "with a published shape": sum(bool(case.shape) for case in cases.values()),
        "shapes": Counter(case.shape for case in cases.values() if case.shape),
        "refused": sum(map(bool, by_case.values())),
        "refused for another reason": len(for_another),
        "where something gave in": sum(bool(one & HELPLESS) for one in by_case.values()),
        "children": len(took),
        "cpu seconds": round(sum(one["cpu"] for one in took), 2),
        "largest resident MB": round(max(one["megabytes"] for one in took)),
        "address space MB": scanning.MEMORY_BYTES >> 20,
    }


def speed() -> list[dict[str, Any]]:
    store = ModelStore(load().models_dir)
    default = store.path(store.get("smollm2:135m"))
    rows = [measured("smollm2:135m (Q4_1)", "model.gguf", default)]
    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for name, (code, block, size) in TYPES.items():
            count = MEGABYTES * 10**6 // size // 8192 * 8192
            # Small numbers, so that no scale is one that is none.
            data = (random.integers(0, 40, count * size, dtype=np.uint8)).tobytes()
            architecture = tensor("w", (count * block // 8, 8), code)
            path.write_bytes(gguf(tensors=[architecture], data=data + bytes(-len(data) % 32)))
            rows.append(measured(f"GGUF {name}", "model.gguf", path))
        count = MEGABYTES * 10**6 // 2
        data = random.integers(0, 40, 2 * count, dtype=np.uint8).tobytes()
        header = {"w": described("BF16", [count], [0, 2 * count])}
        raw = json.dumps(header).encode()
        path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
        rows.append(measured("safetensors BF16", "model.safetensors", path))
    return rows


def engine() -> dict[str, Any]:
    """In this process, without the child: it is the same look."""
    random = Random(1)
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile(buffering=0) as file:
        whole = write_llama(Path(folder) / "tiny.gguf")
        data, end = whole.read_bytes(), read_header(whole).data_offset
        while counts["passed the scanner"] < PASSED:
            changed = bytearray(data)
            for _ in range(random.randint(1, 3)):
                change(changed, random, end)
            counts["made"] += 1
            file.truncate(0)
            file.seek(0)
            file.write(changed)
            if findings(file.fileno()):
                continue
            counts["passed the scanner"] += 1
            path = Path(folder) / "changed.gguf"
            path.write_bytes(changed)
            counts[said(path, str(counts["made"]))] += 1
    return dict(counts)


def change(data: bytearray, random: Random, end: int) -> None:
    """One byte, one bit, or one number of four bytes, behind the counts at the front."""
    at, how = random.randrange(24, end), random.random()
    if how < 0.5:
        data[at] = random.randrange(256)
    elif how < 0.75:
        data[at : at + 4] = (random.choice(EDGES) & 0xFFFFFFFF).to_bytes(4, "little")
    else:
        data[at] ^= 1 << random.randrange(8)


def findings(descriptor: int) -> bool:
    request = {"name": "m.gguf", "is_base": False}
    try:
        return any(True for _ in child._look(request, "m.gguf", descriptor, [], {}))
    except (Refused, InvalidModelError):
        return True


def said(path: Path, digest: str) -> str:
    """What came of loading it and asking it something."""
    spec = ModelSpec("m", path, f"sha256:{digest}", path.stat().st_size, num_ctx=256)
    pool = EnginePool(EngineSettings(num_ctx=256, start_timeout_seconds=20.0), lambda name: spec)
    try:
        options = GenerateOptions(max_tokens=4, temperature=0.0)
        list(pool.engine("m").generate([Message("user", "the he the")], options))
    except OndolError as error:
        is_refused = "cannot be loaded" in error.message
        print("refused" if is_refused else "ENDED", error.message, file=sys.stderr)
        return "llama.cpp refused" if is_refused else "llama.cpp ended or hung"
    finally:
        pool.close()
    return "llama.cpp answered"


def measured(name: str, file: str, path: Path) -> dict[str, Any]:
    """The fastest of ``RUNS``: a look in this process, SHA-256, and all of a scan by the child."""
    with path.open("rb") as opened:
        request = {"name": file, "is_base": False}
        descriptor = opened.fileno()
        look = min(
            cpu(lambda: list(child._look(request, file, descriptor, [], {}))) for _ in range(RUNS)
        )
    hashed = min(cpu(lambda: digest(path)) for _ in range(RUNS))
    with children() as took:
        reports = [scan({file: path}, linked=True) for _ in range(RUNS)]
    assert all(report.ok for report in reports), reports[0].findings
    size = path.stat().st_size / 1e6
    return {
        "file": name,
        "MB": round(size, 1),
        "sha256 MB/s": round(size / hashed),
        "look MB/s": round(size / look),
        "look / sha256": round(hashed / look, 1),
        "child cpu s": round(min(one["cpu"] for one in took), 2),
        "whole wall s": round(min(report.seconds for report in reports), 2),
        "resident MB": round(max(one["megabytes"] for one in took)),
    }


def cpu(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=("corpus", "speed", "engine"))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name, run in (("corpus", corpus), ("speed", speed), ("engine", engine)):
        if given.part in (None, name):
            results[name] = run()
            print(json.dumps({name: results[name]}, indent=1))
    if given.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
