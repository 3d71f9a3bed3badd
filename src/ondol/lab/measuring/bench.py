"""How many tokens a second a model reads and writes, as llama-bench counts them, but through the
engine that serves: its process, its settings, its HTTP.

A test is a prompt that is read anew, an answer that may not end, or both; each several times.
Called by ``ondol bench``, ``ondol tune`` and benchmarks. Raises what the engine raises.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ondol.lab.measuring.process import alone
from ondol.lab.measuring.windows import plain_text

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine
    from ondol.engine.settings import EngineSettings, ModelSpec

REPETITIONS = 5
WARM_UP = 32

OnStep = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Workload:
    """``prompt`` tokens are read and ``generate`` written, after ``depth`` that were there."""

    prompt: int = 0
    generate: int = 0
    depth: int = 0

    @property
    def name(self) -> str:
        """As llama-bench calls it."""
        parts = [f"pp{self.prompt}"] * bool(self.prompt) + [f"tg{self.generate}"] * bool(
            self.generate
        )
        return "+".join(parts) + (f" @ d{self.depth}" if self.depth else "")

    @property
    def tokens(self) -> int:
        return self.prompt + self.generate


USUAL = (Workload(prompt=512), Workload(generate=128), Workload(prompt=480, generate=64))


@dataclass(frozen=True, slots=True)
class Speed:
    """``samples`` are tokens a second, one a repetition; ``resident_bytes`` is what the process
    held after the test."""

    test: Workload
    samples: tuple[float, ...]
    resident_bytes: int = 0

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def mean(self) -> float:
        return statistics.fmean(self.samples)

    @property
    def spread(self) -> float:
        """The standard deviation, as llama-bench has it behind its ±."""
        return statistics.stdev(self.samples) if len(self.samples) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """What one run of the test takes, at the median."""
        return self.test.tokens / self.median


def bench(
    spec: ModelSpec,
    settings: EngineSettings,
    tests: Sequence[Workload] = USUAL,
    *,
    repetitions: int = REPETITIONS,
    on_step: OnStep | None = None,
) -> list[Speed]:
    """The speed of the model file ``spec.path``, run as ``spec.running`` and ``settings`` say."""
    longest = max(test.depth + test.tokens for test in tests) + 8
    found, done = [], 0
    with alone(spec, settings, longest) as pool:
        engine = pool.engine(spec.name)
        text = engine.tokenize(plain_text())
        once(engine, text, Workload(prompt=WARM_UP, generate=WARM_UP), 0)
        for test in tests:
            samples = []
            for number in range(repetitions):
                samples.append(once(engine, text, test, number))
                done += 1
                if on_step is not None:
                    on_step(done, len(tests) * repetitions)
            resident = pool.loaded()[0].size_bytes
            found.append(Speed(test, tuple(samples), resident))
    return found


def once(engine: LlamaEngine, text: Sequence[int], test: Workload, number: int) -> float:
    """Tokens a second of run ``number``; every one reads another piece of ``text``."""
    start = number * 7 % max(1, len(text) - test.depth - test.prompt)
    piece = [*text[start:], *text, *text][: test.depth + max(1, test.prompt)]
    if test.depth:
        engine.timings(piece[: test.depth], 0)
    return _rate(test, engine.timings(piece, test.generate, is_anew=not test.depth))


def _rate(test: Workload, timings: dict[str, Any]) -> float:
    """By the engine's own clock. The first token of an answer is the prompt's last step."""
    milliseconds, tokens = 0.0, 0.0
    if test.prompt:
        tokens += timings["prompt_n"]
        milliseconds += timings["prompt_ms"]
    if test.generate:
        tokens += timings["predicted_n"] - 1
        milliseconds += timings["predicted_ms"]
    return 1000.0 * tokens / milliseconds
