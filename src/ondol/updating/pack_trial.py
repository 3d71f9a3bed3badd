"""What a pack is worth here: the same questions to its base alone and to the model that it makes,
through the engine that serves.

Differences have 95 % intervals by a paired bootstrap over the questions (``training.bootstrap``);
each question is its own group. Raises ``UpdateFailedError`` and what the engine raises.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from threading import Event
from typing import Any

from ondol.errors import UpdateFailedError
from ondol.hub.packs import format
from ondol.hub.packs.format import Pack
from ondol.hub.packs.questions import Question
from ondol.i18n import t
from ondol.models.blobs import digest_of
from ondol.models.manifest import Model
from ondol.models.patience import Watch
from ondol.parts import Parts
from ondol.preset import PresetEngine
from ondol.training.bootstrap import difference
from ondol.types import GenerateOptions, Message
from ondol.updating import pack_model, trial

WRITTEN, CHOICES = "written", "choices"
MOST_TOKENS = 64

OnProgress = Callable[[int, int], None]
Outcome = tuple[float | None, float | None]
"""Whether a written answer was right, and a chosen one; None where that was not asked."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Of ``n`` questions the shares that were right ``before`` (the base alone) and ``after``, and
    the interval of the difference."""

    name: str
    n: int
    before: float
    after: float
    low: float
    high: float

    @property
    def is_worse(self) -> bool:
        """Beyond chance."""
        return self.high < 0

    @property
    def is_better(self) -> bool:
        """Beyond chance."""
        return self.low > 0

    def json(self) -> dict[str, Any]:
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured with ``questions`` questions."""

    questions: int
    measures: tuple[Measure, ...]
    seconds: float

    @property
    def is_worse(self) -> bool:
        return any(one.is_worse for one in self.measures)

    def json(self) -> dict[str, Any]:
        return {
            "questions": self.questions,
            "measures": [one.json() for one in self.measures],
            "is_worse": self.is_worse,
            "seconds": round(self.seconds, 1),
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def table(self) -> dict[str, Any]:
        """As ``measured`` in a pack.toml."""
        rows = {
            one.name: {k: v for k, v in one.json().items() if k != "name"} for one in self.measures
        }
        return {"questions": self.questions, **rows}


def evaluate(
    before: Any,
    after: Any,
    questions: Sequence[Question],
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Evaluation:
    """Ask two engines the same. Raises ``DownloadError`` where ``cancel`` was set."""
    asking = _Asking(questions, on_progress, cancel)
    # One after the other: each keeps its prompt cache, and small machines one model.
    return asking.compared(asking.side(before), asking.side(after))


class _Asking:
    """The same questions to one engine after the other; tells how many of all were asked."""

    def __init__(
        self, questions: Sequence[Question], on_progress: OnProgress | None, cancel: Event | None
    ) -> None:
        self._questions = questions
        self._tell = on_progress or (lambda done, total: None)
        self._watch = Watch(cancel=cancel or Event())
        self._started = time.perf_counter()
        self._done = 0

    def side(self, engine: Any) -> list[Outcome]:
        """For each question whether what it writes is right, and what it chooses."""
        found = []
        for one in self._questions:
            self._watch.check()
            found.append((written(engine, one), chosen(engine, one)))
            self._done += 1
            self._tell(self._done, 2 * len(self._questions))
        return found

    def compared(self, before: Sequence[Outcome], after: Sequence[Outcome]) -> Evaluation:
        measures = (
            _measure(name, [one[part] for one in before], [one[part] for one in after])
            for part, name in enumerate((WRITTEN, CHOICES))
        )
        found = tuple(one for one in measures if one.n)
        return Evaluation(len(self._questions), found, time.perf_counter() - self._started)


def written(engine: Any, one: Question) -> float | None:
    """Whether what it says itself, without chance, is right; None where that is not asked."""
    if not one.expects:
        return None
    options = GenerateOptions(max_tokens=MOST_TOKENS, temperature=0.0)
    tokens = engine.generate([Message("user", one.question)], options)
    said = "".join(token.text for token in tokens if not token.reasoning)
    return float(one.is_right(said))


def chosen(engine: Any, one: Question) -> float | None:
    """Whether it finds the answer likelier, a token, than each wrong one."""
    if not one.wrong:
        return None
    asked = [Message("user", one.question)]
    right, *others = (
        math.fsum(found) / len(found) if (found := engine.score(asked, said)) else -math.inf
        for said in (one.answer, *one.wrong)
    )
    return float(right > max(others))


def _measure(name: str, before: Sequence[float | None], after: Sequence[float | None]) -> Measure:
    groups = [str(place) for place in range(len(before))]
    change = difference(groups, before, after)
    first, second = ([one for one in side if one is not None] for side in (before, after))
    n = len(first)
    shares = [math.fsum(side) / n if n else 0.0 for side in (first, second)]
    # One question gives no interval: then nothing is beyond chance.
    low = change.low if math.isfinite(change.low) else -1.0
    high = change.high if math.isfinite(change.high) else 1.0
    return Measure(name, n, shares[0], shares[1], low, high)


@contextmanager
def serving(parts: Parts, base: Model, pack: Pack) -> Iterator[Any]:
    """An engine that answers as the model will that ``pack`` makes of ``base``."""
    from ondol.engine.pool import AdapterFile

    tokens = int(parts.config["packs.glossary_tokens"])
    path = pack.files.get(format.ADAPTER)
    if path is None:
        made = pack_model.made_of(base, pack, "")
        yield PresetEngine(parts.engine(base.name), pack.name, made, pack.glossary, tokens)
        return
    digest, size = digest_of(path), path.stat().st_size
    made, spec = pack_model.made_of(base, pack, digest), trial.spec_of(parts, base)
    spec = replace(
        spec,
        name=f"{pack.name}:trial",
        adapters=(AdapterFile(made.adapter, path, digest, size),),
        size_bytes=spec.size_bytes + size,
    )
    with trial.loaded(parts, spec, base.name, {made.adapter: 1.0}) as engine:
        yield PresetEngine(engine, pack.name, made, pack.glossary, tokens)


def try_out(
    parts: Parts,
    pack: Pack,
    *,
    evaluates: bool = True,
    on_progress: OnProgress | None = None,
    cancel: Event | None = None,
) -> Evaluation | None:
    """Ask the model that ``pack`` makes something, and measure it where it brought questions.
    Raises ``UpdateFailedError`` where it cannot answer."""
    base = pack_model.base_of(parts, pack)
    pack_model.check_adapter(parts, base, pack)
    asking = _Asking(pack.questions if evaluates else (), on_progress, cancel)
    before = asking.side(parts.engine(base.name))
    with serving(parts, base, pack) as engine:
        trial.check("chat", pack.name, engine, None)
        after = asking.side(engine)
    return asking.compared(before, after) if after else None


def refuse_worse(pack: Pack, found: Evaluation | None) -> None:
    """UpdateFailedError for a pack that makes its base worse beyond chance."""
    worse = [one for one in found.measures if one.is_worse] if found else []
    if worse:
        told = worse[0]
        raise UpdateFailedError(
            t("packs.worse", pack=pack.name, **points(told)), t("packs.worse_hint")
        )


def points(found: Measure) -> Mapping[str, str]:
    """A measure in words."""
    return {
        "measure": t(f"packs.measure_{found.name}"),
        "before": f"{found.before:.0%}",
        "after": f"{found.after:.0%}",
        "count": str(found.n),
    }
