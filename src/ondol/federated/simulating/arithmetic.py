"""A federation's rounds without its messages: for thousands of devices.

Learning, encoding, rounding, noise, the sum in the ring, home's checks and its defences are those
of real rounds, by the same functions. Left out are keys, masks and messages: masks cancel exactly
whoever drops out (``federated/masking``), so the sum is the same to the last unit.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ondol.errors import OndolError, RoundFailedError, UpdateRefusedError
from ondol.federated.coordinating import checks, messages, sums
from ondol.federated.coordinating.defences import robust_mean
from ondol.federated.coordinating.messages import MASK, TRAIN, UNMASK
from ondol.federated.masking.session import SMALLEST_SUM, Session
from ondol.federated.packing import packed_size
from ondol.federated.privacy.noise import noise_share
from ondol.federated.simulating import attackers, faults
from ondol.federated.simulating.history import Round
from ondol.federated.simulating.population import Population, randomness
from ondol.i18n import t

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.federated.coordinating.coordinator import Choose
    from ondol.federated.encoding import Codec

    Floats = npt.NDArray[np.float32]
    Ring = npt.NDArray[np.uint32]


@dataclass(slots=True)
class _Home:
    """What home holds between rounds."""

    vector: Floats
    best_canary: float
    moved_by: Floats | None = None
    # What each device draws from goes on from round to round.
    devices: dict[int, np.random.Generator] = field(default_factory=dict)

    @property
    def given(self) -> Floats:
        """The shared vector as devices have it, in 16 bits."""
        found: Floats = messages.rounded(self.vector)
        return found


def rounds(
    population: Population, choose: Choose, on_round: Callable[[Round], None]
) -> list[Round]:
    """All rounds of the population's scenario; each is told to ``on_round`` when it is over."""
    start = population.start()
    home = _Home(start, population.canary_loss(start))
    found: list[Round] = []
    for number in range(1, population.scenario.rounds + 1):
        began = time.monotonic()
        one = _round(population, home, number, choose)
        loss, accuracy = population.quality(home.given)
        one = replace(one, loss=loss, accuracy=accuracy, seconds=time.monotonic() - began)
        found.append(one)
        on_round(one)
    return found


def _round(population: Population, home: _Home, number: int, choose: Choose) -> Round:
    import numpy as np

    scenario, plan = population.scenario, population.plan
    chosen = [node - 1 for node in choose(_nodes(range(scenario.clients)), number)]
    trained = [
        device
        for device in _reaching(population, chosen, number, TRAIN)
        if device not in population.attackers or not population.attackers[device].is_broken
    ]
    is_secure = plan.aggregation == "secure"
    codec = sums.codec(plan, number, max(1, len(trained)) if is_secure else 1, population.size)
    one = Round(number, len(chosen), sum(device in population.attackers for device in chosen))
    stayed = _reaching(population, trained, number, MASK) if is_secure else trained
    sent = _sent(population, home, number, stayed, codec)
    one = replace(one, bytes_up=len(sent) * packed_size(codec.length, codec.bits))
    try:
        if is_secure:
            left = len(_reaching(population, stayed, number, UNMASK))
            mean, devices = _secret(population, codec, sent, left), stayed
        else:
            mean, devices = _seen(population, home, codec, sent)
    except RoundFailedError as error:
        return replace(one, reason=error.message)
    except UpdateRefusedError as error:
        return replace(one, nodes=_nodes(stayed), ended="refused", reason=error.message)
    vector = home.vector + mean
    canary = population.canary_loss(messages.rounded(vector))
    one = replace(
        one,
        nodes=_nodes(devices),
        norm=float(np.linalg.norm(mean)),
        loss_canary=canary,
        ended="taken",
    )
    if scenario.defence != "none" and checks.is_worse(canary, home.best_canary):
        return replace(one, ended="rolled_back")
    home.vector, home.moved_by = vector, mean
    home.best_canary = min(home.best_canary, canary)
    return one


def _sent(
    population: Population, home: _Home, number: int, devices: Sequence[int], codec: Codec
) -> dict[int, Ring]:
    """What each device sends, in the ring."""
    scenario = population.scenario
    found: dict[int, Ring] = {}
    if not devices:
        return found
    deltas = population.learned(number, home.given, devices)
    for device, delta in zip(devices, deltas, strict=True):
        attacker = population.attackers.get(device)
        if attacker is None:
            rng = home.devices.get(device) or randomness(scenario, device)
            home.devices[device] = rng
            ring = codec.encode(delta, rng)
            if population.plan.noise_multiplier:
                ring = codec.noised(ring, noise_share(codec, population.plan, rng))
        else:
            drawn = attackers.randomness(scenario, device, number)
            moved = home.given - population.start()
            ring = attacker.ring(delta, moved, codec, drawn)
        found[device] = ring
    return found


def _nodes(devices: Iterable[int]) -> tuple[int, ...]:
    """Node ids are positive."""
    return tuple(device + 1 for device in devices)


def _reaching(population: Population, devices: Sequence[int], number: int, stage: str) -> list[int]:
    return [one for one in devices if faults.reaches(population.scenario, one, number, stage)]


def _secret(population: Population, codec: Codec, sent: Mapping[int, Ring], left: int) -> Floats:
    """The mean of what home only sees the sum of. ``left`` devices are still there to take the
    masks off."""
    import numpy as np

    many = len(sent)
    needed = Session.threshold_for(codec.most_clients, population.plan.threshold)
    if many < SMALLEST_SUM or left < needed:
        needed = max(SMALLEST_SUM, needed)
        raise RoundFailedError(t("federated_simulating.too_few", count=left, needed=needed))
    total = codec.wrap(np.sum(list(sent.values()), axis=0, dtype=np.int64))
    if population.scenario.defence == "none":
        return _whatever(total, codec) / np.float32(many)
    mean = codec.decode_sum(total, many) / np.float32(many)
    checks.mean_norm(codec, mean, many)
    return mean


def _seen(
    population: Population, home: _Home, codec: Codec, sent: Mapping[int, Ring]
) -> tuple[Floats, list[int]]:
    """The mean of what home sees each of, and of whom."""
    import numpy as np

    plan, devices, taken = population.plan, [], []
    is_defended = population.scenario.defence != "none"
    for device, ring in sent.items():
        try:
            update = codec.decode_sum(ring, 1) if is_defended else _whatever(ring, codec)
            taken.append(checks.bounded(plan, update, home.moved_by) if is_defended else update)
            devices.append(device)
        except OndolError:
            continue
    if len(taken) < plan.min_clients:
        raise RoundFailedError(
            t("federated_simulating.too_few", count=len(taken), needed=plan.min_clients)
        )
    updates = np.stack(taken)
    if not is_defended:
        return updates.mean(axis=0), devices
    mean, rows = robust_mean(plan.defence, updates)
    return mean, [devices[row] for row in rows]


def _whatever(ring: Ring, codec: Codec) -> Floats:
    """Decoded without a look at what it is."""
    import numpy as np

    from ondol.federated.rotation import unrotate

    half = 2 ** (codec.bits - 1)
    ints = (ring.astype(np.int64) + half) % (2 * half) - half
    found: Floats = unrotate(ints * codec.step, codec.rotation)[: codec.dimension].astype(
        np.float32
    )
    return found
