"""Scores say what an owner would: right, cited, or honestly not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.training.evaluation import (
    Case,
    Outcome,
    exact_match,
    f1,
    holds,
    is_right,
    measure,
    scores,
    side_by_side,
)
from ondol.types import Answer, Quote, Route, Seconds, Usage

WORDS = st.lists(st.sampled_from("the a rent is due 900 on Monday, in spring".split()), max_size=6)
TEXTS = st.one_of(st.text(max_size=30), WORDS.map(" ".join))
LANGUAGES = st.sampled_from(["en", "ko"])


def answer(
    text: str,
    *,
    quotes: tuple[str, ...] = (),
    cites: tuple[int, ...] = (),
    route: Route = Route.LOCAL,
    model: str = "m",
    seconds: float = 1.0,
) -> Answer:
    numbered = tuple(
        Quote(n, quote, "/a.txt", 0, len(quote), 1.0) for n, quote in enumerate(quotes, start=1)
    )
    timing = Seconds(0.0, None, seconds)
    return Answer(text, numbered, cites, None, route, (), Usage(), timing, model)


def case(
    *answers: str,
    kind: str = "span",
    language: str = "en",
    group: str = "g",
    support: tuple[str, ...] = (),
) -> Case:
    return Case("question?", answers, language, group, kind, support)


def outcome(case: Case, answer: Answer, given: tuple[Quote, ...] | None = None) -> Outcome:
    """The model was given what is shown, unless ``given`` says more."""
    return Outcome(case, answer, answer.quotes if given is None else given)


def value(metric: str, *outcomes: Outcome) -> float:
    return scores(outcomes).estimates[metric].value


ABSTAINS = answer("Not here.", route=Route.ABSTAIN, model="")


def test_answer_is_right_when_the_model_says_a_gold_answer_in_any_case_and_width() -> None:
    assert is_right(outcome(case("900 Won"), answer("It is ９００ won [1].")))
    assert not is_right(outcome(case("900 Won"), answer("It is 800 won [1].")))


def test_a_quote_shown_without_a_model_is_not_the_models_answer() -> None:
    taken = outcome(case("900"), answer("Rent is 900. [1]", quotes=("Rent is 900.",), model=""))
    assert value("accuracy", taken) == 0
    assert value("f1", taken) == 0
    assert value("quoted", taken) == 1


def test_the_number_of_a_mark_is_not_part_of_the_answer() -> None:
    assert not is_right(outcome(case("1"), answer("Seven [1]")))
    assert value("exact_match", outcome(case("seven"), answer("Seven [1]."))) == 1
    assert value("words", outcome(case("seven"), answer("Seven ships [1]."))) == 2


@pytest.mark.parametrize(
    ("said", "right"), [("No [1]", True), ("No, it is not.", True), ("I do not know", False)]
)
def test_a_yes_or_no_is_right_only_as_the_first_word(said: str, right: bool) -> None:
    assert is_right(outcome(case("no", kind="yes_no"), answer(said))) is right


def test_a_korean_yes_or_no_is_read_the_same_way() -> None:
    korean = case("예", kind="yes_no", language="ko")
    assert is_right(outcome(korean, answer("예, 그렇습니다 [1]")))
    assert not is_right(outcome(korean, answer("아니요, 예외입니다 [1]")))


def test_a_citation_is_correct_when_the_cited_quote_holds_the_answer() -> None:
    quotes = ("Rent is 900.", "It is due monthly.")
    good = outcome(case("900"), answer("900 [1]", quotes=quotes, cites=(1,)))
    bad = outcome(case("900"), answer("900 [2]", quotes=quotes, cites=(2,)))
    none = outcome(case("900"), answer("900", quotes=quotes))
    assert [value("citation_correctness", o) for o in (good, bad, none)] == [1, 0, 0]
    assert value("citation_rate", good, bad, none) == pytest.approx(2 / 3)


def test_wrong_answers_do_not_count_for_citation_correctness() -> None:
    wrong = outcome(case("900"), answer("800 [1]", quotes=("Rent is 900.",), cites=(1,)))
    assert scores([wrong]).estimates["citation_correctness"].n == 0


def test_an_answer_from_two_sentences_must_cite_both() -> None:
    both = case("1871 and 1902", support=("opened in 1871", "closed in 1902"))
    quotes = ("It opened in 1871.", "It closed in 1902.")
    one = outcome(both, answer("1871 and 1902 [1]", quotes=quotes, cites=(1,)))
    two = outcome(both, answer("1871 and 1902 [1][2]", quotes=quotes, cites=(1, 2)))
    assert value("citation_correctness", one) == 0
    assert value("citation_correctness", two) == 1


def test_abstaining_is_right_only_where_there_is_no_answer() -> None:
    outcomes = [
        outcome(case("900"), ABSTAINS),
        outcome(case("900"), answer("900")),
        outcome(case(), ABSTAINS),
        outcome(case(), ABSTAINS),
        outcome(case(), answer("900")),
    ]
    assert value("wrongly_abstains", *outcomes) == 0.5
    assert value("abstention_recall", *outcomes) == pytest.approx(2 / 3)
    assert value("abstention_precision", *outcomes) == pytest.approx(2 / 3)
    assert value("accuracy", *outcomes) == 0.5


def test_abstaining_beside_the_proof_is_told_from_what_retrieval_missed() -> None:
    shown = answer("Not here.", quotes=("Rent is 900.",), route=Route.ABSTAIN)
    outcomes = [outcome(case("900"), shown), outcome(case("900"), ABSTAINS)]
    assert value("wrongly_abstains", *outcomes) == 1
    assert scores(outcomes).estimates["abstains_beside_proof"].n == 1


def test_proof_that_was_given_counts_the_same_whether_it_is_then_cited_or_not() -> None:
    """It is the third quote: shown only when it is cited."""
    texts = ("It is due monthly.", "Pets are welcome.", "Rent is 900.")
    given = answer("", quotes=texts).quotes
    deposit = case("900")
    silent = outcome(deposit, replace(ABSTAINS, quotes=given[:2]), given)
    spoken = outcome(deposit, answer("900 [3]", quotes=texts, cites=(3,)), given)
    uncited = outcome(deposit, replace(answer("900"), quotes=given[:2]), given)
    shares = [scores([o]).estimates["abstains_beside_proof"] for o in (silent, spoken, uncited)]
    assert [(share.value, share.n) for share in shares] == [(1, 1), (0, 1), (0, 1)]
    assert [value("quoted", o) for o in (silent, spoken, uncited)] == [1, 1, 1]
    assert [value("citation_correctness", o) for o in (spoken, uncited)] == [1, 0]


def test_a_model_that_abstains_said_nothing() -> None:
    taken = outcome(case("here"), answer("Not in here.", route=Route.ABSTAIN))
    assert taken.said == ""
    assert value("accuracy", taken) == 0


def test_exact_match_and_f1_are_squads() -> None:
    assert exact_match("The  Rhine!", ["a rhine"]) == 1
    assert exact_match("the river Rhine", ["Rhine"]) == 0
    assert f1("the river Rhine", ["Rhine"]) == pytest.approx(2 / 3)
    assert f1("Danube", ["Rhine", "the Danube"]) == 1


def test_korean_f1_is_korquads_over_characters() -> None:
    assert exact_match("‘담양’", ["담양"], "ko") == 1
    assert f1("담양에서", ["담양"], "ko") == pytest.approx(2 * 2 / (4 + 2))
    assert f1("the", ["the"], "ko") == 1


@given(TEXTS, TEXTS, LANGUAGES)
def test_f1_is_a_symmetric_share(said: str, gold: str, language: str) -> None:
    overlap = f1(said, [gold], language)
    assert 0 <= overlap <= 1
    assert overlap == f1(gold, [said], language)


@given(TEXTS, st.lists(TEXTS, min_size=1, max_size=3), LANGUAGES)
def test_an_exact_match_has_full_f1_and_never_less_with_more_golds(
    said: str, golds: list[str], language: str
) -> None:
    if exact_match(said, golds, language):
        assert f1(said, golds, language) == 1
    assert f1(said, golds, language) >= f1(said, golds[:1], language)
    assert exact_match(golds[0], golds, language) == 1


@given(TEXTS, TEXTS, TEXTS)
def test_a_text_holds_what_was_put_between_two_spaces(before: str, gold: str, after: str) -> None:
    assert holds(f"{before} {gold} {after}", [gold])


def test_scores_are_broken_down_by_language_and_kind() -> None:
    outcomes = [
        outcome(case("900", kind="number"), answer("900", seconds=1.0)),
        outcome(case("담양", language="ko"), answer("서울", seconds=3.0)),
        outcome(case("Paris"), answer("Paris", seconds=8.0)),
    ]
    parts = scores(outcomes).parts
    assert set(parts) == {"language en", "language ko", "kind number", "kind span"}
    assert parts["language ko"].estimates["accuracy"].value == 0
    assert parts["language en"].estimates["accuracy"].value == 1
    assert scores(outcomes).median_seconds == 3.0


def test_scores_do_not_depend_on_the_order_of_the_questions() -> None:
    outcomes = [
        outcome(case("900", group=f"g{i % 4}"), answer("900" if i % 3 else "1")) for i in range(20)
    ]
    assert scores(outcomes).as_dict() == scores(outcomes[::-1]).as_dict()


def test_scores_of_nothing_are_unknown_not_zero() -> None:
    nothing = scores([]).as_dict()
    assert nothing["cases"] == 0
    assert nothing["accuracy"] == {"value": None, "low": None, "high": None, "n": 0}


def test_every_case_is_asked_once_and_progress_is_told() -> None:
    asked, told = [], []

    def ask(question: str) -> tuple[Answer, tuple[Quote, ...]]:
        asked.append(question)
        return ABSTAINS, ()

    cases = [Case(f"q{i}", (), "en", "g") for i in range(3)]
    outcomes = measure(cases, ask, lambda done, total: told.append((done, total)))
    assert [o.case for o in outcomes] == cases
    assert asked == ["q0", "q1", "q2"]
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_both_sides_are_asked_each_question_in_turn() -> None:
    order = []

    def ask(name: str):
        def reply(question: str) -> Answer:
            order.append(f"{name}:{question}")
            return answer(name), ()

        return reply

    cases = [Case(f"q{i}", (), "en", "g") for i in range(2)]
    outcomes = side_by_side(cases, {"off": ask("off"), "on": ask("on")})
    assert order == ["off:q0", "on:q0", "on:q1", "off:q1"]
    assert [o.answer.text for o in outcomes["on"]] == ["on", "on"]
