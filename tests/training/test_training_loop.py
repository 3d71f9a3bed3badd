"""A training learns, ends where it would have ended when it is interrupted, and keeps the best."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_llama import sequences, tiny_base

from ondol.errors import TrainingError
from ondol.training.base import Encoded, has_bfloat16, parameters
from ondol.training.loop import Progress, Trained, train
from ondol.training.lora import LoraConfig, Schedule, add_lora, reply_losses
from ondol.training.steps import Run

CONFIG = LoraConfig(r=4, lora_alpha=8)
SCHEDULE = Schedule(batch_size=4, learning_rate=5e-2, checks=4, checkpoint_seconds=0.0)
EXAMPLES = sequences(48)
HELD_OUT = sequences(8, seed=1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost a tiny model most of its time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def uninterrupted() -> Trained:
    """The training that the others should end like."""
    return learn()


class Interrupted(Exception):
    pass


def learn(
    examples: list[Encoded] = EXAMPLES,
    held_out: list[Encoded] = HELD_OUT,
    config: LoraConfig = CONFIG,
    schedule: Schedule = SCHEDULE,
    checkpoint: Path | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    return train(
        tiny_base(),
        examples,
        held_out,
        config,
        schedule,
        checkpoint=checkpoint,
        on_progress=on_progress,
    )


def until(step: int, seen: list[int] | None = None) -> Callable[[Progress], None]:
    """Interrupts after ``step``; ``seen`` collects the steps."""

    def on_progress(progress: Progress) -> None:
        if seen is not None:
            seen.append(progress.step)
        if progress.step == step:
            raise Interrupted

    return on_progress


def interrupt(checkpoint: Path, step: int, **how: Any) -> None:
    with pytest.raises(Interrupted):
        learn(checkpoint=checkpoint, on_progress=until(step), **how)


def weights(trained: Trained) -> list[list[float]]:
    return [p.flatten().tolist() for p in parameters(trained.model)]


def test_a_repeated_pattern_is_learned() -> None:
    said: list[Progress] = []
    trained = learn(on_progress=said.append)
    assert trained.held_out_loss is not None
    assert trained.held_out_loss < said[0].loss / 3
    assert (trained.steps, trained.num_examples, trained.stopped) == (12, 48, False)
    assert trained.num_tokens == sum(map(len, EXAMPLES))


def test_progress_counts_up_and_time_left_down_to_nothing() -> None:
    said: list[Progress] = []
    learn(on_progress=said.append)
    assert [p.step for p in said] == list(range(1, 13))
    assert {p.steps for p in said} == {12}
    assert [p.step for p in said if p.held_out_loss is not None] == [3, 6, 9, 12]
    assert [p.seconds for p in said] == sorted(p.seconds for p in said)
    assert all(p.eta_seconds > 0 for p in said[:-1])
    assert said[-1].eta_seconds == 0
    assert said[-1].peak_bytes > 1 << 20


def test_same_seed_is_the_same_adapter(uninterrupted: Trained) -> None:
    assert weights(uninterrupted) == weights(learn())
    assert weights(uninterrupted) != weights(learn(schedule=replace(SCHEDULE, seed=1)))


@pytest.mark.parametrize("step", [1, 3, 7, 12])
def test_interrupted_run_ends_where_it_would_have(
    tmp_path: Path, step: int, uninterrupted: Trained
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    interrupt(checkpoint, step)
    seen: list[int] = []
    resumed = learn(checkpoint=checkpoint, on_progress=until(-1, seen))
    assert seen == list(range(step + 1, 13))
    assert weights(resumed) == weights(uninterrupted)
    assert replace(resumed, model=None, seconds=0) == replace(uninterrupted, model=None, seconds=0)


def test_resumed_run_draws_the_random_numbers_it_would_have(tmp_path: Path) -> None:
    config = replace(CONFIG, lora_dropout=0.2)
    interrupt(tmp_path / "checkpoint.pt", 5, config=config)
    resumed = learn(config=config, checkpoint=tmp_path / "checkpoint.pt")
    assert weights(resumed) == weights(learn(config=config))


def test_run_interrupted_again_and_again_ends_the_same(
    tmp_path: Path, uninterrupted: Trained
) -> None:
    for step in range(1, 12, 2):
        interrupt(tmp_path / "checkpoint.pt", step)
    assert weights(learn(checkpoint=tmp_path / "checkpoint.pt")) == weights(uninterrupted)


def test_finished_run_is_not_run_again(tmp_path: Path) -> None:
    seen: list[int] = []
    first = learn(checkpoint=tmp_path / "checkpoint.pt")
    again = learn(checkpoint=tmp_path / "checkpoint.pt", on_progress=until(-1, seen))
    assert seen == []
    assert weights(again) == weights(first)


@pytest.mark.parametrize(
    "other",
    [
        {"examples": EXAMPLES[1:]},
        {"held_out": HELD_OUT[1:]},
        {"config": replace(CONFIG, r=8)},
        {"config": replace(CONFIG, lora_alpha=9)},
        {"schedule": replace(SCHEDULE, learning_rate=1e-2)},
        {"schedule": replace(SCHEDULE, seed=1)},
    ],
    ids=lambda other: next(iter(other)),
)
def test_checkpoint_of_another_training_is_left_alone(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    interrupt(checkpoint, 5)
    seen: list[int] = []
    trained = learn(**other, checkpoint=checkpoint, on_progress=until(-1, seen))
    assert seen[0] == 1
    assert weights(trained) == weights(learn(**other))


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda whole: bytes(len(whole)),
        lambda whole: b"not a checkpoint at all",
        lambda whole: whole[:100] + bytes(100) + whole[200:],
    ],
    ids=["empty", "half", "last byte", "zeros", "text", "hole"],
)
def test_damaged_checkpoint_counts_as_none(
    tmp_path: Path, damage: Callable[[bytes], bytes], uninterrupted: Trained
) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    interrupt(checkpoint, 5)
    checkpoint.write_bytes(damage(checkpoint.read_bytes()))
    seen: list[int] = []
    trained = learn(checkpoint=checkpoint, on_progress=until(-1, seen))
    assert seen[0] == 1
    assert weights(trained) == weights(uninterrupted)


@pytest.mark.parametrize("content", [[], {}, {"about": None}, 3])
def test_file_of_torch_that_is_no_checkpoint_counts_as_none(
    tmp_path: Path, content: object
) -> None:
    import torch

    checkpoint = tmp_path / "checkpoint.pt"
    torch.save(content, checkpoint)
    assert learn(checkpoint=checkpoint).steps == 12


def test_checkpoint_is_replaced_whole(tmp_path: Path) -> None:
    interrupt(tmp_path / "checkpoint.pt", 5)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_checkpoints_are_as_rare_as_asked(tmp_path: Path) -> None:
    learn(checkpoint=tmp_path / "checkpoint.pt", schedule=replace(SCHEDULE, checkpoint_seconds=1e6))
    assert list(tmp_path.iterdir()) == []


def test_early_stop_keeps_the_weights_that_did_best() -> None:
    # What is held out contradicts what is learned: sooner or later it gets worse.
    against = [Encoded(e.prompt, e.reply[::-1]) for e in EXAMPLES[:8]]
    schedule = replace(SCHEDULE, epochs=2, checks=24, patience=2)
    losses: list[float] = []

    def note(progress: Progress) -> None:
        assert progress.held_out_loss is not None
        losses.append(progress.held_out_loss)

    trained = learn(held_out=against, schedule=schedule, on_progress=note)
    assert trained.stopped
    assert trained.steps == len(losses) < 24
    assert min(losses[-2:]) > losses[-3] == min(losses) == trained.held_out_loss
    assert measured(trained.model, against) == pytest.approx(min(losses), rel=1e-3)


def measured(model: Any, examples: list[Encoded]) -> float:
    import torch

    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16("cpu")):
        return float(reply_losses(model, examples).mean())


def test_without_anything_held_out_all_steps_are_taken() -> None:
    trained = learn(held_out=[])
    assert (trained.steps, trained.held_out_loss, trained.stopped) == (12, None, False)


def test_base_weights_and_lower_layers_stay_as_they_are() -> None:
    before = {n: p.clone() for n, p in tiny_base().model.named_parameters()}
    trained = learn(config=replace(CONFIG, first_layer=1))
    for name, weight in trained.model.get_base_model().named_parameters():
        if "lora_" in name:
            assert ".layers.1." in name
            assert weight.abs().max() > 0, "the adapter has learned"
        else:
            assert weight.equal(before[name.replace(".base_layer", "")]), name
    with trained.model.disable_adapter():
        plain = measured(trained.model, HELD_OUT)
    assert plain == pytest.approx(measured(tiny_base().model, HELD_OUT), rel=1e-6)


def test_measuring_the_loss_changes_nothing() -> None:
    model = add_lora(tiny_base(), replace(CONFIG, lora_dropout=0.5), seed=1).train()
    run = Run(model, SCHEDULE, 1)
    assert run.measure(HELD_OUT) == run.measure(HELD_OUT)
    assert model.training


@pytest.mark.parametrize("held_out", [[], HELD_OUT])
def test_diverged_training_is_told_in_a_sentence(held_out: list[Encoded]) -> None:
    wild = replace(SCHEDULE, learning_rate=1e30)
    with pytest.raises(TrainingError, match="diverged") as error:
        learn(held_out=held_out, schedule=wild)
    assert "lower learning rate" in error.value.hint


def test_nothing_to_learn_from_is_told_in_a_sentence() -> None:
    with pytest.raises(TrainingError, match="nothing to learn from"):
        learn(examples=[])
