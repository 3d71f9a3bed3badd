"""Who answers: hard rules first, then what is sure, then what home is worth."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ondol.routing.policy import RoutingPolicy, Values
from ondol.types import Confidence, Decision, HomeState, Label, Route, Sensitivity

HOME = HomeState("attic", "qwen3:32b", available=True, answer_seconds=2.0)
TRUSTED = Label(Sensitivity.TRUSTED)
PRIVATE = Label(Sensitivity.PRIVATE, ("document", "personal_data:card"))


def at_home() -> HomeState:
    return HOME


def policy(threshold: float | None = 0.8, **values: float) -> RoutingPolicy:
    return RoutingPolicy(lambda _: threshold, replace(Values(), **values))


def choose(
    probability: float | None,
    label: Label = TRUSTED,
    home: HomeState | None = HOME,
    threshold: float | None = 0.8,
    **how: object,
) -> Decision:
    return policy(threshold).choose(Confidence(probability), label, lambda: home, **how)  # type: ignore[arg-type]


def test_sure_answer_stays() -> None:
    assert choose(0.8) == Decision(Route.LOCAL, ("sure",), 0.8)


def test_unsure_answer_goes_home_with_what_that_is_worth() -> None:
    decision = choose(0.3)
    assert (decision.route, decision.reasons) == (Route.HOME, ("unsure",))
    assert decision.gain == pytest.approx((0.9 - 0.3) * 100 - 2)


def test_private_stays_however_unsure_and_says_what_keeps_it() -> None:
    decision = choose(0.01, PRIVATE)
    assert decision.route is Route.LOCAL
    assert decision.reasons == ("unsure", "private", "document", "personal_data:card")


def test_nobody_looks_for_a_home_on_behalf_of_what_stays() -> None:
    def look() -> HomeState:
        raise AssertionError("home was looked for")

    for confidence in (Confidence(0.01), Confidence(0.99), None):
        for wanted in ("auto", "home", "here"):
            policy().choose(confidence, PRIVATE, look, wanted=wanted)  # type: ignore[arg-type]
    policy().choose(Confidence(0.99), TRUSTED, look)
    policy().choose(None, TRUSTED, look, answered=False)


def test_private_stays_even_if_home_is_asked_for() -> None:
    decision = policy().choose(None, PRIVATE, at_home, wanted="home", answered=False)
    assert decision.route is Route.LOCAL
    assert decision.reasons == ("asked_home", "private", "document", "personal_data:card")


def test_home_is_asked_at_once_when_wanted() -> None:
    decision = policy().choose(None, TRUSTED, at_home, wanted="home", answered=False)
    assert decision == Decision(Route.HOME, ("asked_home",))


def test_nothing_is_sent_before_the_device_has_answered() -> None:
    assert policy().choose(None, TRUSTED, at_home, answered=False).route is Route.LOCAL


def test_here_means_here() -> None:
    assert choose(0.01, wanted="here") == Decision(Route.LOCAL, ("asked_here",))


def test_uncalibrated_model_is_never_the_reason_to_send_anything() -> None:
    assert choose(None) == Decision(Route.LOCAL, ("uncalibrated",))
    assert policy().choose(None, TRUSTED, at_home) == Decision(Route.LOCAL, ("uncalibrated",))


def test_target_that_no_threshold_meets_makes_nothing_sure() -> None:
    assert choose(0.85, threshold=None).reasons == ("unsure", "target_infeasible")
    assert choose(0.85, threshold=None).route is Route.HOME
    assert choose(0.99, threshold=None).reasons[-1] == "not_worth_asking_home"


@pytest.mark.parametrize(
    ("home", "reasons"),
    [
        (None, ("unsure", "no_home")),
        (replace(HOME, available=False), ("unsure", "home_unavailable")),
    ],
)
def test_without_a_home_the_answer_stays_and_is_called_unsure(
    home: HomeState | None, reasons: tuple[str, ...]
) -> None:
    decision = choose(0.1, home=home)
    assert (decision.route, decision.reasons) == (Route.LOCAL, reasons)


def test_prompt_longer_than_homes_context_stays() -> None:
    decision = policy().choose(
        Confidence(0.1), TRUSTED, lambda: replace(HOME, num_ctx=1000), prompt_tokens=1001
    )
    assert decision.reasons == ("unsure", "home_context_too_short")


def test_long_queue_is_not_worth_a_small_doubt() -> None:
    assert choose(0.7).route is Route.HOME
    busy = replace(HOME, wait_seconds=30)
    assert choose(0.7, home=busy).reasons == ("unsure", "not_worth_asking_home")
    assert choose(0.1, home=busy).route is Route.HOME


def test_energy_counts() -> None:
    hungry = replace(HOME, joules_per_token=30_000.0)
    assert choose(0.3, home=hungry).route is Route.LOCAL


def test_owner_may_want_no_answer_rather_than_a_bad_one() -> None:
    strict = policy(abstain_below=0.2)
    decision = strict.choose(Confidence(0.1), PRIVATE, at_home)
    assert decision.route is Route.ABSTAIN
    assert decision.reasons[-1] == "too_unsure"
    assert strict.choose(Confidence(0.3), PRIVATE, at_home).route is Route.LOCAL


probabilities = st.none() | st.floats(0, 1)
homes = st.none() | st.builds(
    HomeState,
    name=st.just("attic"),
    model=st.just("m"),
    available=st.booleans(),
    wait_seconds=st.floats(0, 1e4),
    answer_seconds=st.none() | st.floats(0, 1e4),
    num_ctx=st.none() | st.integers(0, 10_000),
)


@given(
    probabilities,
    homes,
    st.sampled_from(["auto", "here", "home"]),
    st.booleans(),
    st.none() | st.floats(0, 1),
    st.integers(0, 10_000),
)
def test_no_state_of_the_world_sends_what_is_private(
    probability: float | None,
    home: HomeState | None,
    wanted: str,
    answered: bool,
    threshold: float | None,
    prompt_tokens: int,
) -> None:
    decision = policy(threshold).choose(
        Confidence(probability),
        PRIVATE,
        lambda: home,
        wanted=wanted,  # type: ignore[arg-type]
        answered=answered,
        prompt_tokens=prompt_tokens,
    )
    assert decision.route is not Route.HOME


@given(probabilities, st.sampled_from(["auto", "here", "home"]), st.booleans())
def test_without_a_home_nothing_is_sent(
    probability: float | None, wanted: str, answered: bool
) -> None:
    decision = policy().choose(
        Confidence(probability),
        TRUSTED,
        lambda: None,
        wanted=wanted,
        answered=answered,  # type: ignore[arg-type]
    )
    assert decision.route is not Route.HOME


@given(st.floats(0, 1), st.floats(0, 1))
def test_less_sure_is_never_kept_where_surer_is_sent(one: float, other: float) -> None:
    lower, higher = sorted((one, other))
    if choose(higher).route is Route.HOME:
        assert choose(lower).route is Route.HOME
