"""Is a masked sum exact whoever leaves, and what does it cost?

    .venv/bin/python benchmarks/secure_aggregation/run.py [drops|costs] [--write]

``drops``: 1,000 random rounds, in which devices leave before random steps. ``costs``: time and
bytes of one device and of home. All in one process and in memory; CPU seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ondol.errors import MaskingError
from ondol.federated.masking import graph, rows
from ondol.federated.masking.adder import Adder
from ondol.federated.masking.circle import Circle
from ondol.federated.masking.kept import Memory
from ondol.federated.masking.member import Member
from ondol.federated.masking.session import SMALLEST_SUM, Session
from ondol.federated.packing import packed_size
from ondol.identity import Identity

RESULTS = Path(__file__).with_name("results.json")
STEPS = ("keys", "shares", "mask", "survivors", "unmask")
SCHEDULES = 1000
# Devices, numbers in a vector.
SIZES = [(5, 10_000), (5, 1_000_000), (10, 100_000), (10, 1_000_000), (30, 100_000)]
SIZES += [(100, 10_000), (100, 100_000), (100, 1_000_000), (300, 10_000)]
LEAVES = 0.1


class Round:
    """One masked sum with everybody in this process. ``leaves``: before which step a node goes."""

    def __init__(self, session: Session, identities: dict[int, Identity]) -> None:
        self.session = session
        pinned = set(session.roster.values())
        self.members = {
            node: Member(session, identities[node], pinned, Memory()) for node in session.roster
        }
        self.adder = Adder(session)
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.up: dict[str, int] = {}
        self.down: dict[str, int] = {}

    def run(self, vectors: Callable[[int], Any], leaves: dict[int, int]) -> Any:
        """The sum, and what each step took and weighed."""
        there = [set(n for n in self.members if leaves.get(n, 5) > step) for step in range(5)]
        keys = {n: self._ask("keys", n) for n in sorted(there[0])}
        all_keys = self._home("relay_keys", keys)
        shares = {n: self._ask("shares", n, all_keys) for n in sorted(there[1])}
        bundles = self._home("relay_shares", shares)
        masked = {
            n: self._ask("mask", n, bundles[n], vectors(n)) for n in sorted(there[2] & set(bundles))
        }
        survivors = self._home("ask_survivors", masked)
        signed = {n: self._ask("survivors", n, survivors) for n in sorted(there[3] & set(masked))}
        request = self._home("ask_unmask", signed)
        reveals = {n: self._ask("unmask", n, request) for n in sorted(there[4] & set(signed))}
        return self._home("sum", masked, reveals)

    def _ask(self, step: str, node: int, *question: Any) -> Any:
        begin = time.process_time()
        answer = getattr(self.members[node], step)(*question)
        self.seconds[step].append(time.process_time() - begin)
        is_vector = step == "mask"
        size = packed_size(self.session.length, self.session.bits) if is_vector else len(answer)
        self.up[step] = max(self.up.get(step, 0), size)
        self.down[step] = max(self.down.get(step, 0), len(question[0]) if question else 0)
        return answer

    def _home(self, step: str, *answers: Any) -> Any:
        begin = time.process_time()
        said = getattr(self.adder, step)(*answers)
        self.seconds[step].append(time.process_time() - begin)
        return said


def session(count: int, *, threshold: int, bits: int, length: int) -> tuple[Session, Any]:
    """A round of ``count`` new devices."""
    identities = {n: Identity(Ed25519PrivateKey.generate()) for n in range(1, count + 1)}
    roster = {node: one.public_key for node, one in identities.items()}
    return Session("bench", "ab" * 32, 1, 0, threshold, bits, length, roster), identities


def drops() -> dict[str, Any]:
    """Random schedules; a fifth of them with few neighbours each, as in large rounds."""
    chance = random.Random(9)
    numbers = np.random.default_rng(9)
    found: dict[str, int] = defaultdict(int)
    for number in range(SCHEDULES):
        is_sparse = number % 5 == 4
        graph.MOST_NEIGHBOURS, graph.NEIGHBOURS_THRESHOLD = (8, 6) if is_sparse else (300, 191)
        count = chance.randint(12, 24) if is_sparse else chance.randint(3, 20)
        threshold = chance.randint(count // 2 + 1, Session.threshold_for(count))
        bits, length = chance.randint(1, 32), chance.randint(1, 2000)
        asked, identities = session(count, threshold=threshold, bits=bits, length=length)
        rate = chance.choice([0.02, 0.1, 0.2, 0.3])
        leaves = {n: chance.randint(0, 4) for n in identities if chance.random() < rate}
        vectors = {n: numbers.integers(0, 1 << bits, length, np.uint32) for n in identities}
        round = Round(asked, identities)
        found["left"] += len(leaves)
        try:
            total = round.run(vectors.__getitem__, leaves)
        except MaskingError:
            found["refused"] += 1
            found["refused without need"] += is_possible(count, threshold, leaves, is_sparse)
            continue
        stayed = [n for n in identities if leaves.get(n, 5) > STEPS.index("mask")]
        plain = sum(vectors[n].astype(np.uint64) for n in stayed) % (1 << bits)
        is_right = round.adder.stayed == stayed and np.array_equal(total, plain)
        found["exact" if is_right else "wrong"] += 1
    return {"schedules": SCHEDULES, **{k: found[k] for k in sorted(found)}, "wrong": found["wrong"]}


def is_possible(count: int, threshold: int, leaves: dict[int, int], is_sparse: bool) -> bool:
    """Whether enough stayed at each step (with few neighbours: no more than can be said)."""
    left = [count - sum(step <= at for step in leaves.values()) for at in range(5)]
    least = max(threshold, SMALLEST_SUM)
    return not is_sparse and min(left[:3]) >= least and min(left[3:]) >= threshold


def costs() -> list[dict[str, Any]]:
    """One device's and home's seconds and bytes; a tenth leaves after sharing its secrets."""
    found = []
    for count, length in SIZES:
        bits = 8 + (count - 1).bit_length()
        threshold = Session.threshold_for(count)
        asked, identities = session(count, threshold=threshold, bits=bits, length=length)
        gone = max(1, int(count * LEAVES)) if count > 3 else 0
        vector = np.random.default_rng(1).integers(0, 256, length, np.uint32)
        round = Round(asked, identities)
        total = round.run(lambda node, vector=vector: vector, dict.fromkeys(range(1, gone + 1), 2))
        assert np.array_equal(total, vector * (count - gone))
        device = {
            step: sorted(round.seconds[step])[len(round.seconds[step]) // 2] for step in STEPS
        }
        home = {s: t[0] for s, t in round.seconds.items() if s not in STEPS}
        row = {
            "devices": count,
            "numbers": length,
            "bits": bits,
            "left": gone,
            "device_seconds": {k: round_to(v) for k, v in device.items()},
            "device_total_seconds": round_to(sum(device.values())),
            "home_seconds": {k: round_to(v) for k, v in home.items()},
            "home_total_seconds": round_to(sum(home.values())),
            "device_bytes_up": round.up,
            "device_bytes_down": round.down,
            "beside_the_vector_bytes": sum(round.up.values())
            + sum(round.down.values())
            - round.up["mask"],
        }
        print(json.dumps(row), flush=True)
        found.append(row)
    return found


def one_of_a_thousand(length: int) -> dict[str, Any]:
    """One device of a thousand, whose neighbours' shares are made for it alone: what all of them
    compute together would take ten minutes."""
    bits = 18
    asked, identities = session(1000, threshold=667, bits=bits, length=length)
    round = Round(asked, identities)
    all_keys = round.adder.relay_keys({n: member.keys() for n, member in round.members.items()})
    circle = Circle.read(asked, all_keys, is_checked=True)
    round._ask("shares", 1, all_keys)
    boxes = {}
    for other in circle.graph.neighbours(1):
        secrets = round.members[other]._secrets()
        (mask,), (self_mask,) = (circle.split(secrets, w, [1]) for w in ("mask", "self_mask"))
        boxes[other] = circle.seal(secrets, other, 1, mask + self_mask)
    round._ask("mask", 1, rows.join(boxes), np.zeros(length, np.uint32))
    survivors = rows.join(dict.fromkeys(identities, b""))
    round._ask("survivors", 1, survivors)
    said = circle.agreement(survivors)
    round._ask("unmask", 1, rows.join({n: one.sign(said) for n, one in identities.items()}))
    row = {
        "devices": 1000,
        "numbers": length,
        "bits": bits,
        "device_seconds": {step: round_to(t[0]) for step, t in round.seconds.items()},
        "device_total_seconds": round_to(sum(t[0] for t in round.seconds.values())),
        "device_bytes_up": {"keys": 160, **round.up},
        "device_bytes_down": round.down,
    }
    print(json.dumps(row), flush=True)
    return row


def round_to(seconds: float) -> float:
    """Milliseconds are enough."""
    return round(seconds, 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("drops", "costs"))
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if given.part != "costs":
        results["drops"] = drops()
        print(json.dumps(results["drops"], indent=1))
    if given.part != "drops":
        results["costs"] = costs()
        results["one of a thousand"] = [one_of_a_thousand(n) for n in (10_000, 100_000, 1_000_000)]
    if given.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    if results["drops"]["wrong"] or results["drops"].get("refused without need"):
        raise SystemExit("a sum was wrong, or refused without need")


if __name__ == "__main__":
    main()
