"""How a federation and its rounds are shown in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ondol.cli.output import Output, clean
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.household.federations import Federation, Round

BARS = " ▁▂▃▄▅▆▇█"


def show_standing(one: Federation, rounds: list[Round], output: Output) -> None:
    """How it stands with a federation, and its rounds."""
    state = t(f"federation_cli.state_{one.state}")
    output.line(f"{clean(one.name)}: {state}", bold=True)
    output.line(
        "  " + t("federation_cli.members", count=len(one.members), pseudonym=one.me.pseudonym)
    )
    output.line("  " + t("federation_cli.safety", number=one.safety_number))
    if one.epsilon is not None:
        budget = f"{one.plan.epsilon_budget:g}" if one.plan.epsilon_budget else "–"
        output.line(
            "  "
            + t(
                "federation_cli.spent",
                spent=f"{one.epsilon:.2f}",
                delta=f"{one.plan.delta:g}",
                budget=budget,
            )
        )
    if one.adapter:
        output.line("  " + t("federation_cli.in_use", adapter=clean(one.adapter)))
    elif one.verdict:
        reasons = " ".join(map(str, one.verdict.get("reasons") or ()))
        output.line("  " + t("federation_cli.not_in_use", reasons=clean(reasons)))
    if rounds:
        show_rounds(rounds, output)


def show_rounds(rounds: list[Round], output: Output) -> None:
    """A line for each."""
    columns = ("round", "clients", "mine", "sent", "epsilon", "shared", "before", "after")
    output.table(
        [t(f"federation_cli.column_{name}") for name in columns],
        [
            (
                str(each.number) + ("*" if each.record.get("rolled_back") else ""),
                # Home tells of a round when it is over.
                str(len(each.record["clients"])) if "clients" in each.record else "–",
                t("federation_cli.yes" if each.took_part else "federation_cli.no"),
                f"{each.bytes_up:,}",
                _number(each.record.get("epsilon") or None),
                _number(each.record.get("loss_shared")),
                _number(each.loss_before),
                _number(each.loss_after),
            )
            for each in rounds
        ],
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def drawn(counts: tuple[int, ...]) -> str:
    """A histogram in one line."""
    most = max(counts) or 1
    return "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts)
