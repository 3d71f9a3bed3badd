"""Trainings put together from the parts of the house: evidence from retrieval, a base from the
store, a child process that learns, and the adapter back in the store.

Raises what retrieval, the store and training raise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ondol import paths
from ondol.ask import can_read
from ondol.database import IN_MEMORY
from ondol.models.adapters import Adapter
from ondol.parts import Parts
from ondol.prompt import GROUNDING
from ondol.training import extra, grounding, job
from ondol.training.dataset import Example, SourceDocument, build_examples
from ondol.training.loop import Progress
from ondol.training.lora import LoraConfig, Schedule
from ondol.types import Quote

HELD_OUT_EXAMPLES = 96
DESCRIPTION = "Answers from the sentences found in your documents, briefly and with [n]."


@dataclass(frozen=True, slots=True)
class GroundingTask:
    """What to train: ``sets`` are reading sets beside our own documents."""

    model: str
    sets: tuple[Path, ...] = ()
    own: bool = True
    lora: LoraConfig = grounding.LORA
    schedule: Schedule = grounding.SCHEDULE

    def documents(self) -> list[SourceDocument]:
        """Everything, the part that is only for measuring too."""
        documents = grounding.own_documents() if self.own else []
        for folder in self.sets:
            documents += grounding.reading_set(folder)
        return documents


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
            quotes = library.evidence(question).quotes
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


def train_grounding(
    parts: Parts,
    task: GroundingTask,
    name: str,
    *,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Adapter:
    """Train on what may be trained on and add the adapter as ``model:name``.

    The folder of the training is named after its inputs: the same command goes on where it was
    interrupted, and does nothing twice.
    """
    extra.require()
    model = parts.store.get(task.model)
    train, held_out = grounding.split(task.documents())
    on_stage("evidence")
    examples = grounding_examples(parts, task, train)
    checks = grounding_examples(parts, task, held_out)
    checks = checks[:HELD_OUT_EXAMPLES]
    what = job.Job(parts.store.path(model), task.lora, task.schedule)
    folder = paths.data_dir() / "training" / _folder_name(what, examples, checks)
    job.prepare(folder, what, examples, checks)
    on_stage("training")
    result = job.run(folder, on_progress)
    return parts.adapters.add(
        result.adapter,
        name=name,
        model=model.name,
        template=GROUNDING.digest(result.chat_template),
        trained_on={
            **grounding.facts(train),
            "sets": [folder.name for folder in task.sets],
            "examples": result.num_examples,
            "tokens": result.num_tokens,
            "abstentions": round(sum(e.abstains for e in examples) / len(examples), 3),
            "steps": result.steps,
            "loss": round(result.loss, 4),
            "held_out_loss": round(result.held_out_loss or 0.0, 4),
            "cpu_seconds": round(result.cpu_seconds),
            "peak_bytes": result.peak_bytes,
            **asdict(replace(task.schedule)),
        },
        description=DESCRIPTION,
    )


def _folder_name(what: job.Job, examples: Sequence[Example], checks: Sequence[Example]) -> str:
    inputs = repr((what.base.name, what.lora, what.schedule, examples, checks))
    return f"grounding-{hashlib.sha256(inputs.encode()).hexdigest()[:12]}"
