"""How fast a model reads and writes, what its process holds, and what the machine takes for it.

Whole requests through the engine as it serves, each with a prompt that it has not seen. The first
is not counted: it finds the weights on the disk. Raises what the engine raises.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, pstdev
from typing import TYPE_CHECKING

from ondol.ledger.energy import EnergyMeter
from ondol.types import GenerateOptions, Usage

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine
    from ondol.lab.tuning.trial import TrialHouse

WARM_UP = (32, 4)
SHORTEST_ANSWER, LONGEST_ANSWER = 16, 128
LONGEST_PROMPT = 2048
STEP_TOKENS = 61
"""Each prompt begins so many tokens further on in the text."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Tokens a second, medians with their standard deviations; what the process holds resident
    then; the watts while it computed, measured or estimated."""

    prefill: float
    prefill_spread: float
    decode: float
    decode_spread: float
    resident_bytes: int
    watts: float | None
    energy_source: str


def measured(
    house: TrialHouse,
    model: str,
    prompt_tokens: int,
    answer_tokens: int,
    repetitions: int,
    meter: EnergyMeter,
) -> Speed:
    """The speed of ``model`` in ``house``."""
    prompts = _Prompts(house.engine(model))
    longest = max(1, house.config["engine.num_ctx"] - LONGEST_ANSWER - 32)
    prompt_tokens = min(prompt_tokens, longest, LONGEST_PROMPT)
    answer_tokens = min(max(answer_tokens, SHORTEST_ANSWER), LONGEST_ANSWER)
    prompts.ask(*WARM_UP)
    with meter.measure() as span:
        began = time.perf_counter()
        usages = [prompts.ask(prompt_tokens, answer_tokens) for _ in range(repetitions)]
        seconds = time.perf_counter() - began
    joules = span.energy.joules
    resident = max((one.size_bytes for one in house.pool.loaded()), default=0)
    reading, writing = [_prefill(one) for one in usages], [_decode(one) for one in usages]
    return Speed(
        median(reading),
        pstdev(reading),
        median(writing),
        pstdev(writing),
        resident,
        None if joules is None or not seconds else joules / seconds,
        span.energy.source,
    )


class _Prompts:
    """Pieces of a plain text, no two of which begin alike."""

    def __init__(self, engine: LlamaEngine) -> None:
        from ondol.lab.measuring.windows import plain_text

        self._engine = engine
        self._tokens = engine.tokenize(plain_text())
        self._next = 0

    def ask(self, prompt_tokens: int, answer_tokens: int) -> Usage:
        self._next = (self._next + STEP_TOKENS) % len(self._tokens)
        long = (self._tokens * (2 + prompt_tokens // len(self._tokens)))[self._next :]
        prompt = self._engine.detokenize(long[:prompt_tokens])
        options = GenerateOptions(max_tokens=answer_tokens, temperature=0.0)
        *_, last = self._engine.complete(prompt, options)
        return last.usage or Usage()


def _prefill(usage: Usage) -> float:
    return max(1, usage.prompt_tokens - usage.cached_tokens) / max(usage.prompt_seconds, 1e-6)


def _decode(usage: Usage) -> float:
    # The first token comes with the prompt.
    return max(1, usage.completion_tokens - 1) / max(usage.completion_seconds, 1e-6)


def memory_bandwidth(threads: int, megabytes: int = 64, rounds: int = 4) -> float:
    """Bytes a second that the machine's memory gives to ``threads`` that read it: what a token of
    an answer waits for, which needs all weights once."""
    import numpy as np

    pieces = [np.ones(megabytes << 17) for _ in range(threads)]
    seconds = min(_seconds_at_once([piece.sum for piece in pieces]) for _ in range(rounds))
    return sum(piece.nbytes for piece in pieces) / seconds


def _seconds_at_once(works: Sequence[Callable[[], object]]) -> float:
    threads = [threading.Thread(target=work) for work in works]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began
