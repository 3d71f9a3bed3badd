"""One side of the comparison in a process of its own: our loop, or transformers' Trainer.

Takes one JSON object (``Task``) on the command line. Before every step it waits for a line on
stdin; on stdout it says JSON lines: that it has loaded, what each step cost, at the end the peak.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ondol.training import grounding
from ondol.training.base import Base, Encoded, load_base
from ondol.training.dataset import Example
from ondol.training.loop import Progress, peak_bytes, train
from ondol.training.lora import LoraConfig, Schedule, add_lora, batches, parts_of
from ondol.types import Message

OURS, TRAINER = "ours", "Trainer"


@dataclass(frozen=True)
class Task:
    """``examples`` is a file of JSON lines; ``folder`` is where the Trainer may write."""

    side: str
    base: str
    examples: str
    folder: str
    first_layer: int
    bfloat16: bool

    @property
    def lora(self) -> LoraConfig:
        return replace(grounding.LORA, first_layer=self.first_layer)


SCHEDULE = replace(grounding.SCHEDULE, epochs=1.0)


class Turns:
    """Steps one at a time, each when the parent says so."""

    def __init__(self, say: Callable[..., None]) -> None:
        self.say = say
        self.began: tuple[float, float] | None = None

    def begin(self) -> None:
        if not sys.stdin.readline():
            os._exit(1)  # the parent is gone
        self.began = time.process_time(), time.perf_counter()

    def end(self) -> None:
        if self.began is not None:
            cpu, wall = self.began
            self.say(cpu=time.process_time() - cpu, wall=time.perf_counter() - wall)
            self.began = None


def ours(task: Task, base: Base, examples: list[Encoded], turns: Turns) -> dict[str, Any]:
    def stepped(progress: Progress) -> None:
        turns.end()
        if progress.step < progress.steps:
            turns.begin()

    order = batches([len(example) for example in examples], SCHEDULE)
    turns.begin()
    with patch("ondol.training.steps.has_bfloat16", lambda device: task.bfloat16):
        trained = train(base, examples, [], task.lora, SCHEDULE, on_progress=stepped)
    cut = [[examples[i] for i in batch] for batch in order]
    return {
        "loss": trained.loss,
        "tokens": [sum(map(len, batch)) for batch in cut],
        "padded_tokens": [
            sum(max(map(len, part)) * len(part) for part in parts_of(batch, SCHEDULE.part_tokens))
            for batch in cut
        ],
    }


def trainer(task: Task, base: Base, examples: list[Encoded], turns: Turns) -> dict[str, Any]:
    """As a user of PEFT would have it: labels only on the reply, padding by the library's own
    collator, batches grouped by length. The vocabulary's matrix sees every position."""
    import transformers

    class InTurn(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.end()
            turns.begin()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            turns.end()

    # The Trainer refuses what came from a GGUF file, although its weights are float32 by now.
    base.model.is_quantized, base.model.hf_quantizer = False, None
    del base.model.config.quantization_config
    if base.tokenizer.pad_token is None:
        base.tokenizer.pad_token = base.tokenizer.eos_token
    pad = transformers.DataCollatorForSeq2Seq(base.tokenizer)
    tokens: list[int] = []
    padded: list[int] = []

    def collate(rows: list[dict[str, Any]]) -> Any:
        batch = pad(rows)
        tokens.append(int(batch["attention_mask"].sum()))
        padded.append(batch["input_ids"].numel())
        return batch

    arguments = transformers.TrainingArguments(
        output_dir=task.folder,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        bf16=task.bfloat16,
        train_sampling_strategy="group_by_length",
        num_train_epochs=1,
        seed=SCHEDULE.seed,
        **_as_ours(SCHEDULE),
    )
    teacher = transformers.Trainer(
        model=add_lora(base, task.lora, SCHEDULE.seed),
        args=arguments,
        data_collator=collate,
        train_dataset=[_labelled(example) for example in examples],
        callbacks=[InTurn()],
    )
    teacher.remove_callback(transformers.PrinterCallback)
    said = teacher.train()
    return {"loss": said.training_loss, "tokens": tokens, "padded_tokens": padded}


def _as_ours(schedule: Schedule) -> dict[str, Any]:
    return {
        "per_device_train_batch_size": schedule.batch_size,
        "learning_rate": schedule.learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": schedule.warmup,
        "max_grad_norm": schedule.clip,
    }


def _labelled(example: Encoded) -> dict[str, list[int]]:
    ids = [*example.prompt, *example.reply]
    return {
        "input_ids": ids,
        "attention_mask": [1] * len(ids),
        "labels": [-100] * len(example.prompt) + [*example.reply],
    }


def examples_in(file: Path) -> list[Example]:
    examples = []
    for line in file.read_text("utf-8").splitlines():
        fields = json.loads(line)
        fields["messages"] = tuple(Message(**message) for message in fields["messages"])
        examples.append(Example(**fields))
    return examples


def memory(field: str) -> int:
    """Bytes, from Linux's own account of this process; else the peak, which may count the moment
    before it became another program than its parent."""
    status = Path("/proc/self/status")
    if not status.exists():
        return peak_bytes()
    line = next(row for row in status.read_text().splitlines() if row.startswith(f"{field}:"))
    return int(line.split()[1]) << 10


def main() -> None:
    import torch

    replies = os.dup(1)
    os.dup2(2, 1)  # what a library prints must not mix with what the parent reads

    def say(**fields: Any) -> None:
        os.write(replies, json.dumps(fields).encode() + b"\n")

    task = Task(**json.loads(sys.argv[1]))
    base = load_base(Path(task.base))
    examples = [base.encode(example) for example in examples_in(Path(task.examples))]
    say(
        load_cpu=time.process_time(),
        loaded_bytes=memory("VmRSS"),
        threads=torch.get_num_threads(),
    )
    learn = ours if task.side == OURS else trainer
    learned = learn(task, base, examples, Turns(say))
    say(**learned, peak_bytes=memory("VmHWM"))


if __name__ == "__main__":
    main()
