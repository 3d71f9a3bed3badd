"""What a model makes of replies that it never learned from: how likely it finds them, and which of
two. Through whatever ``score`` serves it; lengths are divided out, so that a long reply is not an
unlikely one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ondol.training.closeness import chrf
from ondol.types import Engine, GenerateOptions, Message

MOST_SCORED = 40
MOST_WRITTEN = 24
WRITTEN_TOKENS = 96
LONGEST_REPLY_LETTERS = 1200
LONGEST_PROMPT_LETTERS = 8000

OnTick = Callable[[], None]


class Scorer(Protocol):
    """An engine that says how likely a given reply is."""

    def score(
        self, messages: Sequence[Message], reply: str, options: GenerateOptions | None = None
    ) -> list[float]: ...

    def score_text(self, text: str, every: int = 1) -> list[float]: ...


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A reply that the owner wants after ``messages``, perhaps beside one that they do not; or, of
    a thumb, one that is desirable or not. ``group`` is what intervals resample."""

    messages: tuple[Message, ...]
    reply: str
    group: str
    rejected: str | None = None
    is_desirable: bool | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether ``reply`` is what should be said."""
        return self.is_desirable is not False


@dataclass(frozen=True)
class Side:
    """What one model made of the same held-out samples, in their order: the mean log-probability
    of a token of each reply and of each rejected one (None: there is none), in nats; and what it
    writes itself, where it was asked."""

    wanted: tuple[float, ...]
    rejected: tuple[float | None, ...]
    written: Mapping[int, str] = field(default_factory=dict)

    def prefers(self, place: int) -> bool | None:
        """Whether it finds the chosen reply likelier than the rejected one; None without one."""
        other = self.rejected[place]
        return None if other is None else self.wanted[place] > other


def chosen(samples: Sequence[HeldOut], most: int = MOST_SCORED) -> list[HeldOut]:
    """A fixed choice of those that are not too long to be measured here."""
    short = [
        one
        for one in samples
        if max(len(one.reply), len(one.rejected or "")) <= LONGEST_REPLY_LETTERS
        and sum(len(message.content) for message in one.messages) <= LONGEST_PROMPT_LETTERS
        and not any(message.images for message in one.messages)
    ]
    return random.Random(0).sample(short, min(most, len(short)))


def places_to_write(samples: Sequence[HeldOut], most: int = MOST_WRITTEN) -> list[int]:
    """Which of them the model answers itself: those whose reply is wanted."""
    return [place for place, one in enumerate(samples) if one.is_wanted][:most]


def measure(
    scorer: Scorer,
    samples: Sequence[HeldOut],
    on_tick: OnTick = lambda: None,
    options: GenerateOptions | None = None,
) -> Side:
    """How likely ``scorer`` finds each sample. Raises what the engine raises."""
    wanted, rejected = [], []
    for one in samples:
        wanted.append(_mean(scorer.score(one.messages, one.reply, options)))
        other = one.rejected
        rejected.append(
            None if other is None else _mean(scorer.score(one.messages, other, options))
        )
        on_tick()
    return Side(tuple(wanted), tuple(rejected))


def write(
    engine: Engine,
    samples: Sequence[HeldOut],
    places: Sequence[int],
    on_tick: OnTick = lambda: None,
    adapters: Mapping[str, float] | None = None,
) -> dict[int, str]:
    """What ``engine`` says itself to these of the samples, without chance."""
    said = {}
    for place in places:
        options = GenerateOptions(
            max_tokens=WRITTEN_TOKENS, temperature=0.0, adapters=dict(adapters or {})
        )
        tokens = engine.generate(samples[place].messages, options)
        said[place] = "".join(token.text for token in tokens if not token.reasoning).strip()
        on_tick()
    return said


def losses(samples: Sequence[HeldOut], side: Side) -> list[float | None]:
    """Minus the mean log-probability of a token of each wanted reply."""
    return [
        -found if one.is_wanted else None for one, found in zip(samples, side.wanted, strict=True)
    ]


def preferred(side: Side) -> list[float | None]:
    """1.0 for each pair whose chosen reply is the likelier one."""
    found = (side.prefers(place) for place in range(len(side.wanted)))
    return [None if one is None else float(one) for one in found]


def moved(samples: Sequence[HeldOut], off: Side, on: Side) -> list[float | None]:
    """1.0 for each thumb whose reply became likelier where it was up, less likely where down."""
    return [
        None if one.is_desirable is None else float((after > before) == one.is_desirable)
        for one, before, after in zip(samples, off.wanted, on.wanted, strict=True)
    ]


def closer(samples: Sequence[HeldOut], off: Side, on: Side) -> list[float | None]:
    """1.0 where what the model writes is closer to what is wanted than what it wrote before (chrF),
    0.5 where it is neither."""
    return [
        _closer(one.reply, off.written[place], on.written[place])
        if place in off.written and place in on.written
        else None
        for place, one in enumerate(samples)
    ]


def in_favour(samples: Sequence[HeldOut], off: Side, on: Side) -> list[float]:
    """1.0 for each sample that ``on`` takes to more than ``off``: prefers what is chosen, finds
    what is wanted likelier. Points of two adapters are compared by it."""
    found = []
    for place, one in enumerate(samples):
        prefers = on.prefers(place)
        likelier = (on.wanted[place] > off.wanted[place]) == one.is_wanted
        found.append(float(likelier if prefers is None else prefers))
    return found


def _closer(wanted: str, before: str, after: str) -> float:
    first, second = chrf(before, wanted), chrf(after, wanted)
    return 0.5 if first == second else float(second > first)


def _mean(logprobs: Sequence[float]) -> float:
    return sum(logprobs) / len(logprobs) if logprobs else 0.0
