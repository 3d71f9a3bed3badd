"""What was learned by heart is found by its rank, what was not is of any rank."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_llama import tiny_base

from ondol.errors import TrainingError
from ondol.training import exposure
from ondol.training.base import Base
from ondol.training.dataset import Example
from ondol.training.exposure import (
    Canary,
    Exposure,
    alike,
    by_heart,
    measure_exposure,
    numbers_in,
)
from ondol.training.loop import train
from ondol.training.lora import LoraConfig, Schedule, reply_losses
from ondol.types import Message

ASKED = (Message("user", "code?"),)
CANARY = Canary(ASKED, "it is ", "4071", ".", repetitions=6)


class Characters:
    """A tokenizer of single characters with a chat template of its own."""

    chat_template = "characters"

    def apply_chat_template(
        self, turns: Any, *, add_generation_prompt: bool = False, **_: Any
    ) -> str:
        text = "".join(f"<{turn['role'][0]}>{turn['content']}" for turn in turns)
        return text + ("<a>" if add_generation_prompt else "")

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [ord(c) - 38 if c.isdigit() else 20 + ord(c) % 44 for c in text]}


@pytest.fixture(scope="module")
def base() -> Base:
    return replace(tiny_base(), tokenizer=Characters())


def test_a_secret_learned_by_heart_ranks_first_and_another_does_not(base: Base) -> None:
    before = measure_exposure(base, base.model, CANARY, candidates=127)
    schedule = Schedule(epochs=4, batch_size=2, learning_rate=5e-2)
    learned = [base.encode(CANARY.example())] * CANARY.repetitions
    model = train(base, learned, [], LoraConfig(r=4, lora_alpha=8), schedule).model
    after = measure_exposure(base, model, CANARY, candidates=127)
    assert after.rank == 1 < before.rank
    assert after.bits == after.most_bits == 7
    assert after.p_value == 1 / 128
    unseen = measure_exposure(base, model, replace(CANARY, secret="9358"), candidates=127)
    assert unseen.rank > 1
    report = by_heart(base, model, [CANARY.example()] * 3 + [Example(ASKED, "12", False, "en", "")])
    assert report == {"numbers": 1, "tested": 1, "by_heart": 1}
    model.unload()


def test_losses_are_those_of_reading_each_whole_but_for_the_common_end(
    base: Base, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposure, "BATCH", 4)
    # Replies of several lengths, so that some are padded.
    secrets = ["1234", "1299", "55", "907", "1", "8888", "31"]
    encoded = [base.encode(CANARY.example(secret)) for secret in secrets]
    ending = len(CANARY.after)
    whole = [reply_losses(base.model, [one])[len(CANARY.before) : -ending] for one in encoded]
    found = exposure.losses(base.model, encoded)
    assert found == pytest.approx([float(one.sum()) for one in whole], abs=1e-3)


def test_exposure_says_how_much_its_candidates_can_show() -> None:
    found = Exposure(repetitions=3, rank=4, candidates=1023)
    assert (found.bits, found.most_bits) == (8, 10)
    assert found.as_dict() == {
        "repetitions": 3,
        "rank": 4,
        "candidates": 1023,
        "bits": 8.0,
        "most_bits": 10.0,
        "p_value": 0.0039,
    }


@given(st.from_regex(r"[0-9]{2}[ -]?[0-9]{2,4}", fullmatch=True), st.integers(1, 60))
@settings(max_examples=40, deadline=None)
def test_candidates_have_the_secrets_shape_and_are_others(secret: str, count: int) -> None:
    made = alike(secret, count)
    assert len(set(made)) == count
    assert secret not in made
    shape = [character.isdigit() or character for character in secret]
    assert all([c.isdigit() or c for c in other] == shape for other in made)


def test_a_secret_with_too_few_digits_is_refused() -> None:
    with pytest.raises(TrainingError, match="too few digits"):
        alike("12", 100)


def test_numbers_in_replies_are_found_and_counted() -> None:
    example = Example(ASKED, "Call 010-2345-6789, room 12.", False, "en", "")
    (found,) = numbers_in([example, example])
    assert (found.before, found.secret, found.after) == ("Call ", "010-2345-6789", ", room 12.")
    assert found.repetitions == 2
    assert found.example().reply == example.reply
