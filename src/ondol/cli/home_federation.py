"""``ondol home federation``: the federations that this home coordinates."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ondol.cli.command import Group, command, complete_models, option, pass_output, words
from ondol.cli.home import home
from ondol.cli.house import house
from ondol.cli.invites import show_invite, url_of
from ondol.cli.output import Output, clean
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.home.federations import Coordination
    from ondol.home.registry import Registry

__all__ = ["home"]

F = TypeVar("F", bound=Callable[..., Any])

federation = Group("federation", help=t("federation_cli.home_help"), subcommand_metavar="COMMAND …")
home.add_command(federation)


def _option(name: str, **settings: Any) -> Callable[[F], F]:
    key = name.strip("-").replace("-", "_")
    return click.option(name, help=t(f"federation_cli.option_{key}"), show_default=True, **settings)


@command("create", federation, help=t("federation_cli.create_help"))
@click.argument("name", type=words)
@_option("--model", metavar="NAME", shell_complete=complete_models)
@_option("--task", type=click.Choice(["style", "grounding"]), default="style")
@_option("--rounds", type=click.IntRange(1, 10_000), default=5)
@_option("--min-clients", type=click.IntRange(1, 100_000), default=3)
@_option("--threshold", type=click.IntRange(2, 100_000), default=2)
@_option(
    "--strategy",
    type=click.Choice(["ffa", "rolora", "fedsb", "fedavg", "product"]),
    default="ffa",
)
@_option("--aggregation", type=click.Choice(["secure", "individual"]), default="secure")
@_option("--defence", type=click.Choice(["norm", "median", "trimmed", "krum"]), default="norm")
@_option("--r", type=click.IntRange(1, 256), default=8)
@_option("--first-layer", type=click.IntRange(0), default=None)
@_option("--local-steps", type=click.IntRange(1, 10_000), default=None)
@_option("--batch-size", type=click.IntRange(1, 1024), default=None)
@_option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), default=None)
@_option("--proximal-mu", type=click.FloatRange(0), default=0.0)
@_option("--clip-norm", type=click.FloatRange(0, min_open=True), default=None)
@_option("--noise-multiplier", type=click.FloatRange(0), default=0.0)
@_option("--example-noise", type=click.FloatRange(0), default=0.0)
@_option("--delta", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=1e-5)
@_option("--epsilon-budget", type=click.FloatRange(0), default=0.0)
@_option("--value-bits", type=click.IntRange(2, 16), default=None)
@_option("--seed", type=click.IntRange(0, 2**31), default=0)
@pass_output
def create(output: Output, /, name: str, model: str | None, **how: Any) -> None:
    from ondol.home.coordinating import plan_for

    given = {key: value for key, value in how.items() if value is not None}
    given["lora_alpha"] = 2 * how["r"]
    with house(output) as parts, _registry() as registry:
        chosen = model or parts.config["home.model"] or parts.config["models.chat"]
        made = registry.federations.create(name, plan_for(parts, chosen, **given))
    if output.json:
        output.emit(_json(registry, made, members=[]))
    else:
        output.line(
            t("federation_cli.created", name=clean(made.name), model=clean(made.plan.model))
        )
        output.note(t("federation_cli.created_hint", name=clean(made.name)))


@command("list", federation, help=t("federation_cli.list_help"))
@pass_output
def list_federations(output: Output) -> None:
    with house(output), _registry() as registry:
        found = [(one, registry.federations.members(one.id)) for one in registry.federations.all()]
        rows = [_json(registry, one, members) for one, members in found]
    if output.json:
        output.emit({"federations": rows})
        return
    if not found:
        output.note(t("federation_cli.none_here"))
        return
    columns = ("name", "state", "members", "model", "task")
    output.table(
        [t(f"federation_cli.column_{column}") for column in columns],
        [
            (
                one.name,
                t(f"federation_cli.home_{one.state}"),
                str(sum(each.is_in for each in members)),
                one.plan.model,
                one.plan.task,
            )
            for one, members in found
        ],
    )


@command("invite", federation, help=t("federation_cli.invite_help"))
@click.argument("name", type=words)
@option("--device", key="device_name", metavar="NAME", type=words, default="")
@option("--address", key="home_address", metavar="HOST[:PORT]", default="")
@pass_output
def invite(output: Output, name: str, device: str, address: str) -> None:
    from ondol.home.serving import own_certificate

    with house(output) as parts, _registry() as registry:
        one = registry.federations.get(name)
        url = url_of(address, parts)
        made = registry.invite(url, own_certificate().fingerprint, device, one.id)
    show_invite(made, device, url, output)


@command("status", federation, help=t("federation_cli.home_status_help"))
@click.argument("name", type=words)
@pass_output
def status(output: Output, name: str) -> None:
    with house(output), _registry() as registry:
        one = registry.federations.get(name)
        members, rounds = registry.federations.members(one.id), registry.federations.rounds(one.id)
        number = registry.federations.safety_number(one)
        told = _json(registry, one, members)
    if output.json:
        output.emit(told | {"safety_number": number, "rounds": rounds})
        return
    output.line(f"{clean(one.name)}: {t(f'federation_cli.home_{one.state}')}", bold=True)
    output.line("  " + t("federation_cli.safety", number=number))
    for each in members:
        state = "in" if each.is_in else "left" if each.left_at else "revoked"
        output.line(
            f"  {each.member.pseudonym}  {clean(each.name) or '–'}  "
            + t(f"federation_cli.member_{state}")
        )
    _show_rounds(rounds, output)


def _show_rounds(rounds: list[dict[str, Any]], output: Output) -> None:
    columns = ("round", "clients", "dropped", "refused", "up", "down", "epsilon", "shared")
    if rounds:
        output.table(
            [t(f"federation_cli.column_{column}") for column in columns],
            [
                (
                    str(one["number"]) + ("*" if one["rolled_back"] or one["failed"] else ""),
                    str(len(one["clients"])),
                    str(len(one["dropped"])),
                    str(len(one["refused"])),
                    f"{one['bytes_up']:,}",
                    f"{one['bytes_down']:,}",
                    f"{one['epsilon']:.2f}" if one["epsilon"] else "–",
                    "–" if one["loss_shared"] is None else f"{one['loss_shared']:.3f}",
                )
                for one in rounds
            ],
        )


@command("start", federation, help=t("federation_cli.start_help"))
@click.argument("name", type=words)
@option("--host", key="host", metavar="ADDRESS")
@option("--port", key="port", type=click.IntRange(0, 65535), metavar="N", default=0)
@_option("--rounds", type=click.IntRange(1, 10_000), default=None)
@_option("--no-canary", is_flag=True)
@pass_output
def start(
    output: Output, name: str, host: str | None, port: int, rounds: int | None, no_canary: bool
) -> None:
    from ondol.home import coordinating
    from ondol.home.serving import running

    def tell(event: str, fields: Mapping[str, Any]) -> None:
        if output.json:
            output.emit({"event": event, **fields})
        elif event == "begun":
            output.line(t("federation_cli.begun", members=fields["members"], port=fields["port"]))
        elif event == "finished":
            _show_rounds([dict(fields)], output)
            if fields.get("failed"):
                output.warn(str(fields["failed"]))
        elif event == "handed_out":
            output.line(t("federation_cli.handed_out", devices=fields["devices"]))
            if fields["away"]:
                output.note(t("federation_cli.away", count=fields["away"], name=clean(name)))
        sys.stdout.flush()

    with house(output) as parts, _registry() as registry:
        if running() is None:
            output.note(t("federation_cli.home_not_running"))
        done = coordinating.start(
            parts,
            registry.federations,
            name,
            host=host or parts.config["home.host"],
            port=port,
            rounds=rounds,
            on_event=tell,
            has_canary=not no_canary,
        )
    if not output.json:
        output.line(t("federation_cli.done", rounds=len(done)))


@command("stop", federation, help=t("federation_cli.stop_help"))
@click.argument("name", type=words)
@pass_output
def stop(output: Output, name: str) -> None:
    with house(output), _registry() as registry:
        one = registry.federations.get(name)
        registry.federations.end(one.id, "stopped")
    if output.json:
        output.emit({"name": one.name, "state": "stopped"})
    else:
        output.line(t("federation_cli.stopped", name=clean(one.name)))


@command("remove", federation, help=t("federation_cli.remove_help"))
@click.argument("name", type=words)
@pass_output
def remove(output: Output, name: str) -> None:
    from ondol.home import coordinating

    with house(output), _registry() as registry:
        one = registry.federations.get(name)
        registry.federations.remove(one.id)
        coordinating.erase(one.id)
    if output.json:
        output.emit({"name": one.name, "removed": True})
    else:
        output.line(t("federation_cli.removed", name=clean(one.name)))


def _json(registry: Registry, one: Coordination, members: list[Any]) -> dict[str, Any]:
    return one.json() | {"members": [each.json() for each in members]}


@contextmanager
def _registry() -> Iterator[Registry]:
    from ondol import database, paths
    from ondol.home.registry import Registry

    with closing(database.connect(paths.database_file())) as connection:
        yield Registry(connection)
