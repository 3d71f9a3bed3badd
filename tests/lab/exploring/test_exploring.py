"""Cuts, entropies, diversity, likeness: the arithmetic of the lab, without an engine."""

from __future__ import annotations

import math
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.engine.scripted import ScriptedEngine
from ondol.lab.exploring.determinism import Check, Finding, Likeness, Said, likeness, summary
from ondol.lab.exploring.diversity import diversity, same
from ondol.lab.exploring.sampler import Shape, entropy_bits, spread
from ondol.lab.exploring.watching import Sample, totals
from ondol.types import Alternative, Message

SHAPES = st.builds(
    Shape,
    st.floats(0, 2),
    st.integers(0, 40),
    st.floats(0, 1),
    st.floats(0, 1),
)


@st.composite
def distributions(draw: st.DrawFn) -> list[Alternative]:
    logits = draw(st.lists(st.floats(-12, 12), min_size=1, max_size=30, unique=True))
    total = math.log(sum(map(math.exp, logits)))
    return [Alternative(f"t{n}", logit - total) for n, logit in enumerate(logits)]


def top(*shares: float) -> list[Alternative]:
    return [Alternative(f"t{n}", math.log(share)) for n, share in enumerate(shares)]


def cuts(found: list[Alternative], shape: Shape) -> list[str]:
    return [row.cut for row in spread(found, shape, len(found)).rows]


@given(distributions(), SHAPES)
def test_what_is_left_is_a_distribution_over_the_likeliest(
    found: list[Alternative], shape: Shape
) -> None:
    result = spread(found, shape, len(found))
    assert result.is_whole
    assert [row.logprob for row in result.rows] == sorted((a.logprob for a in found), reverse=True)
    assert sum(row.after for row in result.rows) == pytest.approx(1)
    flags = [bool(row.cut) for row in result.rows]
    assert flags == sorted(flags) and not flags[0]
    assert result.kept == flags.count(False)
    assert all(row.after == 0 for row in result.rows if row.cut)


@given(distributions(), SHAPES, st.integers(1, 29))
def test_fewer_alternatives_never_tell_otherwise(
    found: list[Alternative], shape: Shape, size: int
) -> None:
    likeliest = sorted(found, key=lambda one: -one.logprob)
    part = spread(likeliest[:size], shape, len(found))
    whole = spread(found, shape, len(found))
    if part.is_whole:
        assert part.kept == whole.kept
        for one, other in zip(part.rows, whole.rows, strict=False):
            assert one.after == pytest.approx(other.after, abs=1e-9)
    elif shape.top_k <= size:
        assert part.kept <= whole.kept


@given(distributions(), st.integers(1, 30))
def test_entropy_lies_between_its_bounds(found: list[Alternative], size: int) -> None:
    likeliest = sorted(found, key=lambda one: -one.logprob)
    exact, _ = entropy_bits(found, len(found))
    low, high = entropy_bits(likeliest[:size], len(found))
    assert low - 1e-4 <= exact <= high + 1e-4


def test_each_of_them_cuts_what_the_one_before_has_left() -> None:
    found = top(0.4, 0.3, 0.2, 0.06, 0.04)
    assert cuts(found, Shape(1, 0, 1, 0)) == [""] * 5
    assert cuts(found, Shape(1, 2, 1, 0)) == ["", "", "top_k", "top_k", "top_k"]
    assert cuts(found, Shape(1, 0, 0.75, 0)) == ["", "", "", "top_p", "top_p"]
    # Of the two that top-k left the first alone has 57 %.
    assert cuts(found, Shape(1, 2, 0.55, 0))[:2] == ["", "top_p"]
    assert cuts(found, Shape(1, 0, 1, 0.5)) == ["", "", "", "min_p", "min_p"]


def test_temperature_comes_last_and_evens_out_what_is_left() -> None:
    found = top(0.4, 0.3, 0.2, 0.06, 0.04)
    cold, hot = (spread(found, Shape(heat, 3, 1, 0), 5).rows for heat in (0.5, 2.0))
    assert cold[0].after == pytest.approx(0.16 / 0.29)
    assert hot[0].after < cold[0].after
    assert spread(found, Shape(0, 3, 1, 0), 5).rows[0].after == 1


def test_entropy_of_a_coin_is_one_bit() -> None:
    assert entropy_bits(top(0.5, 0.5), 2) == pytest.approx((1, 1))
    low, high = entropy_bits(top(0.5), 1025)
    # All the rest on one more token at least, on all the others alike at most.
    assert (low, high) == pytest.approx((1, 0.5 + 0.5 * 11))


def test_what_an_engine_tells_nothing_of_is_text_alone() -> None:
    engine = ScriptedEngine(["Warm floors."])
    sample = Sample(Shape(), 1, 100)
    steps = list(sample.steps(engine.generate([Message("user", "x")], sample.options(9))))
    assert [step.json() for step in steps] == [
        {"text": "Warm", "logprob": None},
        {"text": " floors.", "logprob": None},
    ]
    assert totals([step.json() for step in steps]) == {"tokens": 2}


def test_steps_say_how_sure_the_model_was() -> None:
    engine = ScriptedEngine(["Warm floors."])
    sample = Sample(Shape(1, 0, 1, 0), 1, 100, shown=2)
    start = sample.watching(lambda given: engine.generate([Message("user", "x")], given))
    steps = [step.json() for step in sample.steps(start(sample.options(9)))]
    assert [step["rank"] for step in steps] == [1, 1]
    assert all(len(step["alternatives"]) == 2 for step in steps)
    told = totals(steps)
    assert told["tokens"] == 2 and 0.5 < told["mean_probability"] < 1
    assert told["perplexity"] == pytest.approx(1 / told["mean_probability"], rel=0.01)
    assert sample.finish_reason == "stop" and sample.json()["text"] == "Warm floors."


def test_what_is_as_good_as_impossible_leaves_numbers() -> None:
    told = totals([{"logprob": -3.4e38, "entropy_bits": [0.0, 0.0], "rank": None}])
    assert 0 <= told["mean_probability"] < 1e-9 and math.isfinite(told["perplexity"])


def test_same_texts_are_one_cluster_and_nothing_new() -> None:
    found = diversity(["Paris.", "paris", "The Paris!"])
    assert found.clusters == ((0, 1, 2),)
    assert (found.agreement, found.entropy_bits) == (1, 0)
    alike = diversity(["It is warm here today"] * 3)
    assert alike.self_bleu == pytest.approx(1)
    assert alike.distinct[0] == pytest.approx(1 / 3)


def test_other_texts_are_clusters_of_their_own() -> None:
    found = diversity(["Paris", "London", "Paris!", "Rome"])
    assert found.clusters == ((0, 2), (1,), (3,))
    assert found.agreement == 0.5
    assert found.entropy_bits == pytest.approx(1.5)
    assert diversity(["one two three", "four five six"]).self_bleu < 0.1
    assert diversity(["one"]).agreement == 1
    assert diversity([]).agreement == 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("The capital is Paris.", "the capital is paris", True),
        ("It was built in 1913.", "It was built in 1931.", False),
        ("수도는 서울입니다.", "수도는 서울입니다", True),
        ("수도는 서울입니다.", "바닥이 따뜻해요", False),
    ],
)
def test_same_meaning_is_what_the_words_show(one: str, other: str, is_same: bool) -> None:
    assert same(one, other) is is_same


def test_likeness_says_where_two_answers_part() -> None:
    first = Said(("a", "b", "c"), (-1.0, -2.0, -3.0))
    assert likeness(first, first).is_exact
    moved = likeness(first, Said(("a", "b", "c"), (-1.0, -2.25, -3.0)))
    assert (moved.differs_at, moved.largest, moved.is_exact) == (None, 0.25, False)
    parted = likeness(first, Said(("a", "x"), (-1.5, -9.0)))
    assert (parted.differs_at, parted.largest) == (1, 0.5)
    assert likeness(first, Said(("a", "b"), (-1.0, -2.0))).differs_at == 2


def test_conditions_are_sorted_by_what_they_leave() -> None:
    exact, text, other = Likeness(None, 0.0), Likeness(None, 0.1), Likeness(3, 0.1)
    findings = [
        Finding("again", exact, exact),
        Finding("threads", exact, text, 1),
        Finding("parallel", other, exact),
        Finding("seed", exact, other),
    ]
    assert summary(findings) == {"exact": ["again"], "text": ["threads"], "neither": ["parallel"]}


def test_every_condition_is_tried_in_a_process_of_its_own() -> None:
    opened: list[tuple[dict[str, int], int]] = []

    class Engine(ScriptedEngine):
        def apply_template(self, messages):  # type: ignore[no-untyped-def]
            return messages[0].content

    @contextmanager
    def opening(changes, parallel):  # type: ignore[no-untyped-def]
        opened.append((dict(changes), parallel))
        yield Engine()

    findings = list(Check(opening, "What is warm?", threads=2).run())
    named = [one.condition for one in findings]
    assert named == ["cached", "again", "seed", "restart", "threads", "batch", "parallel"]
    assert [parallel for _, parallel in opened] == [1, 1, 1, 1, 2]
    assert opened[2][0] == {"threads": 1, "batch_threads": 1}
    assert all(one.greedy.is_exact for one in findings)
    assert findings[0].json()["greedy"]["is_same_text"]
    alone = Check(opening, "What is warm?", threads=1).run()
    assert "threads" not in [one.condition for one in alone]
