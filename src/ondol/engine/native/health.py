"""Whether an engine may take over: the same questions to it and to the bundled one.

Rounding differs between processors and builds, so numbers may differ by ``TOLERANCE``, and a token
where two were as likely as that; whatever differs by more is another computation. Never raises for
what an engine does: that is a finding. The model's file is all it needs. Where there is too little
memory for both it has found nothing, and raises ``ModelTooLargeError`` or its kin.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ondol.engine.drafting import NGRAMS
from ondol.engine.native import trial_adapter
from ondol.engine.native.probe import Heard, Probe, ProbeError
from ondol.engine.native.records import now
from ondol.engine.process import Launch
from ondol.engine.running import Running
from ondol.engine.starter import NoProcess
from ondol.errors import EngineCrashedError, ModelTooLargeError, OndolError

# Another number where something else is looked at, or otherwise: what failed is looked at again.
CHECK = 1
# Natural-log units, at any one of a text's tokens, and on average.
TOLERANCE = 0.5
MEAN_TOLERANCE = 0.1
COSINE = 0.999
NUM_CTX = 1024
NUM_TOKENS = 16
# A cache that was restored is continued; its last token at least is computed again.
FEWEST_CACHED = 64

PROMPTS = (
    "The capital of France is",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "대한민국의 수도는 서울이고, 일본의 수도는",
)
LONG = " ".join(
    f"Room {number} has {number * 7 % 11} lamps, {number * 5 % 9} chairs and a {colour} door."
    for number, colour in enumerate(["red", "blue", "green", "white"] * 3, 1)
)
TEXTS = ("The boiler was serviced in March.", "A cat sleeps on the warm floor.")
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "year": {"type": "integer"}},
    "required": ["city", "year"],
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; ``told`` are the numbers, or the reason, for its sentence."""

    name: str
    ok: bool
    told: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """What the check found; speeds are tokens per second, of the bundled engine and of this;
    ``check`` is which check it was."""

    ok: bool
    findings: tuple[Finding, ...]
    model: str
    at: str
    prefill: tuple[float, float] = (0.0, 0.0)
    decode: tuple[float, float] = (0.0, 0.0)
    check: int = CHECK

    def json(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return told


OnStep = Callable[[int, int], None]


def check(bundled: Launch, engine: Launch, on_step: OnStep = lambda step, steps: None) -> Health:
    """Compare ``engine`` with ``bundled``: launches of the same model, by either runtime."""
    with tempfile.TemporaryDirectory(prefix="ondol-check-") as name:
        return _Check(bundled, engine, Path(name), on_step).run()


class _Check:
    def __init__(self, bundled: Launch, engine: Launch, folder: Path, on_step: OnStep) -> None:
        self._folder = folder
        self._on_step = on_step
        self._launches = [_small(one, folder) for one in (bundled, engine)]
        self._findings: list[Finding] = []
        self._speeds = [(0.0, 0.0), (0.0, 0.0)]

    def run(self) -> Health:
        adapted = self._adapted()
        self._on_step(0, 2)
        self._look("starts", lambda: self._answering(adapted))
        self._on_step(1, 2)
        self._look("embeddings", self._embedding)
        self._on_step(2, 2)
        (prefill, decode) = zip(*self._speeds, strict=True)
        return Health(
            self._is_well(),
            tuple(self._findings),
            self._launches[0].name,
            now(),
            prefill,
            decode,
        )

    def _is_well(self) -> bool:
        return all(one.ok for one in self._findings)

    def _look(self, name: str, work: Callable[[], Mapping[str, Any]]) -> None:
        """Look at one thing more, as long as all is well."""
        if not self._is_well():
            return
        try:
            self._findings.append(Finding(name, True, work()))
        except (ModelTooLargeError, EngineCrashedError, NoProcess):
            raise  # either of the two had no memory, or was killed: that says nothing of the engine
        except _Differs as difference:
            self._findings.append(Finding(name, False, difference.told))
        except (ProbeError, OndolError) as error:
            reason = getattr(error, "message", "") or str(error)
            self._findings.append(Finding(name, False, {"reason": reason.rstrip(".")}))

    def _adapted(self) -> list[Launch]:
        file = self._folder / "adapter.gguf"
        if not trial_adapter.write(Path(self._launches[0].model), file):
            return self._launches
        return [replace(one, adapters=(("trial", str(file)),)) for one in self._launches]

    def _answering(self, launches: Sequence[Launch]) -> Mapping[str, Any]:
        is_there = bool(launches[0].adapters)
        with Probe(launches[0]) as bundled, Probe(launches[1]) as engine:
            self._look("answers", lambda: self._answers(bundled, engine, is_there))
            if is_there:
                self._look("adapters", lambda: _adapters(bundled, engine))
            self._look("schema", lambda: _schema(engine))
            self._look("drafts", lambda: _drafts(engine, is_there))
            self._look("slots", lambda: _slots(engine, is_there))
        return {}

    def _answers(self, bundled: Probe, engine: Probe, is_there: bool) -> Mapping[str, Any]:
        off = _scaled(0.0, is_there)
        differences: list[float] = []
        for prompt in (*PROMPTS, LONG):
            heard = [one.complete(prompt, NUM_TOKENS, **off) for one in (bundled, engine)]
            differences += compared(*heard)
        # The better of two: whatever else the machine does makes either slower, never faster.
        again = [one.complete(LONG, NUM_TOKENS, **off) for one in (bundled, engine)]
        self._speeds = [
            (max(one.prefill, two.prefill), max(one.decode, two.decode))
            for one, two in zip(heard, again, strict=True)
        ]
        return _summed(differences)

    def _embedding(self) -> Mapping[str, Any]:
        launches = [replace(one, embedding=True, pooling="mean") for one in self._launches]
        with Probe(launches[0]) as bundled, Probe(launches[1]) as engine:
            pairs = zip(bundled.embed(TEXTS), engine.embed(TEXTS), strict=True)
            least = min(_cosine(a, b) for a, b in pairs)
        told = {"cosine": round(least, 5), "least": COSINE}
        if not least >= COSINE:
            raise _Differs(told)
        return told


class _Differs(Exception):
    """The engine computes something else; ``told`` is for the finding."""

    def __init__(self, told: Mapping[str, Any]) -> None:
        super().__init__(told)
        self.told = told


def compared(bundled: Heard, engine: Heard) -> list[float]:
    """How much the probabilities of the same tokens differ, until the two part ways where both
    ways were as likely. Raises ``_Differs`` where they part for no such reason."""
    differences: list[float] = []
    for one, other in zip(bundled.steps, engine.steps, strict=False):
        if one.id != other.id:
            second = one.likeliest.get(other.id)
            if second is None or not one.logprob - second <= TOLERANCE:
                raise _Differs({"token": len(differences) + 1})
            return differences
        differences.append(abs(one.logprob - other.logprob))
        # An answer that is right by chance has other alternatives.
        shared = one.likeliest.keys() & other.likeliest.keys()
        if len(shared) < len(one.likeliest) / 2:
            raise _Differs({"token": len(differences)})
    if len(engine.steps) < len(bundled.steps):
        raise _Differs({"token": len(engine.steps) + 1})
    return differences


def _summed(differences: Sequence[float]) -> Mapping[str, Any]:
    if not differences:
        raise _Differs({"token": 1})
    most, mean = max(differences), sum(differences) / len(differences)
    told = {"tokens": len(differences), "most": round(most, 4), "mean": round(mean, 4)}
    if not (most <= TOLERANCE and mean <= MEAN_TOLERANCE):
        raise _Differs(told)
    return told


def _adapters(bundled: Probe, engine: Probe) -> Mapping[str, Any]:
    """Switched on, the adapter does what it does in the bundled engine; off, it does nothing."""
    off, on = _scaled(0.0), _scaled(1.0)
    before = engine.complete(PROMPTS[0], NUM_TOKENS, **off)
    here, there = (one.complete(PROMPTS[0], NUM_TOKENS, **on) for one in (bundled, engine))
    after = engine.complete(PROMPTS[0], NUM_TOKENS, **off)
    told = _summed(compared(here, there) + compared(before, after))
    if [one.logprob for one in there.steps] == [one.logprob for one in before.steps]:
        raise _Differs({"token": 1})
    return told


def _schema(engine: Probe) -> Mapping[str, Any]:
    prompt = "A JSON object with a city and a year:\n"
    told = engine.complete(prompt, 60, json_schema=SCHEMA).text
    try:
        value = json.loads(told)
    except ValueError:
        raise _Differs({"reason": "json"}) from None
    if not (isinstance(value, dict) and set(value) == {"city", "year"}):
        raise _Differs({"reason": "json"})
    return {}


def _drafts(engine: Probe, is_there: bool) -> Mapping[str, Any]:
    """Tokens that were guessed ahead are the same, and as likely as without; an engine that knows
    of no such requests guesses nothing."""
    asked = _scaled(0.0, is_there)
    prompt = f"{LONG} {LONG[:150]}"
    plain, drafted = (
        engine.complete(prompt, NUM_TOKENS, ondol_drafts=way, **asked) for way in ("off", "on")
    )
    return _summed(compared(plain, drafted))


def _slots(engine: Probe, is_there: bool) -> Mapping[str, Any]:
    """A state that was saved and restored is gone on with, to the same words."""
    asked = {"id_slot": 0, "cache_prompt": True, **_scaled(0.0, is_there)}
    first = engine.complete(LONG, NUM_TOKENS, **asked)
    for action in ("save", "erase", "restore"):
        engine.post(f"/slots/0?action={action}", {"filename": "check.state"})
    again = engine.complete(LONG, NUM_TOKENS, **asked)
    told = {"cached": again.cached, **_summed(compared(first, again))}
    if again.cached < FEWEST_CACHED:
        raise _Differs(told)
    return told


def _scaled(scale: float, is_there: bool = True) -> dict[str, Any]:
    return {"lora": [{"id": 0, "scale": scale}]} if is_there else {}


def _small(launch: Launch, folder: Path) -> Launch:
    """One question at a time, and no more context than the questions have."""
    states = folder / ("engine" if launch.binary else "bundled")
    states.mkdir(exist_ok=True)
    running = Running(states_folder=str(states), draft=NGRAMS)
    return replace(launch, num_ctx=NUM_CTX, num_parallel=1, running=running, adapters=(), mmproj="")


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    import math

    lengths = math.hypot(*a) * math.hypot(*b)
    if len(a) != len(b) or not lengths:
        return 0.0
    return sum(x * y for x, y in zip(a, b, strict=True)) / lengths
