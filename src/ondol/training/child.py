"""The process in which a training runs: of low priority, without the internet, ended with its
parent. Started by ``job.run``; what it says on stdout is JSON lines, what it keeps is in the
folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol import paths
from ondol.egress import guard
from ondol.egress.native import deny_internet
from ondol.errors import OndolError, TrainingCancelledError, TrainingError, TrainingPausedError
from ondol.i18n import t
from ondol.training import control, job, private_sgd
from ondol.training.dataset import Example
from ondol.training.export import export_adapter
from ondol.training.exposure import by_heart
from ondol.training.lines import from_lines
from ondol.training.loop import Progress, peak_bytes
from ondol.training.preference import Thumb
from ondol.training.soundness import MOST_TOKENS, replies, sound

if TYPE_CHECKING:
    import torch

    from ondol.training.loop import Trained

NICENESS = 10
WAIT_SECONDS = 0.1


class Turns:
    """When the training may go on. ``between`` is asked before every part of a step."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.must_wait = threading.Event()

    def between(self) -> None:
        """Return when it may; ``TrainingPausedError``, ``TrainingCancelledError`` when it is to
        end instead."""
        self._heed()
        if self.must_wait.is_set():
            control.change(self.folder, "waiting")
            while self.must_wait.is_set():
                time.sleep(WAIT_SECONDS)
                self._heed()
            control.change(self.folder, "running")

    def _heed(self) -> None:
        wish = control.wish(self.folder)
        if wish == "pause":
            raise TrainingPausedError(t("training.paused"), t("training.paused_hint"))
        if wish == "cancel":
            raise TrainingCancelledError(t("training.cancelled"), t("training.cancelled_hint"))


def main() -> None:
    """Train the folder named on the command line."""
    guard.install()
    deny_internet()
    replies = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not mix with what the parent reads
    step_back()
    folder = Path(sys.argv[1])
    turns = Turns(folder)
    threading.Thread(target=_heed_parent, args=(turns,), daemon=True).start()

    def say(**fields: Any) -> None:
        os.write(replies, json.dumps(fields).encode() + b"\n")

    guard.report_to(lambda destination: say(refused=destination))
    sys.exit(0 if work(folder, say, turns) else 1)


def work(folder: Path, say: Callable[..., None], turns: Turns) -> bool:
    """Train; where it comes to no end, ``say`` why, and keep it in the folder."""
    try:
        with control.running(folder):
            for torn in (*folder.glob("*.tmp"), *folder.glob("*.partial")):
                torn.unlink(missing_ok=True)  # of one that was killed
            try:
                train_folder(folder, say, turns)
            except OndolError as error:
                _end(folder, error)
                raise
    except OndolError as error:
        say(error=error.message, hint=error.hint, kind=type(error).__name__)
        return False
    return True


def train_folder(folder: Path, say: Callable[..., None], turns: Turns | None = None) -> None:
    """Train what ``job.prepare`` wrote, and leave the adapter and its result."""
    from peft import get_peft_model_state_dict

    from ondol.training.base import load_base, pick_device

    turns = turns or Turns(folder)
    control.change(folder, "running")
    wanted = job.read(folder)
    examples = from_lines(folder / "examples.jsonl", wanted.task)
    held_out = from_lines(folder / "held_out.jsonl", wanted.task)
    base = load_base(wanted.weights or wanted.base, pick_device(), wanted.base_dtype)
    turns.between()
    if wanted.prompt and examples:
        first = examples[0]
        base.check(Thumb(first.messages, replies(first)[0], True), wanted.prompt)
    most_tokens = min(MOST_TOKENS, base.num_ctx)
    how: dict[str, Any] = {"most_tokens": most_tokens}
    learned = sound(examples, base.encode, base.num_tokens, **how)
    checked = sound(held_out, base.encode, base.num_tokens, fewest=0, **how)
    warnings = list(learned.warnings)

    def on_progress(progress: Progress) -> None:
        warning = " ".join(filter(None, [*warnings, progress.warning]))
        warnings.clear()
        told = replace(progress, warning=warning)
        control.note(folder, told)
        say(**asdict(told))

    trained = _learn(folder, wanted, base, learned.items, checked.items, on_progress, turns)
    state = get_peft_model_state_dict(trained.model)
    tensors = {name: weight.float().cpu().numpy() for name, weight in state.items()}
    config = trained.model.peft_config["default"].to_dict()
    try:
        _keep_weights(tensors, folder / job.WEIGHTS)
        export_adapter(tensors, config, wanted.base, folder / control.ADAPTER, dtype=wanted.dtype)
        result = _result(trained, base.chat_template)
        if wanted.schedule.dp_noise:
            result["privacy"] = asdict(private_sgd.report(wanted.schedule, len(learned.items)))
        if wanted.counts_by_heart:
            turns.between()
            result["by_heart"] = by_heart(base, trained.model, [_as_learned(e) for e in examples])
        job.write(folder / control.RESULT, json.dumps(result, indent=1))
    except OSError as error:
        raise paths.storage_error(error, folder) from error


def _learn(
    folder: Path,
    wanted: job.Job,
    base: Any,
    examples: list[Any],
    held_out: list[Any],
    on_progress: Callable[[Progress], None],
    turns: Turns,
) -> Trained:
    from ondol.training import anchor
    from ondol.training.anchor import Anchored
    from ondol.training.loop import train
    from ondol.training.objective import Sft
    from ondol.training.preference import encode_all, objective_of

    schedule = wanted.schedule
    how: dict[str, Any] = {}
    if wanted.task == "sft":
        items, checks = [[base.encode(e) for e in some] for some in (examples, held_out)]
    else:
        items, checks = [encode_all(base, wanted.task, some) for some in (examples, held_out)]
        how["objective"] = objective_of(wanted.task, wanted.preference, items)
    if wanted.anchor:
        objective = how.get("objective") or Sft()
        how["objective"] = Anchored(objective, anchor.texts(base), wanted.anchor)
    if schedule.dp_noise:
        how = private_sgd.arrange(schedule, len(items), wanted.task)
        schedule, checks = replace(schedule, part_tokens=1), []
    return train(
        base,
        items,
        checks,
        wanted.lora,
        schedule,
        **how,
        start=_start(wanted.start) if wanted.start else None,
        checkpoint=folder / control.CHECKPOINT,
        on_progress=on_progress,
        between=turns.between,
    )


def _as_learned(item: Any) -> Example:
    """An example, pair or thumb as the reply that it teaches."""
    return Example(item.messages, replies(item)[0], False, "", "")


def _start(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state: dict[str, torch.Tensor] = load_file(folder / job.WEIGHTS)
        return state
    except (OSError, SafetensorError) as error:
        raise TrainingError(t("training.no_start"), t("training.no_start_hint")) from error


def _keep_weights(tensors: dict[str, Any], file: Path) -> None:
    from safetensors.numpy import save_file

    temporary = file.with_suffix(".tmp")
    try:
        save_file(tensors, temporary)
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)


def _result(trained: Trained, chat_template: str) -> dict[str, Any]:
    return {
        "chat_template": chat_template,
        "steps": trained.steps,
        "num_examples": trained.num_examples,
        "num_tokens": trained.num_tokens,
        "loss": trained.loss,
        "held_out_loss": trained.held_out_loss,
        "held_out_accuracy": trained.held_out_accuracy,
        "cached_layers": trained.cached_layers,
        "stopped": trained.stopped,
        "seconds": trained.seconds,
        "cpu_seconds": time.process_time(),
        "peak_bytes": peak_bytes(),
    }


def _end(folder: Path, error: OndolError) -> None:
    """Keep why it ended."""
    if isinstance(error, TrainingCancelledError):
        with contextlib.suppress(OndolError):
            control.forget_learned(folder)
        control.say(folder, control.State("cancelled"))
    elif isinstance(error, TrainingPausedError):
        control.change(folder, "paused")
    else:
        control.change(folder, "failed", error.message, error.hint)
    control.clear(folder)


def step_back() -> None:
    """The machine stays its owner's while a model learns."""
    os.nice(NICENESS)
    if os.getsid(0) == os.getpid():
        # Linux weighs sessions against each other, where it groups them: nice counts within one.
        with contextlib.suppress(OSError):
            Path("/proc/self/autogroup").write_text(str(NICENESS))


def _heed_parent(turns: Turns) -> None:
    """The parent holds our stdin: it says when to wait, and its end is ours."""
    while said := os.read(0, 4096):
        if said.endswith(job.WAIT):
            turns.must_wait.set()
        else:
            turns.must_wait.clear()
    os._exit(1)


if __name__ == "__main__":
    main()
