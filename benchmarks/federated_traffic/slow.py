"""A round over Flower with three devices behind one cable of 1 Mbit/s that loses 5 % of all packets
and is pulled for half a minute while updates travel. Needs root and the federated environment.

.venv/bin/python benchmarks/federated_traffic/slow.py [--write] [--size 1244160]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[1] / "tests" / "federated")]

from rounds import PLAN, Household  # noqa: E402
from run import Heavy  # noqa: E402
from slow_cable import ENDS, SlowCable  # noqa: E402

from ondol.egress import Egress  # noqa: E402
from ondol.federated.chunks import ChunkedDevice, ChunkedGrid  # noqa: E402
from ondol.federated.coordinating.asking import Patience  # noqa: E402
from ondol.federated.flower.link import Link  # noqa: E402
from ondol.federated.flower.node import Node  # noqa: E402
from ondol.federated.flower.node_key import NodeKey  # noqa: E402
from ondol.home import certificate  # noqa: E402

DEVICES = 3
PULLED_SECONDS = 30
PATIENCE = Patience(training=1200.0, other=1200.0, again=2.0, tries=5, grace=60, ready=600)


def house(folder: Path, size: int) -> Household:
    learners = [Heavy(size, seed) for seed in range(DEVICES)]
    return Household(folder, DEVICES, replace(PLAN, rounds=1, value_bits=8), learners)


def home(folder: Path, size: int) -> None:
    """Holds one round, and says how it went."""
    household = house(folder, size)
    kept = certificate.ensure(folder / "certificate")
    keys = [NodeKey.of(one, PLAN.federation) for one in household.identities]
    members = {n: k.public_key for n, k in zip(household.nodes, keys, strict=True)}
    with Link(folder / "link", kept.file, ENDS[0]) as link:
        said = {"port": link.port, "fingerprint": kept.fingerprint.hex()}
        (folder / "home.part").write_text(json.dumps(said))
        (folder / "home.part").rename(folder / "home.json")
        grid = link.open(PLAN.federation, members)
        while len(grid.nodes()) < DEVICES:
            time.sleep(0.2)
        print("begun", flush=True)
        begun = time.monotonic()
        coordinator = household.coordinator(
            ChunkedGrid(grid, folder / "pieces"),
            start=lambda: np.zeros(size, np.float32),
            patience=PATIENCE,
            on_event=lambda event, fields: print(event, fields.get("stage", ""), flush=True),
        )
        record = coordinator.hold()
        seconds = time.monotonic() - begun
        mean = np.mean([one.delta for one in household.learners], axis=0, dtype=np.float64)
        error = np.linalg.norm(coordinator.vector() - mean) / np.linalg.norm(mean)
    done = {"seconds": seconds, "relative_error": float(error), "clients": len(record.clients)}
    print(json.dumps({"done": done}), flush=True)


def devices(folder: Path, size: int) -> None:
    """All of them, until they are ended."""
    household = house(folder, size)
    while not (folder / "home.json").exists():
        time.sleep(0.2)
    said = json.loads((folder / "home.json").read_text())
    with ExitStack() as stack:
        for number, device in enumerate(household.devices().values()):
            node = Node(
                ChunkedDevice(device),
                folder / f"node-{number}",
                f"https://{ENDS[0]}:{said['port']}",
                said["fingerprint"],
                household.nodes[number],
                NodeKey.of(household.identities[number], PLAN.federation),
                Egress(record=lambda passage: "entry"),
            )
            stack.enter_context(node)
        threading.Event().wait()


def measure(size: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder, SlowCable() as cable:
        script = [sys.executable, __file__, "--folder", folder, "--size", str(size)]
        ends = [
            subprocess.Popen(
                cable.run(end, *script, "--end", name), stdout=subprocess.PIPE, text=True
            )
            for end, name in enumerate(("home", "devices"))
        ]
        try:
            return _watched(cable, ends[0], size)
        finally:
            for one in ends:
                one.kill()
                one.communicate()


def _watched(cable: SlowCable, home_end: subprocess.Popen[str], size: int) -> dict[str, Any]:
    assert home_end.stdout is not None
    start = [0, 0]
    found: dict[str, Any] = {}
    for line in home_end.stdout:
        print(f"{time.strftime('%X')} {line}", end="", flush=True)
        if line == "begun\n":
            start = list(cable.carried)
            threading.Thread(target=_pull, args=(cable, start[1] + size), daemon=True).start()
        if line.startswith('{"done"'):
            found = json.loads(line)["done"]
            break
    down, up = (now - before for now, before in zip(cable.carried, start, strict=True))
    return found | {
        "size": size,
        "down_each": down / DEVICES,
        "up_each": up / DEVICES,
        "pulled_seconds": PULLED_SECONDS,
    }


def _pull(cable: SlowCable, carried: int) -> None:
    """Once so many bytes went up: a quarter of the updates is through."""
    while cable.carried[1] < carried:
        time.sleep(0.1)
    cable.is_pulled = True
    print("pulled", flush=True)
    time.sleep(PULLED_SECONDS)
    cable.is_pulled = False
    print("back", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--size", type=int, default=1_244_160)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--end", choices=("home", "devices"))
    asked = parser.parse_args()
    if asked.end:
        (home if asked.end == "home" else devices)(asked.folder, asked.size)
        return
    found = measure(asked.size)
    print(json.dumps(found, indent=1))
    if asked.write:
        (HERE / "slow.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
