"""What is simulated: how many devices, how uneven, how unreliable, how many of them attack, and
how home defends. Raises ``ConfigError`` for what no federation can be."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ondol.errors import ConfigError
from ondol.federated.plan import Aggregation, Plan
from ondol.i18n import t

Attack = Literal["nan", "garbage", "flip", "scale", "noise", "zero", "replay", "oppose"]
"""``nan``: the training broke, and its numbers are none. ``garbage``: uniform words in an update's
place. ``flip``: learns from wrong labels. ``scale``: ten times the opposite of what it learned.
``noise``: a random vector ten times as long as any may be. ``zero``: takes part and learns nothing.
``replay``: what it sent in an earlier round; of a masked vector, its masked words. ``oppose``: all
attackers send the same vector, as long as any may be, against the way that the shared one went
(inner product manipulation, Xie et al. 2019, arXiv:1903.03936)."""
ATTACKS: tuple[str, ...] = get_args(Attack)
DEFENCES = ("none", "norm", "median", "trimmed", "krum")
"""The plan's, and for comparison none at all."""
Choice = Literal["random", "even", "cautious"]
"""Who is asked: at random, who was asked least, or with caution (``federated.choosing``)."""
SIZES = (5, 100, 1000, 10_000)

EXAMPLES_A_DEVICE = 200
WHOLE_PROTOCOL_UP_TO = 100
"""Devices; above, masks and messages are left out of the reckoning, since they cancel exactly."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``alpha`` is the evenness of the labels (Dirichlet; infinite: even), ``drop`` the chance that
    a chosen device is gone before its update is in, ``attackers`` the share of devices that do
    ``attack``. ``rounds`` are tries: one that failed or was taken back counts."""

    clients: int = 100
    clients_per_round: int = 0
    rounds: int = 30
    alpha: float = 0.3
    drop: float = 0.0
    attackers: float = 0.0
    attack: Attack = "flip"
    aggregation: Aggregation = "secure"
    defence: str = "norm"
    choice: Choice = "random"
    noise_multiplier: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        wrong = ""
        if self.clients < 3 or not 0 <= self.clients_per_round <= self.clients:
            wrong = "clients"
        elif self.rounds < 1:
            wrong = "rounds"
        elif not self.alpha > 0:
            wrong = "alpha"
        elif not 0 <= self.drop < 1:
            wrong = "drop"
        elif not 0 <= self.attackers <= 0.5:
            wrong = "attackers"
        elif not 0 <= self.noise_multiplier < math.inf:
            wrong = "noise_multiplier"
        elif self.aggregation == "secure" and self.defence not in ("none", "norm"):
            wrong = "defence"
        if wrong:
            raise ConfigError(
                t("federated_simulating.wrong", what=wrong),
                t(f"federated_simulating.wrong_{wrong}"),
            )

    @property
    def asked(self) -> int:
        """Devices chosen for a round: all where they are few, a sample where they are many."""
        whole = {1000: 100, 10_000: 200}.get(self.clients, 100)
        return self.clients_per_round or min(self.clients, whole)

    @property
    def is_whole_protocol(self) -> bool:
        """Whether every message of a real round is made, masked and read."""
        return self.clients <= WHOLE_PROTOCOL_UP_TO and self.defence != "none"

    def plan(self) -> Plan:
        """The agreement of a federation like this one. Its model is no language model."""
        return Plan(
            federation=f"simulation-{self.seed}",
            name="simulation",
            model="letters",
            base_sha256="0" * 64,
            template_sha256="0" * 64,
            task="style",
            strategy="ffa",
            r=32,
            lora_alpha=32,
            seed=self.seed,
            aggregation=self.aggregation,
            defence="norm" if self.defence == "none" else self.defence,  # type: ignore[arg-type]
            rounds=self.rounds,
            min_clients=min(3, self.asked),
            threshold=2,
            local_steps=20,
            batch_size=8,
            learning_rate=0.3,
            clip_norm=2.0,
            noise_multiplier=self.noise_multiplier,
        )

    def json(self) -> dict[str, Any]:
        """Every field, and what follows from them."""
        alpha = self.alpha if math.isfinite(self.alpha) else None
        return asdict(self) | {
            "alpha": alpha,
            "clients_per_round": self.asked,
            "whole_protocol": self.is_whole_protocol,
        }
