"""How readily an adapter abstains is set on held-out questions, with a bound that holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.training.abstention import bias, first_token_options, margin, margins
from ondol.training.dataset import Example
from ondol.types import Alternative, GenerateOptions, Message, Token, Usage

QUESTION = Example((Message("user", "Who?"),), "Ada [1]", False, "en", "a")


class FirstToken:
    """An engine that begins every answer with these alternatives."""

    model = "m"

    def __init__(self, **logprobs: float) -> None:
        self.logprobs = logprobs
        self.asked: list[GenerateOptions] = []

    def generate(self, messages: Sequence[Message], options: GenerateOptions) -> Iterator[Token]:
        self.asked.append(options)
        yield Token("x", top=tuple(Alternative(t, p) for t, p in self.logprobs.items()))
        yield Token("", finish_reason="length", usage=Usage())

    def complete(self, prompt: str, options: GenerateOptions) -> Iterator[Token]:
        raise NotImplementedError

    def count_tokens(self, text: str) -> int:
        raise NotImplementedError


def test_margin_is_the_lead_of_the_abstention_over_the_best_answer() -> None:
    options = GenerateOptions()
    assert margin(FirstToken(Not=-0.5, Ada=-1.5, The=-3.0), QUESTION, options) == 1.0
    assert margin(FirstToken(Not=-3.0, Ada=-0.1), QUESTION, options) == pytest.approx(-2.9)


def test_an_abstention_that_is_not_among_the_alternatives_counts_as_the_least_of_them() -> None:
    assert margin(FirstToken(Ada=-0.1, The=-4.0), QUESTION, GenerateOptions()) == pytest.approx(
        -3.9
    )


def test_only_answers_are_asked_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    engine = FirstToken(Not=-1.0, Ada=-2.0)
    silent = replace(QUESTION, abstains=True)
    korean = replace(QUESTION, language="ko")
    found = margins(
        engine,
        [QUESTION, silent, korean, QUESTION],
        GenerateOptions(),
        lambda done, total: told.append((done, total)),
    )
    assert found == [1.0, 1.0]
    assert told == [(1, 2), (2, 2)]


def test_the_first_token_is_asked_for_without_a_bias() -> None:
    options = first_token_options(GenerateOptions(logit_bias={"Not": -1.0}, max_tokens=96))
    assert (options.max_tokens, options.logit_bias) == (1, {})
    assert options.logprobs


@given(st.lists(st.floats(-30, 30), max_size=200), st.floats(0.01, 0.5))
def test_the_bias_leaves_no_more_than_the_share_refused(values: list[float], most: float) -> None:
    found = bias(values, most)
    assert found <= 0.0
    if (len(values) + 1) * most >= 1:
        refused = sum(value + found > 1e-9 for value in values)
        assert (refused + 1) / (len(values) + 1) <= most + 1e-9


@given(st.lists(st.floats(-30, 30), min_size=40))
def test_the_bias_is_no_stronger_than_needed(values: list[float]) -> None:
    found = bias(values, 0.05)
    if found < 0:
        weaker = found + 1e-6
        refused = sum(value + weaker > 0 for value in values)
        assert (refused + 1) / (len(values) + 1) > 0.05


def test_too_few_questions_change_nothing() -> None:
    assert bias([5.0] * 18, 0.05) == 0.0
