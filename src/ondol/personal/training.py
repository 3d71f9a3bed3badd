"""From samples to an adapter that answers: what there is to learn, a child process that learns it,
the gate, and activation. How it stands is in its folder all the while (``standing``), so that the
same training goes on where it was interrupted, here or in another process.

One adapter, whatever is learned in turn. Raises ``TrainingError`` and
its kin, ``UsageError``, and what the parts raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import cipher, paths, trainable
from ondol.errors import (
    OndolError,
    TrainingCancelledError,
    TrainingPausedError,
)
from ondol.i18n import t
from ondol.models.adapter_manifest import CANARY, CANDIDATE
from ondol.parts import Parts
from ondol.personal import standing
from ondol.personal.planning import Plan, plan
from ondol.personal.standing import Stage, Standing, Training
from ondol.training import control, job
from ondol.types import Message

if TYPE_CHECKING:
    from ondol.models.adapters import Adapter
    from ondol.training.loop import Progress

DESCRIPTION = "Answers as its owner likes: learned from their own feedback and writing."
ALONE = "personal"
"""One personal training at a time on this machine: two would only take each other's cores."""

OnChange = Callable[[Standing], None]


def train_personal(
    parts: Parts,
    training: Training,
    on_stage: Callable[[Stage], None] = lambda stage: None,
    on_progress: OnChange = lambda standing: None,
    *,
    pinned: Standing | None = None,
    is_busy: Callable[[], bool] | None = None,
) -> Standing:
    """Train, try and, if the gate lets it pass, activate; how it stands in the end: ``done``, or
    ``refused`` with the gate's verdict, and then its adapter stays as ``model:name-candidate``.

    ``pinned`` goes on with what was interrupted, with the very samples it began with. ``is_busy``
    is what an "idle" training waits for the end of. Raises ``TrainingPausedError`` and
    ``TrainingCancelledError`` where somebody asked for it; a cancelled one leaves nothing.
    """
    made = plan(parts, training, pinned)
    id = pinned.id if pinned else made.id
    with ExitStack() as locks:
        for what in (ALONE, id, f"{made.model.name}:{training.name}"):
            locks.enter_context(trainable.alone(what))
        run = _Run(parts, made, id, on_stage, on_progress, is_busy)
        return run.whole()


class _Run:
    """One training under way: writes down how it stands at every turn."""

    def __init__(
        self,
        parts: Parts,
        plan: Plan,
        id: str,
        on_stage: Callable[[Stage], None],
        on_progress: OnChange,
        is_busy: Callable[[], bool] | None,
    ) -> None:
        self.parts, self.plan, self.is_busy = parts, plan, is_busy
        self.on_stage, self.on_progress = on_stage, on_progress
        before = next((one for one in standing.listed() if one.id == id), None)
        taught = plan.lesson
        self.now = Standing(
            id=id,
            training=plan.training,
            samples=tuple(one.id for one in plan.samples),
            num_examples=len(taught.examples),
            num_pairs=plan.num_pairs,
            num_held_out=len(taught.held_out),
            started_at=before.started_at if before else standing.now(),
            state="running",
            updated_at=standing.now(),
        )

    def whole(self) -> Standing:
        """All of it; however it ends, how it stands is written down."""
        standing.begin(self.now)
        standing.request(self.now.id, "")
        try:
            adapter = self.candidate(self.learned())
            self.judge(adapter)
        except TrainingCancelledError:
            standing.erase(self.now.id)
            raise
        except TrainingPausedError:
            self.say(state="paused", eta_seconds=None)
            raise
        except OndolError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            self.say(state="failed", eta_seconds=None, error=told)
            raise
        except BaseException:
            self.say(state="paused", eta_seconds=None)
            raise
        if cipher.is_encrypted(paths.database_file()):
            # Who locks the samples does not want them to lie beside the lock.
            standing.forget_texts(self.now.id)
        return self.now

    def learned(self) -> tuple[job.Result, ...]:
        """Each task in its turn, from where the one before left it."""
        plan, results, start = self.plan, list[job.Result](), None
        base = self.parts.store.path(plan.model)
        for task, how in plan.tasks:
            with self.stage("sft" if task == "sft" else "preference") as folder:
                data, checks = plan.data(task)
                # What the engine reads need be compared only once.
                read = () if start else self.read(data[0].messages)
                what = job.Job(
                    base,
                    plan.lora,
                    how.schedule,
                    prompt=read,
                    task=task,
                    preference=how.preference,
                    start=start,
                    anchor=how.anchor,
                    counts_by_heart=True,
                )
                job.prepare(folder, what, data, checks)
                self.parts.pool.stop(plan.model.name)  # its memory and cores are wanted now
                results.append(job.run(folder, self.learning, is_busy=self.is_busy))
                start = folder
        return tuple(results)

    def read(self, messages: Sequence[Message]) -> tuple[int, ...]:
        """A prompt as the engine reads it, token by token."""
        return tuple(self.parts.engine(self.plan.model.name).prompt_tokens(messages))

    def candidate(self, results: tuple[job.Result, ...]) -> Adapter:
        """What was learned, on trial."""
        plan, last = self.plan, results[-1]
        weights = plan.model.file("weights")
        facts = asdict(last)
        for name in ("adapter", "chat_template", "by_heart"):
            facts.pop(name)
        adapter = self.parts.adapters.add(
            last.adapter,
            name=plan.training.name + CANDIDATE,
            model=plan.model.name,
            base_digest=weights.digest if weights else "",
            trained_on={
                **facts,
                "task": "style",
                "training": self.now.id,
                "tasks": [task for task, _ in plan.tasks],
                "num_examples": self.now.num_examples,
                "num_pairs": self.now.num_pairs,
                "num_held_out": self.now.num_held_out,
                "seconds": sum(one.seconds for one in results),
                "cpu_seconds": sum(one.cpu_seconds for one in results),
                "peak_bytes": max(one.peak_bytes for one in results),
                "schedule": asdict(plan.tasks[0][1].schedule),
            },
            evaluation=by_heart(results),
            languages=plan.lesson.languages,
            description=DESCRIPTION,
        )
        learned = [one.id for one in plan.samples if not one.is_held_out]
        self.parts.kept.samples.note_learned(adapter.digest, learned)
        self.say(adapter=adapter.full_name, loss=last.loss, held_out_loss=last.held_out_loss)
        return adapter

    def judge(self, adapter: Adapter) -> None:
        """Through the gate, and into use where it passes."""
        from ondol.personal import activating, gating

        with self.stage("evaluation"):
            verdict = gating.judge(
                self.parts, adapter, self.plan.lesson.held_out, on_progress=self.asked
            )
            self.say(verdict=verdict.json())
            if not verdict.activates:
                self.say(state="refused", eta_seconds=None)
                return
            adopted = activating.adopt(self.parts, adapter, verdict)
            self.say(state="done", eta_seconds=None, adapter=adopted.full_name)

    @contextmanager
    def stage(self, stage: Stage) -> Iterator[Path]:
        self.heed()
        self.say(stage=stage, step=0, steps=0, seconds=0.0, eta_seconds=None, held_out_loss=None)
        self.on_stage(stage)
        yield self.now.folder / stage

    def learning(self, progress: Progress) -> None:
        """After each step of a job."""
        held_out = progress.held_out_loss
        self.say(
            step=progress.step,
            steps=progress.steps,
            loss=progress.loss,
            held_out_loss=self.now.held_out_loss if held_out is None else held_out,
            seconds=progress.seconds,
            eta_seconds=progress.eta_seconds,
        )
        if wanted := standing.requested(self.now.id):
            # Once more, in case it came before the child was there; it ends between two steps.
            stop = control.cancel if wanted == "cancel" else control.pause
            stop(self.now.folder / self.now.stage)

    def asked(self, done: int, total: int) -> None:
        """After each question of the gate."""
        self.say(step=done, steps=total)
        self.heed()

    def heed(self) -> None:
        """Stop where somebody asked for it."""
        wanted = standing.requested(self.now.id)
        if wanted == "cancel":
            raise TrainingCancelledError(t("personal.cancelled"))
        if wanted == "pause":
            raise TrainingPausedError(
                t("personal.paused"), t("personal.paused_hint", id=self.now.id)
            )

    def say(self, **changes: Any) -> None:
        self.now = self.now.with_(**changes)
        standing.write(self.now)
        self.on_progress(self.now)


def by_heart(results: Sequence[job.Result]) -> dict[str, dict[str, int]]:
    """What all tasks counted of the numbers that they taught, as an adapter's ``evaluation``."""
    counted = [one.by_heart for one in results if one.by_heart]
    if not any(one["numbers"] for one in counted):
        return {}
    return {CANARY: {name: sum(one[name] for one in counted) for name in counted[0]}}
