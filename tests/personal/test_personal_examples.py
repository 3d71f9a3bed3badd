"""Samples to what a training reads: nothing that was held out is learned, nothing comes twice, and
too little is refused with how much is needed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.personal import examples
from ondol.personal.examples import TooFewSamplesError, check_enough, lesson, tasks_of
from ondol.samples.records import Sample
from ondol.types import Message, Sensitivity


def sample(number: int = 0, **fields: Any) -> Sample:
    told: dict[str, Any] = {
        "id": f"s{number}",
        "source": "feedback",
        "kind": "sft",
        "conversation": f"c{number}",
        "messages": (Message("user", f"Question {number}?"),),
        "reply": f"Answer {number}.",
        "rejected": None,
        "is_desirable": None,
        "language": "en",
        "sensitivity": Sensitivity.PRIVATE,
        "is_held_out": False,
    }
    return Sample(**{**told, **fields})


def pair(number: int, **fields: Any) -> Sample:
    return sample(number, kind="preference", rejected=f"Worse {number}.", **fields)


def thumb(number: int, up: bool, **fields: Any) -> Sample:
    return sample(number, kind="thumb", is_desirable=up, **fields)


def test_prompt_is_what_a_plain_chat_sends() -> None:
    """A persona and memories come and go; the adapter must not need them."""
    turns = (
        Message("system", "You are Mina's pirate. She keeps bees."),
        Message("user", "Hello"),
        Message("assistant", "Ahoy"),
        Message("user", "What is honey?"),
    )
    (example,) = lesson([sample(messages=turns)]).examples
    assert example.messages == turns[1:]


def test_replies_come_from_what_was_good_and_from_what_was_put_right() -> None:
    taught = lesson([sample(1), pair(2), thumb(3, True), thumb(4, False)])
    assert [one.reply for one in taught.examples] == ["Answer 1.", "Answer 2.", "Answer 3."]
    assert [one.id for one in taught.pairs] == ["s2"]
    assert [one.id for one in taught.thumbs] == ["s1", "s3", "s4"], "a good reply is a thumb up"
    assert lesson([sample(1), thumb(3, True)]).thumbs == (), "nothing says what not to be"


def test_the_same_reply_to_the_same_prompt_is_learned_once() -> None:
    once = sample(1)
    again = pair(2, messages=once.messages, reply=once.reply)
    taught = lesson([once, again])
    assert len(taught.examples) == 1
    assert len(taught.pairs) == 1, "what is worse is still learned from"


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("spud"), st.booleans()), max_size=30))
def test_what_is_held_out_is_never_learned(kinds: list[tuple[int, str, bool]]) -> None:
    make = {"s": sample, "p": pair, "u": lambda n, **k: thumb(n, True, **k)}
    make["d"] = lambda n, **k: thumb(n, False, **k)
    samples = [
        make[kind](
            number, is_held_out=held, conversation=f"{number}-{held}", reply=f"{held} {number}"
        )
        for number, kind, held in kinds
    ]
    taught = lesson(samples)
    assert all(one.reply.startswith("False") for one in taught.examples)
    assert all(one.reply.startswith("True") for one in taught.checks)
    assert not any(one.is_held_out for one in (*taught.pairs, *taught.thumbs))
    assert set(taught.held_out) == {one for one in samples if one.is_held_out}


def some(count: int, held_out: int) -> list[Sample]:
    return [sample(n, is_held_out=n < held_out) for n in range(count + held_out)]


@pytest.mark.parametrize(
    ("learned", "held_out"),
    [
        (0, 0),
        (examples.FEWEST_LEARNED - 1, examples.FEWEST_HELD_OUT),
        (examples.FEWEST_LEARNED, examples.FEWEST_HELD_OUT - 1),
    ],
)
def test_too_little_is_refused_with_how_much_is_needed(learned: int, held_out: int) -> None:
    with pytest.raises(TooFewSamplesError) as error:
        check_enough(lesson(some(learned, held_out)))
    told = error.value.message
    assert f"{learned} answers to learn from" in told and f"{held_out} to check" in told
    assert f"{examples.FEWEST_LEARNED} and {examples.FEWEST_HELD_OUT} are needed" in told
    assert "thumb" in error.value.hint and "ondol train style" in error.value.hint


def test_enough_is_enough() -> None:
    check_enough(lesson(some(examples.FEWEST_LEARNED, examples.FEWEST_HELD_OUT)))


ENOUGH = examples.FEWEST_LEARNED + examples.FEWEST_HELD_OUT


def good(count: int = ENOUGH) -> list[Sample]:
    return some(count - examples.FEWEST_HELD_OUT, examples.FEWEST_HELD_OUT)


def test_edits_are_learned_as_replies_alone() -> None:
    """What an edit replaced was a mistake of the moment; the better reply is taught already."""
    edits = [pair(n, messages=one.messages, reply=one.reply) for n, one in enumerate(good())]
    assert tasks_of(lesson([*good(), *edits]), "auto") == ("sft",)


def test_preferences_follow_where_replies_do_not_teach_them() -> None:
    pairs = [pair(100 + n) for n in range(examples.FEWEST_PAIRS)]
    assert tasks_of(lesson([*good(), *pairs[1:]]), "auto") == ("sft",)
    assert tasks_of(lesson([*good(), *pairs]), "auto") == ("sft", "dpo")
    assert tasks_of(lesson([*good(), *pairs]), "sft") == ("sft",)


def test_pairs_and_little_else_are_learned_by_themselves() -> None:
    pairs = [pair(n, is_held_out=n < examples.FEWEST_HELD_OUT) for n in range(ENOUGH)]
    assert tasks_of(lesson(pairs), "auto") == ("dpo",)
    assert tasks_of(lesson([*good(), *pairs]), "dpo") == ("dpo",)


def test_thumbs_are_learned_when_asked_for() -> None:
    downs = [thumb(100 + n, False) for n in range(examples.FEWEST_PAIRS)]
    assert tasks_of(lesson([*good(), *downs]), "kto") == ("kto",)
    assert tasks_of(lesson([*good(), *downs]), "auto") == ("sft",)


@pytest.mark.parametrize("task", ["dpo", "kto"])
def test_preferences_asked_for_without_enough_are_refused(task: str) -> None:
    with pytest.raises(TooFewSamplesError) as error:
        tasks_of(lesson([*good(), pair(90), thumb(91, False)]), task)
    assert task in error.value.message and str(examples.FEWEST_PAIRS) in error.value.message


def test_languages_are_those_that_are_really_there() -> None:
    korean = [sample(n, language="ko") for n in range(15)]
    english = [sample(20 + n) for n in range(5)]
    stray = [sample(40, language="de"), sample(41, language="und")]
    assert lesson(korean + english + stray).languages == ("ko", "en")
