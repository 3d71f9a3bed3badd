"""A simulation as a folder that can be read and shown: report.md, report.json and drawings.

The drawings are made by matplotlib, which lives in the environment of federations
(``federated/flower/environment.py``): without it the report has numbers only.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

from ondol.errors import FederationSetupError
from ondol.federated.flower import environment
from ondol.federated.simulating.plots import DRAWINGS
from ondol.federated.simulating.simulation import Outcome
from ondol.i18n import t

SECONDS_TO_DRAW = 300


def write(outcome: Outcome, folder: Path) -> bool:
    """Put the report into ``folder``, over an older one; whether it has its drawings. Raises
    ``FederationSetupError`` where they were begun and failed, ``OSError`` where nothing can be
    written."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(outcome.json(), indent=1) + "\n", "utf-8")
    is_drawn = environment.is_ready()
    if is_drawn:
        draw(folder)
    text = "\n".join(_lines(outcome, is_drawn)) + "\n"
    (folder / "report.md").write_text(text, "utf-8")
    return is_drawn


def draw(folder: Path) -> None:
    """The drawings of the report.json in ``folder``."""
    command = [str(environment.python()), "-m", "ondol.federated.simulating.plots", str(folder)]
    try:
        done = subprocess.run(
            command,
            env=environment.environ(),
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_TO_DRAW,
        )
    except subprocess.TimeoutExpired:
        raise FederationSetupError(t("federated_simulating.not_drawn", reason="...")) from None
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [str(done.returncode)])[-1]
        raise FederationSetupError(t("federated_simulating.not_drawn", reason=reason[:200]))


def _lines(outcome: Outcome, is_drawn: bool) -> Iterator[str]:
    yield "# " + t("federated_simulating.title", clients=f"{outcome.scenario.clients:,}")
    yield ""
    for line in summary(outcome):
        yield f"- {line}"
    yield ""
    if is_drawn:
        for name in DRAWINGS:
            yield f"![{t(f'federated_simulating.drawing_{name}')}]({name}.png)"
            yield ""
    yield t("federated_simulating.table")
    yield "|---|---|---|---|---|---|---|"
    for one in outcome.rounds:
        ended = t(f"federated_simulating.ended_{one.ended}")
        yield (
            f"| {one.number} | {one.chosen} | {one.clients} | {one.attackers} | {ended} "
            f"| {one.accuracy:.1%} | {one.loss:.3f} |"
        )


def summary(outcome: Outcome) -> Iterator[str]:
    """What was simulated and what came of it, in sentences."""
    scenario = outcome.scenario
    yield t(
        "federated_simulating.devices",
        clients=f"{scenario.clients:,}",
        asked=scenario.asked,
        alpha=f"{scenario.alpha:g}",
        drop=f"{scenario.drop:.0%}",
    )
    if scenario.attackers:
        attack = t(f"federated_simulating.attack_{scenario.attack}")
        yield t("federated_simulating.attackers", share=f"{scenario.attackers:.0%}", attack=attack)
    yield t(f"federated_simulating.{scenario.aggregation}", defence=scenario.defence)
    if scenario.is_whole_protocol:
        yield t("federated_simulating.whole")
    else:
        yield t("federated_simulating.arithmetic")
    yield t(
        "federated_simulating.rounds",
        taken=outcome.count("taken"),
        rolled_back=outcome.count("rolled_back"),
        refused=outcome.count("refused"),
        failed=outcome.count("failed"),
    )
    yield t(
        "federated_simulating.accuracy",
        before=f"{outcome.before:.1%}",
        after=f"{outcome.accuracy:.1%}",
        alone=f"{outcome.alone:.1%}",
    )
    if scenario.noise_multiplier:
        yield t(
            "federated_simulating.epsilon",
            epsilon=f"{outcome.epsilon or 0:.2f}",
            delta=f"{scenario.plan().delta:g}",
            most=outcome.most,
        )
