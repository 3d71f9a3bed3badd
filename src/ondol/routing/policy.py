"""Who answers: the device, one of the owner's homes, or nobody.

Hard rules come first and fail closed: what is private stays, whatever it would gain. An answer that
reaches the threshold stays because it is sure. Of the others, home is asked when the answers it is
expected to put right are worth the wait and the energy: a cascade with a deferral rule (Chow 1970;
FrugalGPT, arXiv 2305.05176) whose threshold is chosen on labels, not fixed
(``confidence.threshold``).

Reasons are codes; ``ledger`` and the clients say them in words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ondol.types import Confidence, Decision, HomeState, Label, Route, Sensitivity, Task, Wanted

JOULES_PER_KWH = 3_600_000


@dataclass(frozen=True, slots=True)
class Values:
    """What the owner thinks things are worth, in won. ``home_accuracy`` is the share of answers
    that home is expected to get right; ``abstain_below`` the probability under which no answer is
    better than this one (0: any answer is shown)."""

    answer_krw: float = 100.0
    second_krw: float = 1.0
    kwh_krw: float = 150.0
    home_accuracy: float = 0.9
    answer_seconds: float = 10.0
    answer_tokens: int = 100
    abstain_below: float = 0.0


class RoutingPolicy:
    """Decides from a probability, a label and the state of home. ``threshold(calibrator)`` is the
    least probability at which answers may be kept at the owner's target error, ``None`` where no
    threshold meets it: then nothing is sure."""

    def __init__(
        self, threshold: Callable[[Confidence], float | None], values: Values | None = None
    ) -> None:
        self._threshold = threshold
        self._values = values or Values()

    def choose(
        self,
        confidence: Confidence | None,
        label: Label,
        home: Callable[[], HomeState | None],
        *,
        wanted: Wanted = "auto",
        task: Task = "grounded",
        answered: bool = True,
        prompt_tokens: int = 0,
    ) -> Decision:
        """``answered`` is false before the device has said anything: only ``wanted`` then sends a
        question elsewhere. ``home`` is called only where its state matters. ``prompt_tokens`` is an
        estimate of what home would have to read."""
        if wanted == "here":
            return Decision(Route.LOCAL, ("asked_here",))
        if wanted == "home":
            barred = _barred(label, home, prompt_tokens)[1]
            route = Route.LOCAL if barred else Route.HOME
            return Decision(route, ("asked_home", *barred))
        if not answered:
            return Decision(Route.LOCAL)
        if confidence is None or confidence.probability is None:
            # A number nobody has checked sends nothing out of the house.
            return Decision(Route.LOCAL, ("uncalibrated",))
        threshold = self._threshold(confidence)
        if threshold is not None and confidence.probability >= threshold:
            return Decision(Route.LOCAL, ("sure",), threshold)
        state, barred = _barred(label, home, prompt_tokens)
        return self._unsure(confidence.probability, threshold, state, barred)

    def _unsure(
        self,
        probability: float,
        threshold: float | None,
        home: HomeState | None,
        barred: tuple[str, ...],
    ) -> Decision:
        reasons: tuple[str, ...] = ("unsure",)
        reasons = reasons if threshold is not None else (*reasons, "target_infeasible")
        gain = None
        if home is not None and not barred:
            gain = self._gain(probability, home)
            if gain > 0:
                return Decision(Route.HOME, reasons, threshold, gain)
            barred = ("not_worth_asking_home",)
        nobody = probability < self._values.abstain_below
        route = Route.ABSTAIN if nobody else Route.LOCAL
        reasons += (*barred, "too_unsure") if nobody else barred
        return Decision(route, reasons, threshold, gain)

    def _gain(self, probability: float, home: HomeState) -> float:
        """What asking home is expected to be worth, in won."""
        values = self._values
        seconds = home.wait_seconds + (home.answer_seconds or values.answer_seconds)
        joules = (home.joules_per_token or 0.0) * values.answer_tokens
        put_right = (values.home_accuracy - probability) * values.answer_krw
        return put_right - seconds * values.second_krw - joules / JOULES_PER_KWH * values.kwh_krw


def _barred(
    label: Label, find_home: Callable[[], HomeState | None], prompt_tokens: int
) -> tuple[HomeState | None, tuple[str, ...]]:
    """Why home must not, or cannot, be asked. Nobody is even looked for on behalf of what stays."""
    if label.sensitivity < Sensitivity.TRUSTED:
        return None, ("private", *label.reasons)
    home = find_home()
    if home is None:
        return None, ("no_home",)
    if not home.available:
        return home, ("home_unavailable",)
    if home.num_ctx is not None and prompt_tokens > home.num_ctx:
        return home, ("home_context_too_short",)
    return home, ()
