"""What a personal training would learn, how, and whether it may begin: decided before any work,
from samples, the model and what its owner said. Knows no process and no folder's files.

Raises ``TooFewSamplesError``, ``TrainingError``, ``UsageError``, and what the store raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ondol import trainable
from ondol.errors import TrainingError
from ondol.i18n import t
from ondol.models.gguf import read_header
from ondol.models.hardware import find_gpus
from ondol.parts import Parts
from ondol.personal import standing
from ondol.personal.examples import Lesson, lesson, pairs_of, tasks_of, thumbs_of
from ondol.personal.standing import Standing, Training
from ondol.training import extra, job
from ondol.training.defaults import Defaults, defaults
from ondol.training.lines import Item, Task
from ondol.training.lora import LoraConfig

if TYPE_CHECKING:
    from ondol.models.store import Model
    from ondol.samples.records import Sample


@dataclass(frozen=True, slots=True)
class Plan:
    """A training that may begin: its samples, what they teach, the adapter's shape, and each task
    in its turn with how it is learned."""

    training: Training
    model: Model
    samples: tuple[Sample, ...]
    lesson: Lesson
    lora: LoraConfig
    tasks: tuple[tuple[Task, Defaults], ...]

    @property
    def id(self) -> str:
        """The name of its folder, of all that decides what is learned."""
        ids = [(s.id, s.is_held_out, s.reply, s.rejected) for s in self.samples]
        weights = self.model.file("weights")
        inputs = (job.FORMAT, weights.digest if weights else "", self.training.name)
        told = repr((*inputs, self.lora, self.tasks, ids))
        return f"{standing.PREFIX}{hashlib.sha256(told.encode()).hexdigest()[:12]}"

    @property
    def num_pairs(self) -> int:
        """Pairs, or thumbs, that are learned from."""
        return sum(len(self.data(task)[0]) for task, _ in self.tasks if task != "sft")

    def data(self, task: Task) -> tuple[Sequence[Item], Sequence[Item]]:
        """What ``task`` learns from, and what it is checked with."""
        found = self.lesson
        if task == "sft":
            return found.examples, found.checks
        if task == "kto":
            return thumbs_of(found.thumbs), thumbs_of(found.check_thumbs)
        pairs = found.pairs if len(self.tasks) == 1 else found.news
        return pairs_of(pairs), pairs_of(found.check_pairs)


def plan(parts: Parts, training: Training, pinned: Standing | None = None) -> Plan:
    """What ``training`` would learn now, or what ``pinned``, which was interrupted, was to learn.
    Raises before any work what could not be adopted in the end, and ``TooFewSamplesError``."""
    model = parts.store.get(training.model)
    shape = trainable.fitted(LoraConfig(), parts.store, model, training.name)
    samples = _pinned(parts, pinned) if pinned else _chosen(parts, training)
    found = lesson(samples)
    names = tasks_of(found, training.task)
    extra.require()
    counts = {"sft": len(found.examples), "kto": len(found.thumbs), "dpo": len(found.pairs)}
    tasks = tuple(
        (name, _defaults(parts, model, name, counts[name], training, follows=number > 0))
        for number, name in enumerate(names)
    )
    # One adapter: what is learned second has the shape of the first.
    lora = replace(tasks[0][1].lora, target_modules=shape.target_modules)
    return Plan(training, model, tuple(samples), found, lora, tasks)


def _chosen(parts: Parts, training: Training) -> list[Sample]:
    """The samples of its sources, of all where none is named."""
    kept = parts.kept.samples
    sources = [kept.source(id).id for id in training.sources]
    return [one for one in kept.all() if not sources or one.source in sources]


def _pinned(parts: Parts, before: Standing) -> list[Sample]:
    """The samples that it began with. TrainingError where one was erased since."""
    here = {one.id: one for one in parts.kept.samples.all()}
    if not here.keys() >= set(before.samples):
        raise TrainingError(t("personal.samples_gone"), t("personal.samples_gone_hint"))
    return [here[id] for id in before.samples]


def _defaults(
    parts: Parts, model: Model, task: Task, samples: int, training: Training, *, follows: bool
) -> Defaults:
    """What suits ``model``, and what ``training`` says instead; only a little is said of what
    ``follows`` on another task."""
    found = defaults(
        task,
        parameters=model.parameters or 0,
        layers=read_header(parts.store.path(model), model.name).block_count or 1,
        samples=samples,
        device="cuda" if find_gpus() else "cpu",
        follows=follows,
    )
    lora, schedule = found.lora, found.schedule
    if training.r is not None:
        lora = replace(lora, r=training.r, lora_alpha=2 * training.r)
    if training.epochs is not None and not follows:
        schedule = replace(schedule, epochs=training.epochs)
    if training.seed is not None:
        schedule = replace(schedule, seed=training.seed)
    return replace(found, lora=lora, schedule=schedule)
