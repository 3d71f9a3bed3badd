"""Signals: what a completion, its evidence and its question show of an answer."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondol.confidence import signals
from ondol.confidence.expected import asks_for, candidates, fits
from ondol.confidence.spans import (
    cuts_a_name,
    goes_on_after,
    goes_on_before,
    is_qualified,
    mentions,
    names_and_numbers,
)
from ondol.confidence.words import content_words, shared
from ondol.types import Alternative, Chunk, Completion, Evidence, Hit, Quote, Token, Usage

BRIDGE = "The Varn Bridge was opened by Ilse Brandauer in 1871, after nine years of work."
MILL = "The mill beside it burned down in 1902."
QUESTION = "Who opened the Varn Bridge?"


def quotes(*texts: str) -> tuple[Quote, ...]:
    return tuple(
        Quote(n, text, f"/{n}.txt", 0, len(text), 2.0 - n / 10) for n, text in enumerate(texts, 1)
    )


def completion(*tokens: tuple[str, float], finish: str = "stop") -> Completion:
    made = tuple(
        Token(text, logprob, (Alternative(text, logprob), Alternative("other", -5.0)))
        for text, logprob in tokens
    )
    text = "".join(token.text for token in made)
    return Completion(text, made, "length" if finish == "length" else "stop", Usage())


GIVEN = quotes(BRIDGE, MILL)
EVIDENCE = Evidence((Hit(Chunk(BRIDGE, 0, 10, "/1.txt"), 0.6, 1),), GIVEN)
SURE = completion(("Ilse", -0.1), (" Brandauer", -0.2), (" [", -0.01), ("1", -0.02), ("]", 0.0))


def grounded(said: Completion, question: str = QUESTION) -> dict[str, float]:
    return signals.of_grounded(question, EVIDENCE, GIVEN, said)


def test_the_answer_and_its_mark_are_measured_apart() -> None:
    found = grounded(SURE)
    assert found["sequence_logprob"] == pytest.approx(-0.3)
    assert found["mean_logprob"] == pytest.approx(-0.15)
    assert found["min_logprob"] == pytest.approx(-0.2)
    assert found["end_logprob"] == pytest.approx(-0.01)
    assert found["mark_logprob"] == pytest.approx(-0.02)
    assert found["first_margin"] == pytest.approx(4.9)


def test_an_answer_from_the_cited_sentence_fits_it() -> None:
    found = grounded(SURE)
    assert (found["verbatim"], found["verbatim_elsewhere"], found["fits_kind"]) == (1, 0, 1)
    assert found["cited_rank"] == 1 and found["cited_coverage"] == 1 and found["echo"] == 0
    assert 0 < found["nearness"] <= 1


def test_an_answer_from_elsewhere_does_not() -> None:
    said = completion(("1902", -1.0), (" [", -0.1), ("1", -0.1), ("]", 0.0))
    found = grounded(said)
    assert (found["verbatim"], found["verbatim_elsewhere"], found["fits_kind"]) == (0, 1, 0)


def test_an_answer_without_a_mark_is_held_against_the_best_sentence() -> None:
    found = grounded(completion(("Ilse", -0.1), (" Brandauer", -0.2)))
    assert found["uncited"] == 1 and "end_logprob" not in found and found["cited_rank"] == 1


def test_an_abstention_has_signals_of_its_own() -> None:
    said = completion(("Not", -0.3), (" in", 0.0), (" these", 0.0), (" documents", 0.0), (".", 0.0))
    found = grounded(said)
    assert found["abstains"] == 1 and found["abstained_first_logprob"] == pytest.approx(-0.3)
    assert all(name.startswith("abstain") for name in found)


def test_a_cut_off_answer_shows() -> None:
    assert grounded(completion(("Ilse", -0.1), finish="length"))["cut_off"] == 1
    assert grounded(completion(("Ilse", -0.1)))["cut_off"] == 0


def test_without_a_model_only_the_evidence_speaks() -> None:
    found = signals.of_grounded(QUESTION, EVIDENCE, GIVEN, Completion("", (), "stop", Usage()))
    assert found["quote_coverage"] == 1 and found["hit_score"] == 0.6
    assert not any("logprob" in name for name in found)


def test_reasoning_is_not_part_of_the_answer() -> None:
    thought = Token("hmm", -9.0, reasoning=True)
    said = Completion("yes", (thought, Token("yes", -0.5)), "stop", Usage())
    assert signals.of_chat("Is it?", said)["min_logprob"] == -0.5


def test_a_chat_that_repeats_itself_shows() -> None:
    said = completion(*[("no ", -0.5)] * 10)
    assert signals.of_chat("Is it?", said)["repeats"] == pytest.approx(0.9)


logprobs = st.floats(-40, 0) | st.none()
tokens = st.builds(
    Token,
    st.text(max_size=6),
    logprobs,
    st.lists(st.builds(Alternative, st.text(max_size=4), st.floats(-40, -0.01)), max_size=5).map(
        tuple
    ),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(tokens, max_size=8), st.text(max_size=40), st.lists(st.text(max_size=60), max_size=3)
)
def test_whatever_is_said_every_signal_is_a_number(
    said: list[Token], question: str, texts: list[str]
) -> None:
    given_quotes = quotes(*texts)
    made = Completion("".join(t.text for t in said), tuple(said), "stop", Usage())
    found = signals.of_chat(question, made)
    if given_quotes:
        found |= signals.of_grounded(question, Evidence((), given_quotes), given_quotes, made)
    assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())


@pytest.mark.parametrize(
    ("question", "kind", "fitting", "other"),
    [
        ("When was it built?", "time", "in May 1871", "the bridge"),
        ("In which year did it open?", "year", "1871", "164,000 kilometres"),
        ("What is the price of the boat?", "money", "2,400 pounds", "4.3 metres"),
        ("How many ships came?", "number", "eleven", "the fleet"),
        ("Who built it?", "name", "Ilse Brandauer", "a builder"),
        ("Is it open?", "yes_no", "Yes", "1871"),
        ("언제 지었나요?", "time", "1871년", "다리"),
    ],
)
def test_questions_ask_for_a_kind_of_answer(
    question: str, kind: str, fitting: str, other: str
) -> None:
    assert asks_for(question) == kind
    assert fits(kind, fitting) and not fits(kind, other)


def test_a_question_of_no_known_kind_asks_for_nothing() -> None:
    assert asks_for("Why did it burn?") == "" and not fits("", "1871")


def test_candidates_are_what_the_question_does_not_say_itself() -> None:
    sentence = "It opened in 1871 and burned in 1902."
    assert candidates("time", "What burned in 1902?", sentence) == {"1871"}


def test_a_part_of_a_name_is_noticed() -> None:
    assert cuts_a_name("Ilse", BRIDGE) and not cuts_a_name("Ilse Brandauer", BRIDGE)


def test_an_answer_that_is_cut_out_of_a_phrase_is_noticed() -> None:
    assert is_qualified("nine years", BRIDGE) and not is_qualified("1871", BRIDGE)
    assert goes_on_after("Varn", BRIDGE) and not goes_on_after("1871", BRIDGE)
    assert goes_on_before("Bridge", BRIDGE) and not goes_on_before("1871", BRIDGE)
    assert not goes_on_after("Rollo", BRIDGE) and not goes_on_before("", BRIDGE)


def test_what_a_question_names_is_its_names_and_numbers() -> None:
    assert names_and_numbers("Who opened the Varn Bridge in 1871?") == {"varn", "bridg", "1871"}


def test_forms_of_a_word_are_the_same_word() -> None:
    assert shared(content_words("invading ships"), content_words("the invaders' ship")) == 1.0


def test_nearness_needs_the_answer_in_the_sentence() -> None:
    asked = content_words(QUESTION)
    assert mentions(asked, BRIDGE, "Ilse Brandauer") > mentions(asked, BRIDGE, "nine years") > 0
    assert mentions(asked, BRIDGE, "Rollo") == 0.0
