"""``ondol report``: a month in numbers: who answered, what left, energy, and money."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.ledger.report import Report

ROUTES = ("local", "home", "abstain")


def _month(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[datetime, datetime]:
    """The month "2026-11", by default this one; in the zone of who types it."""
    from ondol.ledger.report import month_of

    if value is None:
        return month_of(datetime.now().astimezone())
    try:
        return month_of(datetime.strptime(value, "%Y-%m").astimezone())
    except (ValueError, OverflowError) as error:
        raise UsageError(t("ledger.bad_month", value=value[:80])) from error


@command("report")
@option("--month", "months", key="month", metavar="YYYY-MM", callback=_month)
@pass_output
def report(output: Output, months: tuple[datetime, datetime]) -> None:
    from ondol.ledger.cost import Pricing
    from ondol.ledger.report import report as sum_up

    with house(output) as parts:
        made = sum_up(parts.ledger, Pricing.from_config(parts.config), *months)
    if output.json:
        output.emit(made.json())
        return
    output.line(t("ledger.report_title", month=months[0].strftime("%Y-%m")), bold=True)
    for line in lines(made):
        output.line(line)


def lines(made: Report) -> Iterator[str]:
    """A report in words. Measured and estimated energy have lines of their own."""
    from ondol.ledger.explanation import energy, money

    rate = made.pricing.krw_per_usd
    if not made.num_answers:
        yield t("ledger.report_none")
    else:
        by_route = ", ".join(
            t(f"ledger.report_{name}", count=made.answers[name])
            for name in ROUTES
            if name in made.answers
        )
        yield t("ledger.report_answers", count=made.num_answers, routes=by_route)
        yield t("ledger.report_share", percent=f"{100 * (made.share_here or 0):.1f}")
    sent = [
        t("ledger.report_purpose", purpose=p, bytes=f"{b:,}") for p, b in made.bytes_out.items()
    ]
    total = f"{sum(made.bytes_out.values()):,}"
    yield t("ledger.report_bytes", bytes=total, purposes=f" ({', '.join(sent)})" if sent else "")
    if made.refused:
        yield t("ledger.report_refused", count=made.refused)
    if not made.num_answers:
        return
    tokens = {"prompt": f"{made.prompt_tokens:,}", "completion": f"{made.completion_tokens:,}"}
    yield t("ledger.report_tokens", **tokens)
    for source, joules in made.joules.items():
        yield t("ledger.energy", energy=energy(joules, source))
    if made.unmeasured:
        yield t("ledger.report_unmeasured", count=made.unmeasured)
    here = made.here_krw
    yield t("ledger.report_here", krw=money(here), usd=money(here / rate))
    if made.cloud_models:
        yield t(
            "ledger.report_cloud",
            models=", ".join(made.cloud_models),
            krw=money(made.cloud_krw),
            usd=money(made.cloud_usd),
        )
        yield _break_even(made)


def _break_even(made: Report) -> str:
    if not made.pricing.hardware_price_krw:
        return t("ledger.report_no_hardware")
    months = made.break_even_months
    if months is None:
        return t("ledger.report_never")
    return t("ledger.report_break_even", months=f"{months:,.1f}")
