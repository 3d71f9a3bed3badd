"""``ondol federation``: the federations that this device takes part in."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ondol.cli.command import Group, command, option, pass_output, words
from ondol.cli.federation_shown import drawn, show_standing
from ondol.cli.federation_simulate import simulate
from ondol.cli.house import house
from ondol.cli.joining import show_promises
from ondol.cli.output import Output, clean
from ondol.errors import OndolError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.household.federations import Federation
    from ondol.household.taking_part import Standing
    from ondol.parts import Parts

F = TypeVar("F", bound=Callable[..., Any])

federation = Group("federation", help=t("cli.federation_help"), subcommand_metavar="COMMAND …")
federation.add_command(simulate)


def _name(function: F) -> F:
    """Its name or id; where there is only one, none is needed."""
    return click.argument("name", type=words, required=False, default="")(function)


@command("status", federation, help=t("federation_cli.status_help"))
@_name
@click.option("--check", is_flag=True, help=t("federation_cli.option_check"))
@pass_output
def status(output: Output, name: str, check: bool) -> None:
    from ondol.household import readiness
    from ondol.household.federations import Federations

    with house(output) as parts, Federations.open() as kept:
        found = [kept.get(name)] if name else kept.all()
        told = []
        for id in [one.id for one in found]:
            failure = _heard(parts, id)
            one = kept.get(id)
            second = _second_opinion(one) if check else None
            told.append((one, kept.rounds(id), readiness.of(parts, one), failure, second))
    if output.json:
        rows = [
            one.json()
            | {"rounds": [each.json() for each in rounds], "readiness": ready.json()}
            | {"failure": failure, "second_opinion": second}
            for one, rounds, ready, failure, second in told
        ]
        output.emit({"federations": rows})
        return
    if not told:
        output.note(f"{t('household.none')} {t('household.none_hint')}")
    for one, rounds, ready, failure, second in told:
        show_standing(one, rounds, output)
        if second:
            epsilon = f"{second['dp_accounting']:.3f}"
            output.line("  " + t("federation_cli.second_opinion", epsilon=epsilon))
        for sentence in ready.told:
            output.line(f"  {sentence}")
        if failure:
            output.warn(f"  {failure}")


def _second_opinion(one: Federation) -> dict[str, Any] | None:
    """What another library reckons of the same rounds; None where nothing was spent."""
    from ondol.federated.coordinating.contributions import Contributions
    from ondol.federated.privacy import second_opinion
    from ondol.household.leaving import folder

    kept = Contributions(folder(one.id))
    length = kept.length()
    if not one.plan.noise_multiplier or length is None:
        return None
    return second_opinion.ask(kept.spending(one.plan, length))


def _heard(parts: Parts, id: str) -> str:
    """Ask home; why that came to nothing."""
    from ondol.household import joining

    try:
        joining.sync(parts, id)
    except OndolError as error:
        return error.message
    return ""


@command("preview", federation, help=t("federation_cli.preview_help"))
@_name
@pass_output
def preview(output: Output, name: str) -> None:
    from ondol.household.federations import Federations
    from ondol.household.preview import preview as look_ahead

    with house(output) as parts:
        with Federations.open() as kept:
            id = kept.get(name).id
        failure = _heard(parts, id)  # who has joined since
        found = look_ahead(parts, id)
    if output.json:
        output.emit(found.json())
        return
    for each in found.sources:
        output.line(f"{clean(str(each['name']))}: {each['num_examples']}")
    output.line(
        t(
            "federation_cli.would_send",
            examples=found.num_examples,
            length=f"{found.length:,}",
            bits=found.bits,
            up=f"{found.bytes_up:,}",
            down=f"{found.bytes_down:,}",
        )
    )
    output.line(t("federation_cli.histogram_encoded") + drawn(found.encoded.counts))
    output.line(t("federation_cli.histogram_sent") + drawn(found.sent.counts))
    show_promises(found.promises, output)
    output.note(t("federation_cli.safety", number=found.federation.safety_number))
    if failure:
        output.warn(failure)


@command("consent", federation, help=t("federation_cli.consent_help"))
@_name
@click.option("--source", "sources", metavar="ID", multiple=True, help=t("federation_cli.source"))
@click.option("--folder", "folders", metavar="PATH", multiple=True, help=t("federation_cli.folder"))
@click.option("--none", "is_none", is_flag=True, help=t("federation_cli.option_none"))
@pass_output
def consent(
    output: Output, name: str, sources: tuple[str, ...], folders: tuple[str, ...], is_none: bool
) -> None:
    from ondol.household import consent as consents

    if is_none and (sources or folders):
        raise UsageError(t("federation_cli.none_or_some"), param="none")
    with house(output) as parts:
        if sources or folders or is_none:
            consents.give(parts, name, sources, folders)
        found = consents.sources(parts, name)
    if output.json:
        output.emit({"sources": found})
        return
    columns = ("teaches", "id", "kind", "name", "examples", "since")
    output.table(
        [t(f"federation_cli.column_{column}") for column in columns],
        [
            (
                t("federation_cli.yes" if one["is_agreed"] else "federation_cli.no"),
                str(one["id"])[:8] if one["kind"] != "folder" else str(one["id"]),
                t(f"federation_cli.kind_{one['kind']}"),
                str(one["name"]),
                str(one["num_examples"]),
                str(one["consented_at"] or "–")[:10],
            )
            for one in found
        ],
    )


@command("pause", federation, help=t("federation_cli.pause_help"))
@_name
@pass_output
def pause(output: Output, name: str) -> None:
    from ondol.household import taking_part

    with house(output) as parts:
        one = taking_part.pause(parts, name)
    _say(one, "federation_cli.paused", output)


@command("resume", federation, help=t("federation_cli.resume_help"))
@_name
@pass_output
def resume(output: Output, name: str) -> None:
    from ondol.household import taking_part

    with house(output) as parts:
        one = taking_part.resume(parts, name)
    _say(one, "federation_cli.resumed", output)


def _say(one: Federation, key: str, output: Output) -> None:
    if output.json:
        output.emit(one.json())
    elif one.state == "ended":
        output.line(t("household.not_ended"))
    else:
        output.line(t(key, name=clean(one.name)))


@command("leave", federation, help=t("federation_cli.leave_help"))
@_name
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def leave(output: Output, name: str, is_sure: bool) -> None:
    from ondol.household import leaving
    from ondol.household.federations import Federations

    with house(output) as parts:
        with Federations.open() as kept:
            one = kept.get(name)
        if not is_sure and sys.stdin.isatty() and not output.json:
            click.confirm(t("federation_cli.leave_sure", name=clean(one.name)), abort=True)
        receipt = leaving.leave(parts, one.id)
    if output.json:
        output.emit(receipt.json())
        return
    output.line(t("federation_cli.left", name=clean(receipt.name)))
    for adapter in receipt.adapters:
        output.line("  " + t("federation_cli.erased", adapter=clean(adapter)))
    for told in receipt.words:
        output.note(told)


@command("run", federation, help=t("federation_cli.run_help"))
@click.option(
    "--look-seconds",
    type=click.FloatRange(0.5, 3600),
    default=20.0,
    show_default=True,
    help=t("federation_cli.option_look_seconds"),
)
@pass_output
def run(output: Output, look_seconds: float) -> None:
    from ondol.household.federations import Federations
    from ondol.household.taking_part import TakingPart

    with house(output) as parts:
        with Federations.open() as kept:
            if not kept.all():
                kept.get()  # says how to join one
        taking = TakingPart(
            parts,
            lambda now: _tell(now, output),
            look_seconds=look_seconds,
            longest_seconds=look_seconds,
        )
        ended = threading.Event()
        taking.start()
        try:
            while not ended.wait(3600):
                pass
        finally:
            taking.close()


def _tell(now: Standing, output: Output) -> None:
    if output.json:
        output.emit({name: getattr(now, name) for name in now.__dataclass_fields__})
    else:
        words = [t(f"federation_cli.home_{now.home_state}")] if now.home_state else []
        words += [t(f"federation_cli.link_{now.link}")] if now.link else []
        words += [now.failure] if now.failure else []
        output.line(clean(f"{now.name}: {' '.join(words)}"))
    sys.stdout.flush()


@command("setup", federation, help=t("federation_cli.setup_help"))
@click.option("--ray", is_flag=True, help=t("federation_cli.option_ray"))
@pass_output
def setup(output: Output, ray: bool) -> None:
    from ondol.federated.flower import environment
    from ondol.models.sources.pypi import check_door

    with house(output) as parts:

        def may_reach() -> None:
            check_door(parts.egress, os.environ)
            output.note(t("federation_cli.setting_up"))

        made = environment.make(may_reach, ray=ray)
    if output.json:
        output.emit({"python": str(made)})
    else:
        output.line(t("federation_cli.set_up"))
