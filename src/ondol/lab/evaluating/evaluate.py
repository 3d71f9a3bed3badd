"""Evaluates a model as it serves: suites and the owner's golden questions, one after the other, and
writes what came of it into the history.

Called by the command line, the API and gates. Raises ``UsageError`` for what cannot be asked,
``EvaluationStoppedError`` where somebody stops it, and what the parts and the engine raise.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from ondol import __version__
from ondol.errors import OndolError, UsageError
from ondol.errors.evaluations import EvaluationStoppedError
from ondol.i18n import t
from ondol.lab.evaluating import golden, suites
from ondol.lab.evaluating.asking import Asker
from ondol.lab.evaluating.history import History
from ondol.lab.evaluating.items import Item, Said
from ondol.lab.evaluating.results import GOLDEN, Evaluation, Purpose, Score, Subject, scored
from ondol.models import scales
from ondol.models.made import served_by
from ondol.parts import Parts

OnProgress = Callable[[int, int], None]
Stopped = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to ask. No ``suites`` mean all of them; ``golden`` None: where there are any, and no
    suites are named. ``brief`` asks every third item of a suite."""

    model: str = ""
    suites: tuple[str, ...] = ()
    golden: bool | None = None
    brief: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """An evaluation with what was said, which is kept nowhere. ``left_out`` counts golden questions
    that an adapter had learned from; ``previous`` is the one of the same model before."""

    evaluation: Evaluation
    said: Mapping[str, tuple[tuple[Item, Said], ...]] = field(default_factory=dict)
    left_out: int = 0
    previous: Evaluation | None = None


def evaluate(
    parts: Parts,
    wanted: Wanted,
    *,
    purpose: Purpose = "owner",
    on_progress: OnProgress = lambda done, total: None,
    is_stopped: Stopped = lambda: False,
) -> Asked:
    """Ask the model all that is ``wanted``, and keep the scores."""
    began = time.perf_counter()
    subject = subject_of(parts, wanted.model)
    with History.open() as history:
        # A library that is locked says so before, not after.
        previous = next(iter(history.all(subject.model, 1)), None)
    sets, left_out = plan(parts, wanted, subject)
    said = ask_all(parts, subject.model, sets, on_progress, is_stopped)
    scores = tuple(scored(name, sets[name], said[name]) for name in sets)
    evaluation = made(subject, scores, purpose, time.perf_counter() - began)
    with History.open() as history:
        history.add(evaluation)
    told = {name: tuple(zip(sets[name], said[name], strict=True)) for name in sets}
    return Asked(evaluation, told, left_out, previous)


def made(subject: Subject, scores: Sequence[Score], purpose: Purpose, seconds: float) -> Evaluation:
    """A new evaluation, made now."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    id = uuid.uuid4().hex[:12]
    return Evaluation(id, subject, tuple(scores), purpose, __version__, seconds, now)


def subject_of(parts: Parts, model: str = "") -> Subject:
    """Who answers where ``model`` is named, by default the chat model of the settings."""
    found, named = scales.of(parts.adapters, model or parts.config["models.chat"])
    if found.kind != "chat":
        told = t("evaluating.no_chat_model", name=found.name)
        raise UsageError(told, t("evaluating.no_chat_model_hint"), param="model")
    name = scales.full_name(found.name, {one.name: scale for one, scale in named})
    chat, grounded = parts.chat_manner(name), parts.manner(name)
    served = served_by(found, parts.store, parts.adapters)
    weights = served.file("weights")
    used = {*chat.options.adapters, *grounded.options.adapters}
    digests = {one.name: one.digest for one in parts.adapters.usable(found) if one.name in used}
    return Subject(
        name,
        weights.digest if weights else "",
        _format(parts, served.name, served.quantization),
        chat.model,
        grounded.model,
        digests,
    )


def plan(parts: Parts, wanted: Wanted, subject: Subject) -> tuple[dict[str, Sequence[Item]], int]:
    """The items of every suite that is asked, and how many golden questions are left out."""
    for name in wanted.suites:
        if name not in suites.SUITES:
            known = ", ".join(suites.SUITES)
            raise UsageError(t("evaluating.no_suite", name=name[:40]), known, param="suites")
    # Who wants only the golden questions names no suite.
    names = wanted.suites or (() if wanted.golden else tuple(suites.SUITES))
    sets: dict[str, Sequence[Item]] = {
        name: suites.load(name) for name in suites.SUITES if name in names
    }
    if wanted.brief:
        sets = {name: suites.brief(items) for name, items in sets.items()}
    left_out = 0
    if wanted.golden or (wanted.golden is None and not wanted.suites):
        own, left_out = golden.items(parts, subject.adapters.values())
        if own:
            sets[GOLDEN] = own
        elif wanted.golden:
            key = "evaluating.golden_all_learned" if left_out else "evaluating.no_golden"
            raise UsageError(t(key, count=left_out), t("evaluating.no_golden_hint"))
    return sets, left_out


def ask_all(
    parts: Parts,
    model: str,
    sets: Mapping[str, Sequence[Item]],
    on_progress: OnProgress,
    is_stopped: Stopped,
) -> dict[str, list[Said]]:
    """What ``model`` says to every item."""
    total, done = sum(map(len, sets.values())), 0
    said: dict[str, list[Said]] = {name: [] for name in sets}
    with Asker(parts, model) as asker:
        for name, items in sets.items():
            for item in items:
                if is_stopped():
                    raise EvaluationStoppedError(t("evaluating.stopped"))
                said[name].append(asker.ask(item))
                done += 1
                on_progress(done, total)
    return said


def _format(parts: Parts, served: str, known: str) -> str:
    """How the weights that serve are stored, which need not be how they came."""
    with suppress(OndolError, OSError):
        return parts.located.header(parts.located.spec(served).path).quantization or known
    return known
