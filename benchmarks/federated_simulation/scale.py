"""What would ten million devices ask of their home? Reckoned, from what one round of masks costs.

See docs/federated-scale.md; --write keeps scale.json. Measured here: the masks' key stream, and a
round of a hundred devices with short vectors. All else follows by arithmetic from the code's own
sizes.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ondol import __version__
from ondol.federated.encoding import Codec
from ondol.federated.masking import stream
from ondol.federated.masking.adder import Adder
from ondol.federated.masking.graph import MOST_NEIGHBOURS
from ondol.federated.masking.kept import Memory
from ondol.federated.masking.member import Member
from ondol.federated.masking.session import Session
from ondol.federated.packing import packed_size
from ondol.federated.plan import Plan
from ondol.federated.privacy.spending import Accountant, noise_for
from ondol.identity import Identity

HERE = Path(__file__).parent
DEVICES = 10_000_000
EVERY_DAYS = 7.0
"""How often a device takes part."""
A_ROUND = 10_000
"""Devices whose sums make one step of the shared adapter."""
PEAK = 4.0
"""Devices are idle and on power at night: the busiest hour, over the mean."""
LATE = 0.02
"""Devices that go after they sent shares. Training comes before: who goes then costs nothing."""
ROUND_SECONDS = 600.0
"""From the first key to the sum: how long masked vectors lie on a disk."""
CORE_BUSY = 0.5
GROUPS = (100, 300, 1000)
# smollm2:135m, r = 8: what benchmarks/federated_traffic found to travel.
ADAPTERS = {"ffa": 1_244_160, "fedsb": 13_440}
DELTA = 1e-8
PLAN = Plan("scale", "scale", "smollm2:135m", "0" * 64, "0" * 64, "style", delta=DELTA)


def key_stream() -> dict[str, float]:
    """CPU-seconds a mask of a million numbers, in words of 16 and 32 bits."""
    found = {}
    for bits in (16, 32):
        total = stream.words(4_000_000, bits)
        stream.apply(total, bytes(32), adds=True)
        began = time.process_time()
        for _ in range(5):
            stream.apply(total, bytes(32), adds=True)
        found[str(bits)] = (time.process_time() - began) / 20
    return found


def handshake(count: int = 100) -> dict[str, float]:
    """A round of masks with vectors of two numbers: home's CPU-seconds a device, and a device's
    bytes up and down and CPU-seconds."""
    identities = {n: Identity(Ed25519PrivateKey.generate()) for n in range(1, count + 1)}
    roster = {node: one.public_key for node, one in identities.items()}
    session = Session("scale", "ab" * 32, 1, 0, Session.threshold_for(count), 16, 2, roster)
    pinned = set(roster.values())
    members = {n: Member(session, identities[n], pinned, Memory()) for n in roster}
    adder, home, device, up, down = Adder(session), 0.0, 0.0, 0, 0

    def timed(work: Any, *given: Any) -> tuple[Any, float]:
        began = time.process_time()
        return work(*given), time.process_time() - began

    def all_of(stage: str, asked: dict[int, tuple[Any, ...]]) -> dict[int, Any]:
        nonlocal device, up, down
        answers = {}
        for node, given in asked.items():
            answers[node], took = timed(getattr(members[node], stage), *given)
            device += took
            up += len(answers[node]) if isinstance(answers[node], bytes) else 0
            down += sum(len(one) for one in given if isinstance(one, bytes))
        return answers

    keys = all_of("keys", {n: () for n in roster})
    relay, took = timed(adder.relay_keys, keys)
    home += took
    shares = all_of("shares", {n: (relay,) for n in roster})
    bundles, took = timed(adder.relay_shares, shares)
    home += took
    vector = np.ones(2, np.uint32)
    masked = all_of("mask", {n: (bundles[n], vector) for n in roster})
    survivors, took = timed(adder.ask_survivors, masked)
    home += took
    signed = all_of("survivors", {n: (survivors,) for n in roster})
    request, took = timed(adder.ask_unmask, signed)
    home += took
    reveals = all_of("unmask", {n: (request,) for n in roster})
    total, took = timed(adder.sum, masked, reveals)
    home += took
    assert np.array_equal(total, np.full(2, count))
    return {
        "devices": count,
        "home_seconds": home / count,
        "device_seconds": device / count,
        "up": up / count,
        "down": down / count,
    }


def group(
    size: int, numbers: int, stream_seconds: dict[str, float], shake: dict[str, float]
) -> Any:
    """One masked sum of ``size`` devices."""
    codec = Codec.of(replace(PLAN, min_clients=size), size, numbers, 1)
    neighbours = min(size - 1, MOST_NEIGHBOURS)
    # Shares and signatures grow with the neighbours that a device has.
    factor = neighbours / (shake["devices"] - 1)
    million = numbers / 1e6
    mask = stream_seconds["16" if codec.bits <= 16 else "32"] * million
    late = LATE * size
    home = shake["home_seconds"] * factor + mask * (1 + late * neighbours / size)
    return {
        "devices": size,
        "numbers": numbers,
        "bits": codec.bits,
        "neighbours": neighbours,
        "up": packed_size(codec.length, codec.bits) + shake["up"] * factor,
        "down": 2 * numbers + shake["down"] * factor,
        "home_seconds_a_device": home,
        "device_seconds": shake["device_seconds"] * factor + mask * (1 + neighbours),
    }


def whole(one: dict[str, Any]) -> dict[str, float]:
    """All devices, in groups like ``one``."""
    a_second = DEVICES / (EVERY_DAYS * 86_400)
    peak = PEAK * a_second
    return {
        "device_rounds_a_second": a_second,
        "at_the_peak": peak,
        "up_gbit_at_the_peak": peak * one["up"] * 8 / 1e9,
        "down_gbit_at_the_peak": peak * one["down"] * 8 / 1e9,
        "up_tb_a_day": a_second * 86_400 * one["up"] / 1e12,
        "cores_at_the_peak": peak * one["home_seconds_a_device"] / CORE_BUSY,
        "gb_on_disks_at_the_peak": peak * ROUND_SECONDS * one["up"] / 1e9,
        "open_groups_at_the_peak": peak * ROUND_SECONDS / one["devices"],
        "rounds_a_day": a_second * 86_400 / A_ROUND,
    }


def privacy(size: int, numbers: int, times: int, epsilon: float) -> dict[str, Any]:
    """Noise that gives a device ``epsilon`` for taking part ``times``, where home sees each group's
    sum; and how strong what is left of it is in a round, beside updates that all agree."""
    plan = replace(PLAN, min_clients=size, threshold=2)
    noise = noise_for(plan, epsilon, times, numbers)
    noisy = replace(plan, noise_multiplier=noise)
    spent = Accountant(noisy, numbers).ahead(times, size).epsilon
    per_group = noise * math.sqrt(size / Session.threshold_for(size, plan.threshold))
    groups = A_ROUND / size
    return {
        "devices": size,
        "times": times,
        "epsilon": epsilon,
        "spent": spent,
        "noise_multiplier": noise,
        "bits": Codec.of(noisy, size, numbers, 1).bits,
        "noise_over_signal": per_group * math.sqrt(groups * numbers) / A_ROUND,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    said = parser.parse_args()
    stream_seconds, shake = key_stream(), handshake()
    print(stream_seconds, shake)
    rows, noise = [], []
    for name, numbers in ADAPTERS.items():
        for size in GROUPS:
            one = group(size, numbers, stream_seconds, shake)
            rows.append({"adapter": name, **one, **whole(one)})
            print(rows[-1])
        for times, epsilon in ((1, 2.0), (4, 2.0), (52, 8.0)):
            noise.append({"adapter": name, **privacy(1000, numbers, times, epsilon)})
            print(noise[-1])
    if said.write:
        results = {
            "date": date.today().isoformat(),
            "ondol": __version__,
            "devices": DEVICES,
            "key_stream_seconds_a_million": stream_seconds,
            "handshake": shake,
            "groups": rows,
            "privacy": noise,
        }
        (HERE / "scale.json").write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
