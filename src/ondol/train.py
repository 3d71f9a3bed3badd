"""Trainings put together from the parts of the house: evidence from retrieval, a base from the
store, a child process that learns, and the adapter back in the store.

Raises what retrieval, the store and training raise.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ondol import trainable
from ondol.answering import can_read
from ondol.ask import AskParts, Manner, ask
from ondol.database import IN_MEMORY
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.models.adapter_manifest import CANDIDATE
from ondol.models.adapters import Adapter
from ondol.models.store import Model
from ondol.parts import Parts
from ondol.prompt import (
    ABSTENTION_OPENS,
    GROUNDING,
    GROUNDING_MARGIN,
    GROUNDING_QUOTES,
    best_quotes,
)
from ondol.retrieval.library import Library
from ondol.training import abstention, extra, grounding, job
from ondol.training.dataset import Example, SourceDocument, build_examples
from ondol.training.drift import Drift, load_probe, measure_drift
from ondol.training.evaluation import Scores, held_out_cases, scores, side_by_side
from ondol.training.gate import Verdict, verdict
from ondol.training.loop import Progress
from ondol.training.lora import LoraConfig, Schedule
from ondol.trust import Trust
from ondol.types import Answer, Engine, Evidence, Quote

DESCRIPTION = "Answers from the sentences found in your documents, briefly and with [n]."


@dataclass(frozen=True, slots=True)
class GroundingTask:
    """What to train: ``sets`` are reading sets beside our own documents, half of which is measured
    on; ``learned_whole`` are files of which nothing is."""

    model: str
    sets: tuple[Path, ...] = ()
    learned_whole: tuple[Path, ...] = ()
    own: bool = True
    lora: LoraConfig = grounding.LORA
    schedule: Schedule = grounding.SCHEDULE

    def documents(self) -> list[list[SourceDocument]]:
        """Every set whole, the part that is only for measuring too."""
        own = [grounding.own_documents()] if self.own else []
        return own + [grounding.reading_set(folder) for folder in self.sets]

    def split(self) -> grounding.Split:
        """What is trained on, and what is only measured on."""
        whole = [one for file in self.learned_whole for one in grounding.learned_whole(file)]
        train, validation, test = grounding.split(*self.documents(), whole=whole)
        return grounding.Split(grounding.lessons(train), validation, test)


def grounding_examples(
    parts: Parts, task: GroundingTask, documents: Sequence[SourceDocument]
) -> list[Example]:
    """Every question of ``documents`` that the base can read, with what retrieval finds for it in a
    library of just these documents."""
    engine = parts.engine(task.model)
    library = parts.open_library(IN_MEMORY)
    try:
        for document in documents:
            library.add_text(document.id, document.text)

        def evidence(question: str) -> tuple[Quote, ...]:
            quotes = best_quotes(
                library.evidence(question).quotes, GROUNDING_QUOTES, GROUNDING_MARGIN
            )
            said = " ".join([question, *(quote.text for quote in quotes)])
            return quotes if can_read(engine, question) and can_read(engine, said) else ()

        return build_examples(
            documents,
            evidence,
            GROUNDING,
            seed=task.schedule.seed,
            hard_negatives=grounding.HARD_NEGATIVES,
            most_abstentions=grounding.MOST_ABSTENTIONS,
        )
    finally:
        library.close()


@dataclass(frozen=True, slots=True)
class House:
    """``AskParts`` that answer from a library of ours, with the model as ``parts`` asks it."""

    parts: Parts
    retriever: Library
    model: str

    @property
    def num_quotes(self) -> int:
        return self.parts.num_quotes

    def manner(self, model: str | None = None) -> Manner:
        return self.parts.manner(model or self.model)

    def engine(self, model: str | None = None) -> Engine:
        return self.parts.engine(model or self.model)

    @property
    def trust(self) -> Trust:
        """Nobody: an evaluation is judged by its answers, and is no answer to the owner."""
        return Trust()

    def ask(self, question: str) -> tuple[Answer, tuple[Quote, ...]]:
        return answer_and_given(question, self)


def answer_and_given(question: str, parts: AskParts) -> tuple[Answer, tuple[Quote, ...]]:
    """The whole answer, without its stream, and the quotes that the model was to answer from."""
    evidence, *_, answer = ask(question, parts)
    assert isinstance(evidence, Evidence) and isinstance(answer, Answer)
    return answer, parts.manner().given(evidence.quotes)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the gate saw: scores of the same held-out questions without and with the adapter, and
    what it does to plain text and chat."""

    before: Scores
    after: Scores
    verdict: Verdict
    drift: Drift

    def evaluation(self) -> dict[str, Any]:
        """For the manifest of the adapter."""
        return {
            "held_out": self.after.as_dict(),
            "before": self.before.as_dict(),
            "drift": self.drift.as_dict(),
            "chat_ok": self.verdict.chat_ok,
        }


def try_grounding(
    parts: Parts,
    adapter: Adapter,
    documents: Sequence[SourceDocument],
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Trial:
    """Ask questions of ``documents``, a library of nothing else, through the engine that serves;
    then what else it does to the model, by a brief probe."""
    cases = held_out_cases(documents)
    library = parts.open_library(IN_MEMORY)
    plain = Parts(parts.config.with_flags({"answer.adapter": ""}))
    try:
        for document in documents:
            library.add_text(document.id, document.text)
        before = House(plain, library, adapter.model)
        after = House(parts, library, adapter.full_name)
        asks = {"before": before.ask, "after": after.ask}
        outcomes = side_by_side(cases, asks, on_progress)
    finally:
        plain.close()
        library.close()
    off, on = parts.engine(adapter.model), parts.engine(adapter.full_name)
    drift = measure_drift(off, on, load_probe().brief(), on_progress)
    judged = verdict(outcomes["before"], outcomes["after"], drift)
    return Trial(scores(outcomes["before"]), scores(outcomes["after"]), judged, drift)


def abstention_bias(
    parts: Parts,
    adapter: Adapter,
    examples: Sequence[Example],
    on_progress: Callable[[int, int], None] | None = None,
) -> float:
    """What keeps ``adapter`` from abstaining too readily, found on held-out ``examples``; 0.0 when
    its base has no one token for the abstention's first word, which no bias could then meet."""
    engine = parts.engine(adapter.full_name)
    if len(engine.tokenize(ABSTENTION_OPENS)) != 1:
        return 0.0
    options = abstention.first_token_options(parts.manner(adapter.full_name).options)
    found = abstention.bias(abstention.margins(engine, examples, options, on_progress))
    return math.floor(found * 1000) / 1000  # never less than what was found to be needed


def train_grounding(
    parts: Parts,
    task: GroundingTask,
    name: str,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_trial: Callable[[int, int], None] | None = None,
) -> tuple[Adapter, Trial]:
    """Train on what may be trained on, try it on the rest, and add it as ``model:name`` if it is
    better without harm; else it stays as ``model:name-candidate`` and ``TrainingError`` says why.

    The folder of the training is named after its inputs: the same command goes on where it was
    interrupted, and learns nothing twice. What could not be adopted in the end is refused first:
    a name, or a base; and so is the second of two trainings at once, with ``TrainingError``.
    """
    extra.require()
    model = parts.store.get(task.model)
    task = replace(task, lora=trainable.fitted(task.lora, parts.store, model, name))
    with ExitStack() as locks:
        locks.enter_context(trainable.alone(f"{model.name}:{name}"))
        return _train_grounding(parts, task, model, name, locks, on_stage, on_progress, on_trial)


def _train_grounding(
    parts: Parts,
    task: GroundingTask,
    model: Model,
    name: str,
    locks: ExitStack,
    on_stage: Callable[[str], None],
    on_progress: Callable[[Progress], None],
    on_trial: Callable[[int, int], None] | None,
) -> tuple[Adapter, Trial]:
    train, validation, test = task.split()
    on_stage("evidence")
    examples = grounding_examples(parts, task, train)
    checks = grounding_examples(parts, task, validation)
    read = parts.engine(model.name).prompt_tokens(examples[0].messages) if examples else ()
    what = job.Job(parts.store.path(model), task.lora, task.schedule, prompt=tuple(read))
    folder = trainable.trainings() / _folder_name(what, examples, checks)
    locks.enter_context(trainable.alone(folder.name))
    job.prepare(folder, what, examples, checks)
    parts.pool.stop(model.name)  # its memory and cores are wanted now
    on_stage("training")
    result = job.run(folder, on_progress)
    trained_on = {
        **grounding.facts(train),
        "sets": [one.name for one in (*task.sets, *task.learned_whole)],
        "abstentions": round(sum(e.abstains for e in examples) / len(examples), 3),
        "schedule": asdict(task.schedule),
        **{k: v for k, v in asdict(result).items() if k not in ("adapter", "chat_template")},
    }

    weights = model.file("weights")

    def add(name: str, bias: float = 0.0, evaluation: Mapping[str, Any] | None = None) -> Adapter:
        return parts.adapters.add(
            result.adapter,
            name=name,
            model=model.name,
            base_digest=weights.digest if weights else "",
            template=GROUNDING.digest(result.chat_template),
            trained_on=trained_on,
            evaluation=evaluation,
            description=DESCRIPTION,
            abstention_bias=bias,
        )

    on_stage("calibration")
    candidate = add(name + CANDIDATE)
    bias = abstention_bias(parts, candidate, checks, on_trial)
    candidate = add(candidate.name, bias)
    on_stage("evaluation")
    trial = try_grounding(parts, candidate, test, on_progress=on_trial)
    if not trial.verdict.ships:
        raise TrainingError(
            t("training.not_better", reasons=" ".join(trial.verdict.reasons)),
            t("training.not_better_hint", name=candidate.full_name),
        )
    made = add(name, bias, trial.evaluation())
    parts.adapters.remove(model.name, candidate.name)
    return made, trial


def _folder_name(what: job.Job, examples: Sequence[Example], checks: Sequence[Example]) -> str:
    inputs = repr((job.FORMAT, what.base.name, what.lora, what.schedule, examples, checks))
    return f"grounding-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
