"""The gate lets an adapter through only when it is better beyond chance and harms nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ondol.errors import TrainingError
from ondol.i18n import use_language
from ondol.training.drift import ChatPrompt, Drift, Reply, Word
from ondol.training.evaluation import Case, Outcome, scores
from ondol.training.gate import differences, table, verdict
from ondol.types import Answer, Quote, Route, Seconds, Usage

ARTICLES = 12
EACH = 6


def answered(text: str, *cites: int) -> Answer:
    quotes = (Quote(1, "It is gold.", "/a", 0, 11, 1.0), Quote(2, "No.", "/a", 12, 15, 0.5))
    timing = Seconds(0.0, None, 1.0)
    return Answer(text, quotes, cites, None, Route.LOCAL, (), Usage(), timing, "m")


NOTHING = replace(answered("Not here."), route=Route.ABSTAIN, model="")
GOOD, UNCITED, WRONG = answered("gold [1]", 1), answered("gold"), answered("something else [1]", 1)


def taken(replies: list[Answer], unknown: Answer = NOTHING, language: str = "en") -> list[Outcome]:
    """``replies`` to answerable questions, over and over; ``unknown`` to one in every article."""
    outcomes = []
    for article in range(ARTICLES):
        for number in range(EACH):
            case = Case(f"{article}.{number}", ("gold",), language, f"{language}{article}")
            reply = replies[(article + number) % len(replies)]
            outcomes.append(Outcome(case, reply, reply.quotes))
        case = Case(f"{article}.u", (), language, f"{language}{article}", "unanswerable")
        outcomes.append(Outcome(case, unknown, unknown.quotes))
    return outcomes


BEFORE = taken([WRONG, WRONG, UNCITED])
AFTER = taken([GOOD, GOOD, WRONG])


def drift(*, worse: float = 0.0, on: str = "Paris is nice.", faults: tuple[str, ...] = ()) -> Drift:
    words = tuple(Word(i % 4, "before", " word") for i in range(40))
    off = tuple(1.0 + i / 40 for i in range(40))
    reply = Reply(ChatPrompt("Tell me something."), "Paris is nice.", on, (), faults)
    return Drift(words, off, tuple(loss + worse for loss in off), (reply,))


def test_a_better_adapter_ships_and_may_chat() -> None:
    judged = verdict(BEFORE, AFTER, drift())
    assert (judged.ships, judged.reasons) == (True, ())
    assert (judged.chat_ok, judged.chat_reasons) == (True, ())
    assert judged.differences["accuracy"].low > 0


def test_an_adapter_that_changes_nothing_does_not_ship() -> None:
    judged = verdict(AFTER, AFTER, drift())
    assert not judged.ships
    assert len(judged.reasons) == 2
    assert all("Not better beyond chance" in reason for reason in judged.reasons)


def test_a_gain_that_chance_could_give_does_not_ship() -> None:
    lucky = list(BEFORE)
    lucky[0] = Outcome(lucky[0].case, GOOD, GOOD.quotes)
    assert any("beyond chance" in reason for reason in verdict(BEFORE, lucky).reasons)


def test_a_gain_in_a_single_article_is_no_proof() -> None:
    only = [o for o in zip(BEFORE, AFTER, strict=True) if o[0].case.group == "en0"]
    before, after = ([pair[side] for pair in only] for side in (0, 1))
    assert not verdict(before, after).ships


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        (taken([GOOD, GOOD, NOTHING]), "Too high: abstains beside the proof is 33.3 %"),
        (taken([UNCITED]), "Too low: right answers that cite the proof is 0.0 %"),
    ],
)
def test_harm_is_named_and_does_not_ship(after: list[Outcome], reason: str) -> None:
    judged = verdict(BEFORE, after, drift())
    assert not judged.ships
    assert not judged.chat_ok
    assert len(judged.reasons) == 1
    assert judged.reasons[0].startswith(reason)


def test_an_adapter_that_never_abstains_does_not_ship() -> None:
    """Nor does one from a base that never did: no worse than before is not good enough."""
    never_before, never_after = taken([WRONG], unknown=WRONG), taken([GOOD], unknown=WRONG)
    too_low = "Too low: abstains where it should is 0.0 % [0.0, 0.0]; at least 70% is needed."
    assert verdict(never_before, never_after, drift()).reasons == (too_low,)
    unlearned = verdict(BEFORE, never_after, drift()).reasons
    assert unlearned[0].startswith("Worse beyond chance: abstains where it should")
    assert unlearned[1:] == (too_low,)


def test_what_gets_worse_in_one_set_is_not_hidden_by_the_others() -> None:
    """Abstaining where it should, and accuracy, each fall in a set of their own; no sum does."""
    silent = [o for o in taken([GOOD]) if not o.case.answerable]
    loud = [o for o in taken([GOOD], unknown=WRONG) if not o.case.answerable]
    many = [o for i in range(4) for o in taken([WRONG] if i else [GOOD])]
    more = [o for i in range(4) for o in taken([GOOD] if i else [WRONG, GOOD])]
    sets = {
        "letters": (taken([WRONG], unknown=WRONG), taken([GOOD])),
        "missing": (silent[:3], loud[:3]),
        "Korean": (many[: ARTICLES * (EACH + 1)], more[: ARTICLES * (EACH + 1)]),
        "rest": (many[ARTICLES * (EACH + 1) :], more[ARTICLES * (EACH + 1) :]),
    }
    before, after = ([o for pair in sets.values() for o in pair[side]] for side in (0, 1))
    assert verdict(before, after).ships
    reasons = verdict(before, after, sets=sets).reasons
    assert len(reasons) == 2
    assert reasons[0].startswith("Worse beyond chance: abstains where it should (missing)")
    assert reasons[1].startswith("Worse beyond chance: gold answer in the model's words (Korean)")


def test_a_set_in_which_nothing_falls_is_no_reason_against_it() -> None:
    sets = {"one": (BEFORE, AFTER), "other": (AFTER, AFTER)}
    assert verdict(BEFORE + AFTER, AFTER + AFTER, sets=sets).ships


def test_abstaining_where_retrieval_missed_the_proof_is_no_reason_against_it() -> None:
    unproven = replace(NOTHING, quotes=(Quote(1, "Something else.", "/a", 0, 15, 1.0),))
    assert verdict(BEFORE, taken([GOOD, GOOD, unproven]), drift()).ships


def test_one_language_does_not_pay_for_another() -> None:
    before = BEFORE + taken([GOOD], language="ko")
    after = taken([GOOD]) + taken([GOOD, NOTHING], language="ko")
    reasons = verdict(before, after).reasons
    assert any("words (ko) changes by" in reason for reason in reasons)
    assert any("abstains beside the proof (ko) is 50.0 %" in reason for reason in reasons)


def test_what_was_not_measured_does_not_ship() -> None:
    before, after = ([o for o in some if o.case.answerable] for some in (BEFORE, AFTER))
    judged = verdict(before, after, drift())
    assert not judged.ships
    assert judged.reasons == (
        "Not measured: abstains where it should. No question of the test tells.",
    )


def test_nothing_measured_at_all_does_not_ship() -> None:
    judged = verdict([], [])
    assert not judged.ships
    assert len(judged.reasons) == 5


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (None, "was not measured"),
        (drift(worse=0.5), "perplexity was"),
        (drift(on="", faults=("empty",)), "everyday prompts"),
        (drift(on="Yes."), "cuts chat short"),
    ],
)
def test_a_spoilt_chat_keeps_it_off_there_but_it_still_ships(
    measured: Drift | None, reason: str
) -> None:
    judged = verdict(BEFORE, AFTER, measured)
    assert judged.ships
    assert not judged.chat_ok
    assert any(reason in said for said in judged.chat_reasons)


def test_measurements_of_other_questions_are_refused() -> None:
    with pytest.raises(TrainingError, match="not of the same questions"):
        differences(BEFORE, AFTER[1:])


def test_the_table_shows_both_sides_the_difference_and_the_parts() -> None:
    columns = {"off": scores(BEFORE), "on": scores(AFTER)}
    lines = table(columns, differences(BEFORE, AFTER)).splitlines()
    assert lines[0].split() == ["off", "on", "difference"]
    accuracy = next(line for line in lines if line.startswith("gold answer"))
    assert "33.3 % [" in accuracy and "66.7 % [" in accuracy and "+33.3 % [" in accuracy
    assert any("kind unanswerable: abstains where it should" in line for line in lines)
    assert all(len(line) <= len(lines[0]) for line in lines)


def test_the_korean_table_lines_up_too() -> None:
    with use_language("ko"):
        lines = table({"전": scores(BEFORE), "후": scores(AFTER)}).splitlines()
    ends = {sum(1 + ("가" <= c <= "힣") for c in line) for line in lines[1:12]}
    assert len(ends) == 1
