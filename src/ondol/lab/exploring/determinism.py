"""What of a model's answers can be had again on this machine, to the letter and to the last digit.

One prompt, greedily and with a seed, in a process as the settings have it; then with one thing
changed at a time. ``Opened`` makes the processes: this knows neither files nor settings. Raises
what the engine raises.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any

from ondol.types import GenerateOptions, Message

if TYPE_CHECKING:
    from ondol.engine.llama import LlamaEngine

SMALL_BATCH = 16
OTHER_PROMPT = "1, 2, 3: this is another text, and it has nothing to do with what is asked."

Opened = Callable[[Mapping[str, int], int], AbstractContextManager["LlamaEngine"]]
"""A fresh process with these fields of ``Running`` changed, and so many parallel slots."""


@dataclass(frozen=True, slots=True)
class Said:
    """One answer: its tokens and their logprobs."""

    tokens: tuple[str, ...]
    logprobs: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Likeness:
    """An answer beside the one it should be. ``differs_at`` is the first token that is another
    (None: none is), ``largest`` the largest difference of logprobs up to there."""

    differs_at: int | None
    largest: float

    @property
    def is_exact(self) -> bool:
        """The same to the last digit that the engine tells."""
        return self.differs_at is None and self.largest == 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of both answers under one condition: "again", "cached", "restart", "threads",
    "batch", "parallel", "seed". ``value`` is what was changed to, where that is a number."""

    condition: str
    greedy: Likeness
    sampled: Likeness
    value: int | None = None

    def json(self) -> dict[str, Any]:
        """As ``--json`` shows it."""
        return {
            "condition": self.condition,
            "value": self.value,
            **{name: _likeness_json(getattr(self, name)) for name in ("greedy", "sampled")},
        }


@dataclass(slots=True)
class Check:
    """``threads`` are those of the settings' processes; a prompt that ``is_text`` is gone on with
    as it is."""

    opened: Opened
    prompt: str
    threads: int
    max_tokens: int = 32
    seed: int = 1
    is_text: bool = False
    on_progress: Callable[[str], None] = lambda condition: None
    _raw: str = field(default="", init=False)
    _first: tuple[Said, Said] | None = field(default=None, init=False)

    def run(self) -> Iterator[Finding]:
        """One finding after the other; the first process is what all others are held to."""
        self.on_progress("first")
        with self.opened({}, 1) as engine:
            asked = [Message("user", self.prompt)]
            self._raw = self.prompt if self.is_text else engine.apply_template(asked)
            self._first = self._both(engine)
            yield self._compared("cached", self._both(engine, forgetting=False))
            yield self._compared("again", self._both(engine))
            yield self._other_seed(engine)
        yield self._elsewhere("restart", {})
        if self.threads > 1:
            yield self._elsewhere("threads", {"threads": 1, "batch_threads": 1}, 1)
        yield self._elsewhere("batch", {"ubatch_tokens": SMALL_BATCH}, SMALL_BATCH)
        self.on_progress("parallel")
        with self.opened({}, 2) as engine, _Talking(engine):
            yield self._compared("parallel", self._both(engine))

    def _elsewhere(
        self, condition: str, changes: Mapping[str, int], value: int | None = None
    ) -> Finding:
        self.on_progress(condition)
        with self.opened(changes, 1) as engine:
            return self._compared(condition, self._both(engine), value)

    def _both(self, engine: LlamaEngine, *, forgetting: bool = True) -> tuple[Said, Said]:
        """The greedy answer and the sampled one, each to a prompt that is read anew."""
        return self._say(engine, 0.0, forgetting), self._say(engine, 0.8, forgetting)

    def _say(
        self, engine: LlamaEngine, temperature: float, forgetting: bool, seed: int | None = None
    ) -> Said:
        if forgetting:
            # What fills the slot takes the prompt's place in its cache.
            _spoken(engine, OTHER_PROMPT, GenerateOptions(max_tokens=1, temperature=0.0))
        seed = self.seed if seed is None else seed
        options = GenerateOptions(
            max_tokens=self.max_tokens, temperature=temperature, seed=seed, logprobs=1
        )
        return _spoken(engine, self._raw, options)

    def _compared(
        self, condition: str, said: tuple[Said, Said], value: int | None = None
    ) -> Finding:
        assert self._first is not None
        greedy, sampled = (
            likeness(one, other) for one, other in zip(self._first, said, strict=True)
        )
        return Finding(condition, greedy, sampled, value)

    def _other_seed(self, engine: LlamaEngine) -> Finding:
        """Greedily a seed decides nothing; sampled, it decides everything."""
        greedy = self._say(engine, 0.0, True, self.seed + 1)
        return self._compared("seed", (greedy, self._say(engine, 0.8, True, self.seed + 1)))


def likeness(first: Said, other: Said) -> Likeness:
    """How like ``first`` the ``other`` is."""
    pairs = list(zip(first.tokens, other.tokens, strict=False))
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))
    is_same = first.tokens == other.tokens
    both = zip(first.logprobs[:alike], other.logprobs[:alike], strict=True)
    return Likeness(
        None if is_same else alike, max((abs(one - another) for one, another in both), default=0.0)
    )


def summary(findings: Sequence[Finding]) -> dict[str, list[str]]:
    """The conditions by what they leave of an answer: "exact", "text" (numbers move), "neither"."""
    found: dict[str, list[str]] = {"exact": [], "text": [], "neither": []}
    for one in findings:
        if one.condition == "seed":
            continue
        both = one.greedy, one.sampled
        is_text = all(like.differs_at is None for like in both)
        is_exact = all(like.is_exact for like in both)
        found["exact" if is_exact else "text" if is_text else "neither"].append(one.condition)
    return found


def _spoken(engine: LlamaEngine, prompt: str, options: GenerateOptions) -> Said:
    with closing(engine.complete(prompt, options)) as tokens:
        said = [token for token in tokens if token.text]
    return Said(tuple(token.text for token in said), tuple(token.logprob or 0.0 for token in said))


class _Talking:
    """In the block other answers are being given, one after the other."""

    def __init__(self, engine: LlamaEngine) -> None:
        self._engine = engine
        self._is_over = threading.Event()
        self._speaks = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)

    def _talk(self) -> None:
        try:
            for seed in count():
                options = GenerateOptions(max_tokens=256, temperature=1.0, seed=seed)
                with closing(self._engine.complete(OTHER_PROMPT, options)) as tokens:
                    for _ in tokens:
                        self._speaks.set()
                        if self._is_over.is_set():
                            return
        finally:
            self._speaks.set()

    def __enter__(self) -> None:
        self._thread.start()
        self._speaks.wait()

    def __exit__(self, *exception: object) -> None:
        self._is_over.set()
        self._thread.join()


def _likeness_json(like: Likeness) -> dict[str, Any]:
    return {
        "is_same_text": like.differs_at is None,
        "is_exact": like.is_exact,
        "differs_at": like.differs_at,
        "largest_logprob_difference": like.largest,
    }
