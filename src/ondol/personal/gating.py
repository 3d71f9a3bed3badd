"""The gate of an owner's adapter, through the engine that serves: what is measured, and the scales
at which it may stand beside the adapter that answers from documents.

What is measured here is what is served: the verdict names the digests of the files, and the scales.
A verdict is kept with the adapter, whatever it says. Raises what the engine and the parts raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ondol.confidence.calibration import Labelled
from ondol.i18n import t
from ondol.lab.evaluating import no_harm
from ondol.models import scales
from ondol.models.activations import NOTHING, Chosen
from ondol.models.adapter_manifest import CANARY
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.personal.beside_documents import CASES, Beside, Documents, Point
from ondol.personal.examples import prompt_of
from ondol.samples.records import Sample
from ondol.training import held_out, personal_gate, plain_text
from ondol.training.conduct import load_probe as conduct_probe
from ondol.training.conduct import measure_conduct
from ondol.training.drift import load_probe as drift_probe
from ondol.training.drift import measure_drift
from ondol.training.held_out import HeldOut, Side
from ondol.training.personal_gate import Measured, PersonalVerdict

EVALUATION = "gate"
"""In an adapter's ``evaluation``: its verdict."""

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Judged(PersonalVerdict):
    """A verdict, with the answers from documents that its calibrator is learned from."""

    labelled: tuple[Labelled, ...] = ()


class _Ticks:
    """Counts what was done of what is to do, which grows where more has to be tried."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self.total, self.done = total, 0
        self._on_progress = on_progress

    def one(self) -> None:
        self.done += 1
        self.total = max(self.total, self.done)
        if self._on_progress is not None:
            self._on_progress(self.done, self.total)

    def each(self) -> OnProgress:
        """For who says how much of its own was done."""
        return lambda done, total: self.one()


def judge(
    parts: Parts,
    candidate: Adapter,
    samples: Sequence[Sample],
    *,
    on_progress: OnProgress | None = None,
    beside: Chosen = NOTHING,
) -> Judged:
    """Measure ``candidate`` on samples that it never saw, and what else it does; then the verdict,
    kept with it. In chats it is measured together with what is ``beside`` it, and answers
    about documents then stay as they are."""
    chosen = held_out.chosen([of_sample(one) for one in samples])
    ticks = _Ticks(_steps(chosen), on_progress)
    chat = {candidate.name: 1.0, **beside.chat}
    measured = _measured(parts, candidate, chosen, ticks, chat)
    found = personal_gate.verdict(measured)
    point: Point | None = None
    notes = _known_by_heart(candidate)
    if found.activates and beside == NOTHING:
        # What is refused anyhow need not be measured at what takes longest.
        point, tried = _search(parts, candidate, measured, ticks)
        if point is None:
            notes = (*notes, t("activation.chats_only"))
            rows = tuple(personal_gate.grounded_rows(tried.grounded))
            found = replace(found, rows=(*found.rows, *rows))
        else:
            found = personal_gate.verdict(replace(measured, grounded=point.grounded))
    grounded = dict(point.scales) if point else dict(beside.grounded)
    verdict = Judged(
        found.activates,
        found.reasons,
        found.rows,
        notes,
        chat,
        grounded,
        _digests(parts, candidate, {**chat, **grounded}),
        point.labelled if point else (),
    )
    keep(parts, candidate, verdict)
    return verdict


def _known_by_heart(adapter: Adapter) -> tuple[str, ...]:
    """A sentence where numbers in what was learned stand out; how many, never which."""
    counted = adapter.evaluation.get(CANARY, {})
    if not counted.get("by_heart"):
        return ()
    return (t("activation.by_heart", count=counted["by_heart"], tested=counted["tested"]),)


def _steps(chosen: Sequence[HeldOut]) -> int:
    talk, plain = conduct_probe(), drift_probe()
    each = len(chosen) + len(held_out.places_to_write(chosen)) + len(talk.prompts)
    each += no_harm.num_items()
    return 2 * (each + len(plain.texts) + len(plain.prompts) + CASES)


def _measured(
    parts: Parts,
    candidate: Adapter,
    chosen: Sequence[HeldOut],
    ticks: _Ticks,
    chat: Mapping[str, float],
) -> Measured:
    """All but answers from documents."""
    places, plain = held_out.places_to_write(chosen), drift_probe()
    off, on = (
        parts.engine(candidate.model),
        parts.engine(scales.full_name(candidate.model, chat)),
    )
    sides, conducts, texts, heard = [], [], [], []
    # One after the other, so that each keeps its prompt cache.
    for engine in (off, on):
        side = held_out.measure(engine, chosen, ticks.one)
        written = held_out.write(engine, chosen, places, ticks.one)
        sides.append(replace(side, written=written))
        conducts.append(measure_conduct(engine, conduct_probe(), ticks.each()))
        heard.append(no_harm.hear(engine, ticks.one))
        texts.append(plain_text.losses(engine, plain.texts, ticks.one))
    chats = measure_drift(off, on, replace(plain, texts=()), ticks.each())
    drift = plain_text.with_losses(chats, texts[0], texts[1])
    now: Side | None = None
    active = parts.chat_manner(candidate.model).options
    if active.adapters and candidate.name not in active.adapters:
        now = held_out.measure(off, chosen, ticks.one, active)
    names = candidate.model, scales.full_name(candidate.model, chat)
    no_harm.keep(parts, dict(zip(names, heard, strict=True)), "gate")
    suites = no_harm.outcomes(heard[0]), no_harm.outcomes(heard[1])
    return Measured(
        chosen, sides[0], sides[1], drift, conducts[0], conducts[1], now=now, suites=suites
    )


def _search(
    parts: Parts, candidate: Adapter, measured: Measured, ticks: _Ticks
) -> tuple[Point | None, Point]:
    documents = Documents(parts, candidate.model, ticks.one)
    try:
        found = Beside(parts, documents, candidate, measured.samples, measured.off, measured.on)
        return found.search()
    finally:
        documents.close()


def of_sample(sample: Sample) -> HeldOut:
    """What is measured of a sample."""
    return HeldOut(
        prompt_of(sample),
        sample.reply,
        sample.conversation,
        sample.rejected,
        None if sample.rejected else sample.is_desirable,
    )


def keep(parts: Parts, adapter: Adapter, verdict: PersonalVerdict, name: str = "") -> Adapter:
    """``adapter`` with its verdict, under ``name`` where that is another one."""
    return keep_told(parts, adapter, verdict.json(), name or adapter.name)


def keep_told(parts: Parts, adapter: Adapter, verdict: Mapping[str, Any], name: str) -> Adapter:
    """The same with a verdict as its JSON says it."""
    told = dict(verdict)
    for part in ("chat", "grounded", "digests"):
        told[part] = {name if k == adapter.name else k: v for k, v in told[part].items()}
    return parts.adapters.add(
        parts.adapters.path(adapter),
        name=name,
        model=adapter.model,
        base_digest=adapter.base_digest,
        template=adapter.template,
        trained_on=adapter.trained_on,
        evaluation={**adapter.evaluation, EVALUATION: told},
        languages=adapter.languages,
        description=adapter.description,
        abstention_bias=adapter.abstention_bias,
    )


def _digests(parts: Parts, candidate: Adapter, names: Iterable[str]) -> dict[str, str]:
    here = {one.name: one.digest for one in parts.adapters.usable(parts.store.get(candidate.model))}
    return {name: here[name] for name in {candidate.name, *names}}
