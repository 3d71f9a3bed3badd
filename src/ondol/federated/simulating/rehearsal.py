"""A federation's rounds as they really go, in one process: for up to some hundred devices.

Every message is made, signed, masked, checked and read by the coordinator and the participants of
real rounds, and everything they keep is kept. Only the model and the data are small.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ondol.federated.coordinating.asking import Patience
from ondol.federated.coordinating.coordinator import Choose, Coordinator
from ondol.federated.coordinating.in_process import InProcessGrid
from ondol.federated.members import keys_of
from ondol.federated.simulating.devices import member, participant
from ondol.federated.simulating.history import Ending, Round
from ondol.federated.simulating.population import Population

THREADS = 2
SECONDS_A_STAGE = 600.0


def rounds(
    population: Population, choose: Choose, on_round: Callable[[Round], None], folder: Path
) -> list[Round]:
    """All rounds of the population's scenario, kept in ``folder``; each is told to ``on_round``
    when it is over. To ``choose`` devices have the numbers 1, 2, 3, ..."""
    scenario = population.scenario
    members = [member(population, device) for device in range(scenario.clients)]
    roster = keys_of(one for one, _ in members)
    numbers = {one.node: device + 1 for device, (one, _) in enumerate(members)}
    nodes = {number: node for node, number in numbers.items()}
    grid = InProcessGrid(
        {
            one.node: participant(population, device, identity, roster, folder / f"device-{device}")
            for device, (one, identity) in enumerate(members)
        },
        THREADS,
    )
    asked: Sequence[int] = ()

    def chosen(found: Sequence[int], number: int) -> list[int]:
        nonlocal asked
        asked = choose(sorted(numbers[node] for node in found), number)
        return [nodes[one] for one in asked]

    history: list[Round] = []

    def told(event: str, said: Mapping[str, Any]) -> None:
        if event == "finished":
            attackers = sum(one - 1 in population.attackers for one in asked)
            one = _round(population, coordinator, said, len(asked), attackers)
            one = replace(one, nodes=tuple(numbers[node] for node in said["clients"]))
            history.append(one)
            on_round(one)

    coordinator = Coordinator(
        folder / "home",
        population.plan,
        grid,
        start=population.start,
        roster=lambda: roster,
        canary=population.canary_loss,
        choose=chosen,
        on_event=told,
        # Who does not answer here is gone for this round: nobody has to be waited for.
        patience=Patience(
            training=SECONDS_A_STAGE,
            other=SECONDS_A_STAGE,
            again=0.0,
            tries=1,
            grace=1,
            ready=1,
            failures=scenario.rounds + 1,
        ),
    )
    try:
        coordinator.run(scenario.rounds, most_tries=scenario.rounds)
    finally:
        grid.close()
    return history


def _round(
    population: Population,
    coordinator: Coordinator,
    said: Mapping[str, Any],
    chosen: int,
    attackers: int,
) -> Round:
    ended: Ending = "failed" if said["failed"] else "taken"
    if said["rolled_back"]:
        ended = "refused" if said["loss_canary"] is None else "rolled_back"
    loss, accuracy = population.quality(coordinator.vector())
    return Round(
        number=said["number"],
        chosen=chosen,
        attackers=attackers,
        ended=ended,
        reason=said["failed"],
        loss=loss,
        accuracy=accuracy,
        loss_canary=said["loss_canary"],
        norm=said["norm"],
        bytes_up=said["bytes_up"],
        bytes_down=said["bytes_down"],
        seconds=said["seconds"],
    )
