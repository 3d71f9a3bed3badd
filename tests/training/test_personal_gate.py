"""Which measurements let an owner's adapter answer, and what each refusal says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.training import conduct, held_out
from ondol.training.closeness import chrf
from ondol.training.conduct import Conduct, Probe, Prompt, hangul_share, load_probe, mixes, refuses
from ondol.training.drift import ChatPrompt, Drift, Reply, Word
from ondol.training.evaluation import Case, Outcome
from ondol.training.held_out import HeldOut, Side
from ondol.training.personal_gate import FEWEST_GROUPS, Grounded, Measured, verdict
from ondol.training.verdict_table import table
from ondol.types import Answer, GenerateOptions, Message, Route, Seconds, Token, Usage

ASKED = (Message("user", "Hello?"),)
PROBE = Probe(
    (
        *(Prompt("harm", "harmful") for _ in range(4)),
        *(Prompt("fine", "ordinary") for _ in range(4)),
        *(Prompt("안녕", "plain", "ko") for _ in range(4)),
    ),
    ("i can't",),
)
GOOD = Conduct(PROBE, ("I can't do that.",) * 4 + ("Gladly.",) * 4 + ("안녕하세요.",) * 4)


def samples(count: int = 12, **how: object) -> list[HeldOut]:
    return [HeldOut(ASKED, "Dear Mina, yes. Yours", f"chat {i}", **how) for i in range(count)]


def drift(loss: float = 0.0, on: tuple[str, ...] = ()) -> Drift:
    words = tuple(Word(i % 3, "before", " word") for i in range(30))
    off = tuple(3.0 + (i % 5) / 10 for i in range(30))
    prompt = ChatPrompt("Hi", words=20)
    said = tuple(Reply(prompt, "a", "b", (), on) for _ in range(10))
    return Drift(words, off, tuple(o + loss for o in off), said)


def measured(gain: float = 1.0, **changes: object) -> Measured:
    """Replies that became ``gain`` nats a token likelier, and no harm."""
    found = samples()
    off = Side(tuple(-3.0 - i / 10 for i in range(12)), (None,) * 12)
    on = replace(off, wanted=tuple(one + gain for one in off.wanted))
    return replace(Measured(found, off, on, drift(), GOOD, GOOD), **changes)


def outcome(right: bool, number: int = 0) -> Outcome:
    case = Case(f"Q{number}", ("Paris",), "en", f"g{number % 9}")
    text = "Paris" if right else "Rome"
    seconds = Seconds(0.0, 0.0, 0.0)
    answer = Answer(text, (), (), None, Route.LOCAL, (), Usage(), seconds, model="m")
    return Outcome(case, answer, ())


def rows(found: object) -> dict[str, object]:
    return {row.name: row for row in found.rows}  # type: ignore[attr-defined]


def test_an_adapter_that_finds_wanted_replies_likelier_and_harms_nothing_passes():
    found = verdict(measured())
    assert found.activates and found.reasons == ()
    assert rows(found)["reply_loss"].difference.high == pytest.approx(-1.0)
    assert all(row.is_ok for row in found.rows)


@pytest.mark.parametrize("gain", [0.0, -0.2])
def test_one_that_is_the_same_or_worse_is_refused(gain):
    found = verdict(measured(gain))
    assert not found.activates and any("not better than the model" in r for r in found.reasons)
    assert any("less likely" in r for r in found.reasons) == (gain < 0)


def test_a_gain_of_one_reply_in_many_is_chance():
    base = measured(0.0)
    lucky = replace(base.on, wanted=(base.off.wanted[0] + 1.0, *base.off.wanted[1:]))
    assert not verdict(replace(base, on=lucky)).activates


def test_too_few_conversations_say_nothing_however_many_samples_they_hold():
    one_chat = [replace(one, group=f"chat {i % 4}") for i, one in enumerate(samples())]
    found = verdict(measured(samples=one_chat))
    assert not found.activates
    assert f"4, and it takes {FEWEST_GROUPS}" in found.reasons[0]


def test_pairs_decide_by_which_reply_is_the_likelier_one():
    pairs = samples(rejected="No.")
    off = Side((-3.0,) * 12, (-2.0,) * 12)
    won = verdict(measured(samples=pairs, off=off, on=Side((-3.1,) * 12, (-4.0,) * 12)))
    # Preferences may cost the chosen replies a little likelihood.
    assert won.activates and rows(won)["preferred"].after == 1.0
    lost = verdict(measured(samples=pairs, off=Side((-2.0,) * 12, (-3.0,) * 12), on=off))
    assert not lost.activates and any(
        "prefers the replies you chose less" in r for r in lost.reasons
    )
    dear = verdict(measured(samples=pairs, off=off, on=Side((-3.5,) * 12, (-4.0,) * 12)))
    assert not dear.activates


def test_thumbs_decide_where_there_are_no_pairs():
    thumbs = [replace(one, is_desirable=i % 2 == 0) for i, one in enumerate(samples())]
    off = Side((-3.0,) * 12, (None,) * 12)
    right = Side(tuple(-2.9 if i % 2 == 0 else -3.1 for i in range(12)), (None,) * 12)
    found = verdict(measured(samples=thumbs, off=off, on=right))
    assert found.activates and rows(found)["moved"].after == 1.0
    wrong = Side(tuple(-3.1 if i % 2 == 0 else -2.9 for i in range(12)), (None,) * 12)
    against = verdict(measured(samples=thumbs, off=off, on=wrong))
    assert not against.activates and any("away from your thumbs" in r for r in against.reasons)


def test_what_is_written_closer_to_the_owners_replies_wins_without_pairs():
    base = measured(0.0)
    off = replace(base.off, written=dict.fromkeys(range(12), "Hello there!"))
    on = replace(base.on, written=dict.fromkeys(range(12), "Dear Mina, no. Yours"))
    found = verdict(replace(base, off=off, on=on))
    assert found.activates and rows(found)["closer"].after == 1.0
    assert not verdict(replace(base, off=on, on=off)).activates


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"drift": drift(0.2)}, "plain text worse"),
        ({"drift": drift(on=("fact",))}, "everyday questions"),
        ({"suites": (dict.fromkeys("abcdefg", True), dict.fromkeys("abcdefg", False))}, "suites"),
        (
            {"conduct_on": replace(GOOD, replies=("Sure.",) * 8 + GOOD.replies[8:])},
            "fewer harmful requests",
        ),
        (
            {"conduct_on": replace(GOOD, replies=("I can't.",) * 8 + GOOD.replies[8:])},
            "more ordinary requests",
        ),
        (
            {"conduct_on": replace(GOOD, replies=GOOD.replies[:8] + ("Hello.",) * 4)},
            "answered in Korean",
        ),
        (
            {"conduct_on": replace(GOOD, replies=GOOD.replies[:8] + ("안녕하세요 да.",) * 4)},
            "mix scripts",
        ),
        (
            {
                "grounded": Grounded(
                    [outcome(True, i) for i in range(40)],
                    [outcome(i > 1, i) for i in range(40)],
                )
            },
            "Fewer answers from documents",
        ),
        (
            {"grounded": Grounded([outcome(True)], [outcome(True)], 0.1, 0.3)},
            "probabilities are further",
        ),
    ],
)
def test_each_harm_refuses_what_is_better_and_says_so(changes, reason):
    found = verdict(measured(**changes))
    assert not found.activates
    (said,) = found.reasons
    assert reason in said


def test_what_answers_now_keeps_its_place_before_one_that_is_worse_than_it():
    base = measured()
    worse = replace(
        base.on, wanted=tuple(w + (1 if i < 6 else -0.1) for i, w in enumerate(base.off.wanted))
    )
    found = verdict(replace(base, on=worse, now=base.on))
    assert any("What answers now does better" in reason for reason in found.reasons)
    assert verdict(replace(base, now=base.on)).activates


def test_short_replies_and_one_flip_of_a_probe_are_no_harm():
    one_flip = replace(GOOD, replies=("Sure.", *GOOD.replies[1:]))
    found = verdict(measured(drift=drift(on=("short",)), conduct_on=one_flip))
    assert found.activates


def faulty(lost: int, gained: int, same: int = 10) -> Drift:
    prompt = ChatPrompt("Hi")
    replies = [Reply(prompt, "a", "b", (), ("fact",))] * lost
    replies += [Reply(prompt, "a", "b", ("fact",), ())] * gained
    replies += [Reply(prompt, "a", "b", (), ())] * same
    return replace(drift(), replies=tuple(replies))


@pytest.mark.parametrize(
    ("lost", "gained", "passes"), [(0, 0, True), (4, 0, True), (5, 0, False), (6, 3, True)]
)
def test_facts_that_come_and_go_are_no_harm_until_they_only_go(lost, gained, passes):
    """The sign test: four of four lost are 6 % chance, five of five 3 %."""
    assert verdict(measured(drift=faulty(lost, gained))).activates == passes


def test_the_table_marks_what_speaks_against_it():
    found = verdict(measured(drift=drift(0.2)))
    lines = found.table().splitlines()
    assert [line for line in lines if "✗" in line] == [
        line for line in lines if line.startswith("loss on plain text")
    ]
    told = found.json()
    assert table(told["rows"]) == found.table()
    assert {"name", "label", "before", "after", "difference", "unit", "is_ok"} == set(
        told["rows"][0]
    )


@given(st.text(max_size=40), st.text(max_size=40))
def test_closeness_is_a_share_and_whole_only_for_the_same_letters(said, wanted):
    found = chrf(said, wanted)
    assert 0.0 <= found <= 1.0 + 1e-9
    assert (abs(found - 1.0) < 1e-9) == (said.split() == wanted.split() or _same(said, wanted))


def _same(one: str, other: str) -> bool:
    return "".join(one.split()) == "".join(other.split())


def test_closeness_of_a_small_case_is_that_worked_out_by_hand():
    """Letters 2/2 and 2/3, pairs 1/1 and 1/2, no triples: P = 1, R = 7/12, F2 = 7/11."""
    assert chrf("ab", "a bc") == pytest.approx(7 / 11)
    assert chrf("", "") == 1.0 and chrf("a", "") == 0.0


def test_a_refusal_is_one_at_the_beginning_only():
    assert refuses("I'm sorry, but I can't help.", load_probe().refusals)
    assert refuses("죄송하지만 도와드릴 수 없습니다.", load_probe().refusals)
    assert not refuses("Gladly! " + "x " * 200 + "i can't", load_probe().refusals)


def test_scripts_are_told_apart():
    assert mixes("안녕 привет", "ko") and mixes("Hello 世界", "en") and mixes("안녕", "en")
    assert not mixes("서울 Seoul 10µm", "ko") and not mixes("Café, naïve", "en")
    assert hangul_share("안녕 hi") == 0.5 and hangul_share("123") == 0.0


def test_the_probe_of_conduct_has_both_kinds_in_both_languages():
    kinds = {(prompt.kind, prompt.language) for prompt in load_probe().prompts}
    assert {(kind, lang) for kind in ("harmful", "ordinary") for lang in ("en", "ko")} <= kinds


class Says:
    """An engine that says one thing, and finds a reply likelier the shorter it is."""

    model = "m"

    def generate(self, messages: object, options: GenerateOptions) -> list[Token]:
        return [Token("hidden", reasoning=True), Token(" Gladly. ")]

    def score(self, messages: object, reply: str, options: object = None) -> list[float]:
        return [-float(len(reply))] * 3


def test_conduct_is_what_the_engine_says_aloud():
    ticks = []
    found = conduct.measure_conduct(Says(), PROBE, lambda done, total: ticks.append(done))  # type: ignore[arg-type]
    assert set(found.replies) == {"Gladly."} and ticks == list(range(1, 13))


def test_a_side_is_measured_token_by_token_and_written_where_the_reply_is_wanted():
    some = [samples(1, rejected="Never.")[0], replace(samples(1)[0], is_desirable=False)]
    side = held_out.measure(Says(), some)
    assert side.wanted == (-21.0, -21.0) and side.rejected == (-6.0, None)
    assert held_out.places_to_write(some) == [0]
    assert held_out.write(Says(), some, [0]) == {0: "Gladly."}  # type: ignore[arg-type]


def test_what_is_too_long_is_not_measured_and_the_choice_is_fixed():
    many = [replace(one, reply="x" * i) for i, one in enumerate(samples(80), start=1)]
    long = replace(many[0], reply="x" * 5000)
    assert held_out.chosen([long, *many]) == held_out.chosen(many)
    assert len(held_out.chosen(many)) == held_out.MOST_SCORED


def test_one_conversation_proves_nothing_however_much_it_gains():
    alone = measured(samples=[replace(one, group="one") for one in samples()])
    assert any("not better" in reason for reason in verdict(alone).reasons)
