"""Preferences change what the model finds likelier: pairs by DPO, single thumbs by KTO."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_llama import VOCABULARY, sequences, tiny_base

from ondol.errors import TrainingError
from ondol.training.anchor import Anchored
from ondol.training.base import Base, Encoded, parameters
from ondol.training.loop import Progress, Trained, train
from ondol.training.lora import LoraConfig, Schedule, reply_losses
from ondol.training.objective import Sft
from ondol.training.preference import (
    MOST_WEIGHT,
    Dpo,
    EncodedPair,
    Pair,
    PreferenceConfig,
    Thumb,
    balanced,
    train_preference,
)
from ondol.types import Message

CONFIG = LoraConfig(r=4, lora_alpha=8)
SCHEDULE = Schedule(batch_size=8, learning_rate=3e-2, checks=2, checkpoint_seconds=0.0)
LIKED, DISLIKED = "5 4 3", "9 8 7 6 9"


class Numbers(Base):
    """Whose texts are token ids."""

    def encode(self, example: Any) -> Encoded:
        return Encoded(*(tuple(map(int, text.split())) for text in said(example)))


def said(example: Any) -> tuple[str, str]:
    return " ".join(m.content for m in example.messages), example.reply


def numbers() -> Base:
    return Numbers(tiny_base().model, None)


def prompts(count: int, seed: int) -> list[tuple[Message, ...]]:
    rng = random.Random(seed)
    texts = [
        " ".join(str(rng.randrange(10, VOCABULARY)) for _ in range(rng.randint(2, 30)))
        for _ in range(count)
    ]
    return [(Message("user", text),) for text in texts]


PAIRS = [Pair(prompt, LIKED, DISLIKED) for prompt in prompts(40, 0)]
UNSEEN = [Pair(prompt, LIKED, DISLIKED) for prompt in prompts(12, 1)]
THUMBS = [
    Thumb(prompt, LIKED if i % 2 else DISLIKED, bool(i % 2))
    for i, prompt in enumerate(prompts(40, 2))
]


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Threads that wait for each other cost a tiny model most of its time."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def learn(data: Any, held_out: Any = (), **how: Any) -> Trained:
    fields: dict[str, Any] = {"config": CONFIG, "schedule": SCHEDULE} | how
    return train_preference(numbers(), data, held_out, **fields)


def gain(model: Any, reply: str) -> float:
    """How much likelier a token of ``reply`` is with the adapter than without, over UNSEEN."""
    import torch

    read = [numbers().encode(Thumb(pair.messages, reply, True)) for pair in UNSEEN]
    with torch.no_grad():
        learned = float(reply_losses(model, read).mean())
        with model.disable_adapter():
            return float(reply_losses(model, read).mean()) - learned


def test_pairs_make_the_chosen_reply_likelier_and_the_rejected_one_less() -> None:
    steps: list[Progress] = []
    trained = learn(PAIRS, UNSEEN, on_progress=steps.append)
    assert gain(trained.model, LIKED) > 0.5
    assert gain(trained.model, DISLIKED) < 0.0
    assert trained.held_out_accuracy == 1.0
    assert trained.held_out_loss is not None and trained.held_out_loss < steps[0].loss
    assert [p.held_out_accuracy is not None for p in steps] == [False, True, False, True, True]


def test_thumbs_without_pairs_do_the_same() -> None:
    trained = learn(THUMBS, THUMBS[:6], schedule=replace(SCHEDULE, epochs=2))
    assert gain(trained.model, LIKED) > 0.5
    assert gain(trained.model, LIKED) > gain(trained.model, DISLIKED) + 1.0
    assert trained.held_out_accuracy is not None and trained.held_out_accuracy > 0.8


def test_loss_before_anything_is_learned_is_that_of_a_coin() -> None:
    steps: list[Progress] = []
    learn(PAIRS[:8], preference=PreferenceConfig(sft_weight=0.0), on_progress=steps.append)
    assert steps[0].loss == pytest.approx(math.log(2), rel=1e-4)


@pytest.mark.parametrize("length_normalized", [True, False])
def test_loss_is_that_of_the_paper(length_normalized: bool) -> None:
    import torch

    first, last = numbers(), Numbers(tiny_base(seed=9).model, None)
    pair = EncodedPair(*(first.encode(Thumb(UNSEEN[0].messages, r, True)) for r in (LIKED, "9 8")))
    config = PreferenceConfig(beta=0.7, length_normalized=length_normalized, sft_weight=0.0)
    objective = Dpo(config)
    with torch.no_grad():
        objective.refer(lambda part: reply_losses(first.model, part), [pair], 1024)
        found = objective.share(lambda part: reply_losses(last.model, part), [pair])

        def logp(base: Base, read: Encoded) -> float:
            losses = reply_losses(base.model, [read])
            return -float(losses.mean() if length_normalized else losses.sum())

    ratios = [logp(last, read) - logp(first, read) for read in (pair.chosen, pair.rejected)]
    margin = 0.7 * (ratios[0] - ratios[1])
    assert float(found.loss) == pytest.approx(math.log(1 + math.exp(-margin)), rel=1e-4)
    assert found.right == int(margin > 0)


@pytest.mark.parametrize("first_layer", [0, 1])
@pytest.mark.parametrize("data", [PAIRS[:16], THUMBS[:16]], ids=["dpo", "kto"])
def test_interrupted_preference_ends_where_it_would_have(
    tmp_path: Path, data: Any, first_layer: int
) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(progress: Progress) -> None:
        if progress.step == 2:
            raise Interrupted

    how: dict[str, Any] = {
        "config": replace(CONFIG, first_layer=first_layer),
        "schedule": replace(SCHEDULE, batch_size=4, epochs=1.5),
        "held_out": data[:4],
    }
    whole = learn(data, **how)
    with pytest.raises(Interrupted):
        learn(data, checkpoint=tmp_path / "x.pt", on_progress=interrupt, **how)
    seen: list[int] = []
    again = learn(
        data, checkpoint=tmp_path / "x.pt", on_progress=lambda p: seen.append(p.step), **how
    )
    assert seen[0] == 3
    assert weights(again) == weights(whole)
    assert again.cached_layers == first_layer


def weights(trained: Trained) -> list[list[float]]:
    return [p.flatten().tolist() for p in parameters(trained.model)]


def test_checkpoint_of_another_objective_is_left_alone(tmp_path: Path) -> None:
    learn(PAIRS[:8], checkpoint=tmp_path / "x.pt")
    seen: list[int] = []
    learn(
        PAIRS[:8],
        preference=PreferenceConfig(beta=0.5),
        checkpoint=tmp_path / "x.pt",
        on_progress=lambda progress: seen.append(progress.step),
    )
    assert seen == [1]


def test_preference_goes_on_from_an_adapter_and_is_measured_from_it() -> None:
    from peft import get_peft_model_state_dict

    before = learn(PAIRS)
    start = {n: w.clone() for n, w in get_peft_model_state_dict(before.model).items()}
    steps: list[Progress] = []
    after = learn(
        PAIRS[:8],
        start=start,
        preference=PreferenceConfig(sft_weight=0.0),
        schedule=replace(SCHEDULE, learning_rate=1e-5),
        on_progress=steps.append,
    )
    assert steps[0].loss == pytest.approx(math.log(2), rel=1e-4), "a coin again"
    assert gain(after.model, LIKED) == pytest.approx(gain(before.model, LIKED), abs=0.05)


def test_adapter_of_another_shape_is_no_beginning() -> None:
    from peft import get_peft_model_state_dict

    start = get_peft_model_state_dict(learn(PAIRS[:8]).model)
    with pytest.raises(TrainingError, match="another shape") as error:
        learn(PAIRS[:8], start=start, config=replace(CONFIG, r=2))
    assert error.value.hint


def test_thumbs_that_all_point_down_are_refused() -> None:
    with pytest.raises(TrainingError, match="Every thumb points down") as error:
        learn([replace(thumb, is_desirable=False) for thumb in THUMBS])
    assert "good replies" in error.value.hint


def test_nothing_preferred_is_told_in_a_sentence() -> None:
    with pytest.raises(TrainingError, match="nothing to learn from"):
        learn([])


@given(st.lists(st.booleans(), max_size=300))
def test_both_kinds_of_thumbs_count_the_same(ups: list[bool]) -> None:
    up, down = balanced(ups)
    assert min(up, down) == 1.0 and max(up, down) <= MOST_WEIGHT
    total_up, total_down = up * sum(ups), down * (len(ups) - sum(ups))
    if 0 < sum(ups) < len(ups) and max(up, down) < MOST_WEIGHT:
        assert total_up == pytest.approx(total_down)


def test_gradients_may_be_changed_part_by_part() -> None:
    class Silence:
        """Nothing is learned from what it takes away."""

        def __init__(self) -> None:
            self.parts: list[int] = []

        def after_part(self, learned: Any) -> None:
            self.parts.append(len(learned))

        def before_step(self, learned: Any) -> None:
            for parameter in learned:
                parameter.grad.zero_()

    silence = Silence()
    schedule = replace(SCHEDULE, part_tokens=1)
    trained = learn(PAIRS[:8], gradients=silence, order=[[0, 3], [5]], schedule=schedule)
    assert len(silence.parts) == 3, "each pair is a part of its own"
    assert (trained.steps, trained.num_examples) == (2, 3)
    assert gain(trained.model, LIKED) == 0.0


def test_ordinary_text_is_held_where_it_was() -> None:
    import torch

    texts = sequences(6, seed=7)

    def moved(trained: Trained) -> float:
        with torch.no_grad():
            after = reply_losses(trained.model, texts)
            with trained.model.disable_adapter():
                return float((after - reply_losses(trained.model, texts)).square().mean())

    def learned(weight: float) -> Trained:
        items = [numbers().encode(Thumb(pair.messages, LIKED, True)) for pair in PAIRS]
        objective = Anchored(Sft(), texts, weight)
        return train(numbers(), items, [], CONFIG, SCHEDULE, objective=objective)

    free, held = learned(0.0), learned(3.0)
    assert moved(held) < moved(free) / 2
    assert gain(held.model, LIKED) > 0.5, "and what is to be learned is learned"


def test_without_keeping_the_best_the_last_weights_stay() -> None:
    against = [Pair(pair.messages, pair.rejected, pair.chosen) for pair in UNSEEN]
    schedule = replace(SCHEDULE, checks=5, patience=1)
    best, last = (
        learn(PAIRS, against, schedule=replace(schedule, keep_best=keep)) for keep in (True, False)
    )
    assert best.stopped and not last.stopped
    assert last.steps == 5 > best.steps
    assert last.held_out_loss is not None and best.held_out_loss is not None
    assert last.held_out_loss > best.held_out_loss
