"""Answers: who gave them, how sure, why, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from ondol.types.generation import Usage
from ondol.types.texts import Quote, Sensitivity

EnergySource = Literal["measured", "estimated", "unknown"]


class Route(Enum):
    """Who answered."""

    LOCAL = "local"
    HOME = "home"
    ABSTAIN = "abstain"


@dataclass(frozen=True, slots=True)
class Confidence:
    """The probability that an answer is right, with the signals it was computed from. ``None``
    says that nobody has calibrated this model for this task; ``calibrator`` is "name@version"."""

    probability: float | None
    signals: Mapping[str, float] = field(default_factory=dict)
    calibrator: str = ""


@dataclass(frozen=True, slots=True)
class Support:
    """A sentence of an answer, ``answer.text[start:end]``, and the number of the quote that
    supports it (``None``: no quote does). ``score`` is between 0 and 1."""

    start: int
    end: int
    quote: int | None
    score: float


@dataclass(frozen=True, slots=True)
class Label:
    """How far a prompt may travel, and the codes of what keeps it ("document", "history",
    "personal_data:card")."""

    sensitivity: Sensitivity
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """Who is to answer, and why. ``threshold`` is the probability an answer had to reach to be
    kept, ``gain`` what asking home was expected to be worth, in answers put right."""

    route: Route
    reasons: tuple[str, ...] = ()
    threshold: float | None = None
    gain: float | None = None


@dataclass(frozen=True, slots=True)
class Cost:
    """What an answer took. Energy is measured or estimated and says which; money is what it cost
    here and what the same tokens would have cost at a public API."""

    energy_joules: float | None = None
    energy_source: EnergySource = "unknown"
    here_krw: float = 0.0
    cloud_krw: float | None = None


@dataclass(frozen=True, slots=True)
class Seconds:
    """Wall-clock seconds of one answer, from the question's arrival."""

    retrieve: float
    first_token: float | None
    total: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What the owner gets: the quotes first, then what the model makes of them. ``citations`` are
    the numbers of the quotes that ``text`` cites, in order of first mention; ``model`` is empty
    when no model spoke. ``draft`` is the device's own answer where home's took its place;
    ``sensitivity`` is that of everything that went into it."""

    text: str
    quotes: tuple[Quote, ...]
    citations: tuple[int, ...]
    confidence: Confidence | None
    route: Route
    reasons: tuple[str, ...]
    usage: Usage
    seconds: Seconds
    model: str = ""
    ledger_id: str | None = None
    support: tuple[Support, ...] = ()
    sensitivity: Sensitivity = Sensitivity.PRIVATE
    draft: Answer | None = None
    cost: Cost | None = None


@dataclass(frozen=True, slots=True)
class Escalation:
    """The device's own answer was not sure enough: ``home`` is being asked. The tokens that
    follow are home's; ``draft`` is ``None`` where the device did not answer first."""

    draft: Answer | None
    home: str
    reasons: tuple[str, ...] = ()
