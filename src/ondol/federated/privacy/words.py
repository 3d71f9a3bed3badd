"""What a federation's privacy is worth, in sentences for whoever is asked to join."""

from __future__ import annotations

import math
from dataclasses import replace

from ondol.federated.plan import Plan
from ondol.federated.privacy.examples import example_epsilon
from ondol.federated.privacy.shares import fewest_shares, whole_deviation
from ondol.federated.privacy.spending import Accountant, noise_for
from ondol.i18n import t

TYPICAL_DIMENSION = 100_000
"""Numbers in an update of a small adapter, where nobody knows yet."""
USUAL = 8.0
"""The epsilon that is spoken of where a plan has none."""
STRONG, WEAK = 1.0, 10.0
"""Up to the first protection is strong, up to the second reasonable: Ponomareva et al. 2023,
arXiv:2303.00654, section 5.2."""


def plain_words(
    plan: Plan,
    num_clients: int,
    dimension: int = TYPICAL_DIMENSION,
    num_examples: int | None = None,
) -> list[str]:
    """Sentences, the most important first: what protects, how far, and what does not.
    ``num_examples`` is the device's own number of samples, if that is known."""
    said = [_who_sees(plan, num_clients)]
    if plan.noise_multiplier > 0:
        said += _bounded(plan, num_clients, dimension)
    else:
        said += _unbounded(plan, num_clients, dimension)
    if plan.example_noise > 0:
        said += _examples(plan, num_examples)
    return [*said, t("federated_words.taking_part")]


def drowning(plan: Plan, num_clients: int, dimension: int) -> float:
    """How many times as long as all updates together, each at the clip norm and all in the same
    direction, the noise of one round is. Above 1 hardly anything is learned in a round."""
    return whole_deviation(plan, num_clients) * math.sqrt(dimension) / num_clients


def _who_sees(plan: Plan, num_clients: int) -> str:
    if plan.aggregation == "individual":
        return t("federated_words.sees_each")
    return t("federated_words.sees_sums", fewest=fewest_shares(plan, num_clients))


def _bounded(plan: Plan, num_clients: int, dimension: int) -> list[str]:
    accountant = Accountant(plan, dimension)
    whole = accountant.ahead(plan.rounds, num_clients)
    said = [
        t(
            "federated_words.epsilon",
            epsilon=rounded(whole.epsilon),
            delta=f"{plan.delta:g}",
            rounds=plan.rounds,
        ),
        _worth(whole.epsilon, plan.delta),
    ]
    if (times := drowning(plan, num_clients, dimension)) > 1:
        said.append(t("federated_words.drowned", times=_times(times)))
    fewest = fewest_shares(plan, num_clients)
    if fewest > 1:
        alone = accountant.ahead(plan.rounds, num_clients, colluding=fewest - 1)
        said.append(t("federated_words.together", epsilon=rounded(alone.epsilon)))
    if plan.delta * num_clients >= 1:
        said.append(t("federated_words.delta", delta=f"{plan.delta:g}", num_clients=num_clients))
    return said


def _unbounded(plan: Plan, num_clients: int, dimension: int) -> list[str]:
    said = [t("federated_words.no_noise")]
    needed = noise_for(plan, USUAL, plan.rounds, dimension)
    noisy = replace(plan, noise_multiplier=needed)
    if (times := drowning(noisy, num_clients, dimension)) > 1:
        said.append(t("federated_words.small", num_clients=num_clients, times=_times(times)))
    if plan.aggregation == "secure":
        said.append(t("federated_words.all_others"))
    return said


def _worth(epsilon: float, delta: float) -> str:
    """What the best guess is worth of somebody to whom both answers were as likely before, to the
    question whether the device sent what it learned, or nothing: right with probability at most
    (e**epsilon + delta) / (e**epsilon + 1) (Kairouz, Oh and Viswanath 2015, arXiv:1311.0776)."""
    odds = 1 - (1 - delta) / (math.exp(min(epsilon, 700)) + 1)
    percent = math.ceil(1000 * odds) / 10
    if epsilon <= STRONG:
        return t("federated_words.strong", percent=f"{percent:g}")
    if epsilon <= WEAK:
        return t("federated_words.some", percent=f"{percent:g}")
    return t("federated_words.weak")


def _examples(plan: Plan, num_examples: int | None) -> list[str]:
    said = [t("federated_words.examples")]
    if num_examples:
        spent = example_epsilon(plan, num_examples, plan.rounds)
        said.append(
            t(
                "federated_words.examples_epsilon",
                epsilon=rounded(spent.epsilon),
                delta=f"{spent.delta:.2g}",
                num_examples=num_examples,
            )
        )
    return said


def rounded(epsilon: float) -> str:
    """Upwards, to two digits or one place behind the point: less is never said than was spent."""
    if not math.isfinite(epsilon):
        return "∞"
    return f"{math.ceil(10 * epsilon) / 10:g}" if epsilon < 100 else f"{math.ceil(epsilon)}"


def _times(times: float) -> str:
    return f"{times:.1f}" if times < 10 else f"{times:.0f}"
