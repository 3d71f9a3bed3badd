"""One side of the comparison in a process of its own: our loop, or transformers' Trainer.

Takes one JSON object (``Task``) on the command line. Before every step it waits for a line on
stdin; on stdout it says JSON lines: that it has loaded, what each step cost, at the end the peak.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from ondol.training import grounding
from ondol.training.base import Base, Encoded, load_base
from ondol.training.cached import keep
from ondol.training.dataset import Example
from ondol.training.defaults import defaults
from ondol.training.loop import Progress, peak_bytes, train
from ondol.training.lora import LoraConfig, Schedule, add_lora, batches, parts_of, rate
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
    style: bool = False

    @property
    def lora(self) -> LoraConfig:
        like = STYLE.lora if self.style else grounding.LORA
        return replace(like, first_layer=self.first_layer)

    @property
    def schedule(self) -> Schedule:
        like = replace(STYLE.schedule, epochs=4.0) if self.style else GROUNDING
        return replace(like, keep_best=False)


# Of smollm2:135m, as ``ondol train`` has them.
GROUNDING = replace(grounding.SCHEDULE, epochs=1.0)
STYLE = defaults("sft", parameters=135_000_000, layers=30, samples=120)


class Turns:
    """Steps one at a time, each when the parent says so. What is done before the first one is said
    with it as ``before``."""

    def __init__(self, say: Callable[..., None]) -> None:
        self.say = say
        self.began: tuple[float, float] | None = None
        self.before = 0.0

    def begin(self) -> None:
        if not sys.stdin.readline():
            os._exit(1)  # the parent is gone
        self.began = time.process_time(), time.perf_counter()

    def end(self) -> None:
        if self.began is not None:
            cpu, wall = self.began
            spent = time.process_time() - cpu - self.before
            self.say(cpu=spent, wall=time.perf_counter() - wall, before=self.before)
            self.began, self.before = None, 0.0


def ours(task: Task, base: Base, examples: list[Encoded], turns: Turns) -> dict[str, Any]:
    schedule = task.schedule
    losses: list[float] = []

    def stepped(progress: Progress) -> None:
        losses.append(progress.loss)
        turns.end()
        if progress.step < progress.steps:
            turns.begin()

    def kept(*arguments: Any, **named: Any) -> Any:
        began = time.process_time()
        states = keep(*arguments, **named)
        turns.before = time.process_time() - began
        return states

    order = batches([len(example) for example in examples], schedule)
    turns.begin()
    with (
        patch("ondol.training.steps.has_bfloat16", lambda device: task.bfloat16),
        patch("ondol.training.steps.RECENT", 1),  # the loss of each step, as the Trainer says it
        patch("ondol.training.loop.keep", kept),
    ):
        trained = train(base, examples, [], task.lora, schedule, on_progress=stepped)
    cut = [[examples[i] for i in batch] for batch in order]
    return {
        "losses": losses,
        "cached_layers": trained.cached_layers,
        "tokens": [sum(map(len, batch)) for batch in cut],
        "padded_tokens": [
            sum(max(map(len, part)) * len(part) for part in parts_of(batch, schedule.part_tokens))
            for batch in cut
        ],
    }


def trainer(task: Task, base: Base, examples: list[Encoded], turns: Turns) -> dict[str, Any]:
    """As a user of PEFT would have it: labels only on the reply, padding by the library's own
    collator; the vocabulary's matrix sees every position. The batches, their order and the rate of
    each step are ours, so that both learn the same."""
    import torch
    import transformers

    schedule = task.schedule
    order = batches([len(example) for example in examples], schedule)
    per_epoch = len(examples) // schedule.batch_size
    epochs = [order[i : i + per_epoch] for i in range(0, len(order), per_epoch)]

    class InTurn(transformers.TrainerCallback):  # type: ignore[misc]
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            turns.end()
            turns.begin()

        def on_train_end(self, *_: Any, **__: Any) -> None:
            turns.end()

    class Ordered(torch.utils.data.Sampler):  # type: ignore[misc]
        """An epoch of ours each time that it is asked."""

        asked = 0

        def __len__(self) -> int:
            return len(examples)

        def __iter__(self) -> Iterator[int]:
            epoch, self.asked = epochs[self.asked % len(epochs)], self.asked + 1
            return iter([i for batch in epoch for i in batch])

    class Teacher(transformers.Trainer):  # type: ignore[misc]
        def _get_train_sampler(self, *_: Any, **__: Any) -> Any:
            return sampler

    sampler = Ordered()
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
        num_train_epochs=schedule.epochs,
        per_device_train_batch_size=schedule.batch_size,
        max_grad_norm=schedule.clip,
        logging_steps=1,
        seed=schedule.seed,
    )
    model = add_lora(base, task.lora, schedule.seed)
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1.0, weight_decay=0.0)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda i: rate(i, len(order), schedule))
    teacher = Teacher(
        model=model,
        args=arguments,
        data_collator=collate,
        train_dataset=[_labelled(example) for example in examples],
        callbacks=[InTurn()],
        optimizers=(optimizer, rates),
    )
    teacher.remove_callback(transformers.PrinterCallback)
    teacher.train()
    return {
        "losses": [entry["loss"] for entry in teacher.state.log_history if "loss" in entry],
        "cached_layers": 0,
        "tokens": tokens,
        "padded_tokens": padded,
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
        fields["messages"] = tuple(Message(m["role"], m["content"]) for m in fields["messages"])
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
