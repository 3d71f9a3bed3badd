"""``ondol federation simulate``: a federation of simulated devices, before there is a real one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ondol.cli.command import PathName, command, pass_output
from ondol.cli.output import Output
from ondol.federated.simulating.scenario import ATTACKS, DEFENCES, Scenario
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.federated.simulating.history import Round

F = TypeVar("F", bound=Callable[..., Any])

BAR = "{desc}: {percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} {postfix}"
SHARE = click.FloatRange(0, 1)


def _option(name: str, **settings: Any) -> Callable[[F], F]:
    said = t(f"federated_simulating.option_{name.strip('-').replace('-', '_')}")
    return click.option(name, help=said, show_default=True, **settings)


@command("simulate", help=t("federated_simulating.help"))
@_option("--clients", type=click.IntRange(3, 100_000), default=100)
@_option("--per-round", type=click.IntRange(3), default=None)
@_option("--rounds", type=click.IntRange(1, 10_000), default=30)
@_option("--alpha", type=click.FloatRange(0, min_open=True), default=0.3)
@_option("--drop", type=SHARE, default=0.0)
@_option("--attackers", type=SHARE, default=0.0)
@_option("--attack", type=click.Choice(ATTACKS), default="flip")
@_option("--aggregation", type=click.Choice(("secure", "individual")), default="secure")
@_option("--defence", type=click.Choice(DEFENCES), default="norm")
@_option("--choice", type=click.Choice(("random", "even", "cautious")), default="random")
@_option("--noise-multiplier", type=click.FloatRange(0), default=0.0)
@_option("--seed", type=click.IntRange(0, 2**31), default=0)
@_option("--report", type=PathName(), default=Path("simulation"), metavar="FOLDER")
@pass_output
def simulate(output: Output, /, per_round: int | None, report: Path, **said: Any) -> None:
    from ondol.federated.simulating import report as reports
    from ondol.federated.simulating import simulation

    scenario = Scenario(clients_per_round=per_round or 0, **said)
    with output.bar(
        scenario.rounds, desc=t("federated_simulating.preparing"), bar_format=BAR
    ) as bar:

        def show(one: Round) -> None:
            bar.set_description(t("federated_simulating.round"))
            bar.set_postfix_str(f"{one.accuracy:.1%}")
            bar.update()

        outcome = simulation.simulate(scenario, show)
    is_drawn = reports.write(outcome, report)
    if output.json:
        output.emit(outcome.json())
        return
    for line in reports.summary(outcome):
        output.line(line)
    output.line(t("federated_simulating.written", folder=report))
    if not is_drawn:
        output.note(t("federated_simulating.no_drawings"))
