"""How well a model foresees a text: its perplexity, through the engine that serves.

The fast way asks a process for the states of a whole window, and multiplies the output layer here:
it costs a prompt. A few tokens are forced (``engine.scoring``) to see that both say the same; where
they do not, or the file's last step is of another kind, every token is forced, which costs an
answer. Raises what the engine raises, and ``UsageError`` for a text that is too short.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, expm1
from typing import TYPE_CHECKING, Literal

from ondol.engine.settings import EngineSettings, ModelSpec
from ondol.lab.measuring import windows as cutting
from ondol.lab.measuring.output_layer import OutputLayer, losses
from ondol.lab.measuring.process import alone, telling_states
from ondol.training.bootstrap import Estimate, difference, mean

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ondol.engine.llama import LlamaEngine

Way = Literal["states", "forced"]
OnWindow = Callable[[int, int], None]

WINDOW = 512
WINDOWS = 16
CHECKED = 8
"""Tokens that are forced to see whether the fast way says the same."""
APART = 0.5
"""Nats that both may be apart on average: kernels differ by a tenth, a wrong layer by many."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """``losses`` are minus the natural-log probabilities of the tokens that count, by window;
    ``apart`` is how far the two ways were apart, in nats, where both were tried."""

    losses: tuple[tuple[float, ...], ...]
    way: Way
    seconds: float
    apart: float | None = None

    @property
    def tokens(self) -> int:
        return sum(map(len, self.losses))

    @property
    def estimate(self) -> Estimate:
        """With the interval of a bootstrap over the windows."""
        found = mean(*_grouped(self.losses))
        return replace(found, value=exp(found.value), low=exp(found.low), high=exp(found.high))

    @property
    def value(self) -> float:
        return self.estimate.value

    @property
    def low(self) -> float:
        return self.estimate.low

    @property
    def high(self) -> float:
        return self.estimate.high


@dataclass(frozen=True, slots=True)
class Reading:
    """The states of the places that count, and the tokens that follow them, window by window."""

    layer: OutputLayer
    states: tuple[npt.NDArray[np.float32], ...]
    tokens: tuple[tuple[int, ...], ...]
    apart: float
    seconds: float

    @property
    def losses(self) -> tuple[tuple[float, ...], ...]:
        import numpy as np

        flat = losses(self.layer, np.concatenate(self.states), [t for w in self.tokens for t in w])
        found, start = [], 0
        for window in self.tokens:
            found.append(tuple(map(float, flat[start : start + len(window)])))
            start += len(window)
        return tuple(found)


def perplexity(
    spec: ModelSpec,
    settings: EngineSettings,
    *,
    text: str | None = None,
    windows: int = WINDOWS,
    window: int = WINDOW,
    way: Way | None = None,
    on_window: OnWindow | None = None,
) -> Perplexity:
    """That of the model file ``spec.path``, run as ``spec.running`` says, of the first ``windows``
    of ``text`` or of the text that comes with Ondol. ``way`` forces one of the two."""
    started = time.perf_counter()
    text = cutting.plain_text() if text is None else text
    if way != "forced":
        try:
            found = read(spec, settings, text, windows, window, on_window)
        except ValueError:
            if way == "states":
                raise
        else:
            seconds = time.perf_counter() - started
            return Perplexity(found.losses, "states", seconds, found.apart)
    with alone(spec, settings, window + 1) as pool:
        forced = _forced(pool.engine(spec.name), text, windows, window, on_window)
    return Perplexity(forced, "forced", time.perf_counter() - started)


def read(
    spec: ModelSpec,
    settings: EngineSettings,
    text: str,
    windows: int = WINDOWS,
    window: int = WINDOW,
    on_window: OnWindow | None = None,
) -> Reading:
    """The states of ``text``'s windows. Raises ``ValueError`` where they would not tell what the
    engine foresees."""
    started = time.perf_counter()
    layer = OutputLayer.read(spec.path)
    first = cutting.first_counted(window)
    with alone(telling_states(spec), settings, window) as pool:
        engine = pool.engine(spec.name)
        texts = cutting.cut(engine, text, window, windows)
        apart = _apart(engine, layer, texts[0])
        states = []
        for number, tokens in enumerate(texts, start=1):
            # The state of a place foretells the token after it.
            states.append(engine.hidden_states(tokens)[first - 1 : -1])
            if on_window is not None:
                on_window(number, len(texts))
    counted = tuple(tuple(tokens[first:]) for tokens in texts)
    return Reading(layer, tuple(states), counted, apart, time.perf_counter() - started)


def change(before: Perplexity, after: Perplexity) -> Estimate:
    """By what part the perplexity grows, 0.01 being 1 %, with the interval of a paired bootstrap
    over the windows. Both are of the same windows."""
    groups, first = _grouped(before.losses)
    found = difference(groups, first, _grouped(after.losses)[1])
    return replace(found, value=expm1(found.value), low=expm1(found.low), high=expm1(found.high))


def _apart(engine: LlamaEngine, layer: OutputLayer, tokens: Sequence[int]) -> float:
    """How far both ways are apart on the first tokens."""
    begun = list(tokens[: CHECKED + 1])
    states = engine.hidden_states(begun)
    told = losses(layer, states[:-1], begun[1:])
    forced = [-(one.logprob or 0.0) for one in engine.score_tokens(begun, first=1)]
    found = sum(abs(a - b) for a, b in zip(told, forced, strict=True)) / CHECKED
    if not found <= APART:
        raise ValueError("states and probabilities disagree")
    return float(found)


def _forced(
    engine: LlamaEngine, text: str, windows: int, window: int, on_window: OnWindow | None
) -> tuple[tuple[float, ...], ...]:
    first = cutting.first_counted(window)
    texts, found = cutting.cut(engine, text, window, windows), []
    for number, tokens in enumerate(texts, start=1):
        scored = engine.score_tokens(tokens, first=first)
        found.append(tuple(-(one.logprob or 0.0) for one in scored))
        if on_window is not None:
            on_window(number, len(texts))
    return tuple(found)


def _grouped(losses: Sequence[Sequence[float]]) -> tuple[list[str], list[float]]:
    groups = [f"{number:06}" for number, window in enumerate(losses) for _ in window]
    return groups, [loss for window in losses for loss in window]
