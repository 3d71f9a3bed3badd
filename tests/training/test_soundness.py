"""Bad data is left out or refused, each kind in a sentence of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.errors import TrainingError
from ondol.training.base import Encoded, Replied
from ondol.training.dataset import Example
from ondol.training.lines import Item, from_lines, to_lines
from ondol.training.preference import Pair, Thumb
from ondol.training.soundness import Sound, sound
from ondol.types import Message


def example(number: int, reply: str | None = None) -> Example:
    reply = f"Reply number {number}." if reply is None else reply
    return Example((Message("user", f"Question {number}?"),), reply, False, "en", str(number))


GOOD = [example(i) for i in range(12)]


def encode(said: Replied) -> Encoded:
    """A token a letter."""
    return Encoded(
        tuple(ord(c) for m in said.messages for c in m.content), tuple(map(ord, said.reply))
    )


def judged(items: Sequence[Item], fewest: int = 2, tokens_a_letter: float = 1.0) -> Sound:
    return sound(
        items,
        encode,
        lambda text: int(len(text) * tokens_a_letter),
        most_tokens=200,
        fewest=fewest,
    )


def test_good_samples_stay_as_they_are() -> None:
    assert judged(GOOD) == (GOOD, ())


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (example(99, "  \n"), "teach nothing"),
        (Pair(GOOD[0].messages, "Yes.", "Yes. "), "teach nothing"),
        (example(99, "x" * 1_000_000), "longer than 200 tokens"),
        (example(99, "x" * 200), "longer than 200 tokens"),
        (Pair(GOOD[0].messages, "Yes.", "x" * 300), "longer than 200 tokens"),
        (example(99, "<|im_start|>assistant\nHi<|im_end|>"), "marks of a chat template"),
        (example(99, "[INST] Hello [/INST]"), "marks of a chat template"),
    ],
)
def test_bad_sample_is_left_out_in_a_sentence(bad: Item, sentence: str) -> None:
    found = judged([*GOOD[:5], bad, *GOOD[5:]])
    assert found.items == GOOD
    (warning,) = found.warnings
    assert warning.startswith("1 of 13 samples")
    assert sentence in warning


def test_megabyte_is_not_even_tokenised() -> None:
    def no_tokens(said: Replied) -> Encoded:
        assert len(said.reply) < 1000
        return encode(said)

    found = sound([*GOOD, example(9, "x" * 1_000_000)], no_tokens, len, most_tokens=200)
    assert found.items == GOOD


def test_poisoned_duplicates_are_learned_once() -> None:
    found = judged([*GOOD, *[example(99, "Buy now!")] * 50])
    assert found.items == [*GOOD, example(99, "Buy now!")]
    assert found.warnings == ("49 samples are there more than once; each is learned once.",)


def test_one_reply_to_everything_is_told() -> None:
    found = judged([*GOOD, *[example(i, "Buy  NOW!") for i in range(100, 130)]])
    (warning,) = found.warnings
    assert warning.startswith("30 of 42 samples have the same reply")


def test_honest_abstentions_are_not_one_reply_to_everything() -> None:
    said = [Example(one.messages, "Not here.", True, "en", one.group) for one in GOOD]
    assert judged(said).warnings == ()


@pytest.mark.parametrize(
    ("items", "sentence"),
    [
        ([], "There is nothing to learn from."),
        ([example(1, " ")], "There is nothing to learn from."),
        (GOOD[:1], "One sample is left"),
        (GOOD[:1] * 9, "One sample is left"),
    ],
)
def test_too_little_is_refused(items: list[Item], sentence: str) -> None:
    with pytest.raises(TrainingError, match=sentence) as error:
        judged(items)
    assert "some dozens" in error.value.hint
    judged(items, fewest=0)  # of what is held out there may be none


@pytest.mark.parametrize("reply", [float("nan"), None, 3, "half a letter \ud800"])
def test_what_is_no_text_is_refused_with_its_number(reply: Any) -> None:
    broken = Example(GOOD[0].messages, reply, False, "en", "x")
    with pytest.raises(TrainingError, match="Sample 3 holds something that is no text"):
        judged([*GOOD[:2], broken])


KOREAN = [example(i, f"네, {i}번은 안방에 있습니다.") for i in range(12)]


def test_language_the_model_cannot_read_is_refused() -> None:
    with pytest.raises(TrainingError, match="12 of 12 samples are in a language"):
        judged(KOREAN, tokens_a_letter=2.8)
    assert judged(KOREAN).warnings == (), "one that can is fine"


def test_some_samples_in_such_a_language_are_told() -> None:
    found = judged([*GOOD, *KOREAN[:3]], tokens_a_letter=2.8)
    assert len(found.items) == 15
    assert found.warnings[0].startswith("3 of 15 samples are in a language")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=20))
def test_every_sample_that_stays_was_given_and_comes_once(texts: list[tuple[str, str]]) -> None:
    items = [Thumb((Message("user", question),), reply, True) for question, reply in texts]
    found = judged(items, fewest=0)
    assert len(set(found.items)) == len(found.items)
    assert [item for item in dict.fromkeys(items) if item in found.items] == found.items


@pytest.mark.parametrize(
    ("task", "items"),
    [
        ("sft", GOOD),
        ("dpo", [Pair(GOOD[0].messages, "a\u2028b", "나쁨")]),
        ("kto", [Thumb(GOOD[0].messages, "a\nb", False)]),
    ],
)
def test_lines_hold_what_was_written(tmp_path: Any, task: Any, items: list[Item]) -> None:
    (tmp_path / "x.jsonl").write_text(to_lines(items), "utf-8")
    assert from_lines(tmp_path / "x.jsonl", task) == items
