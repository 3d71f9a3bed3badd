"""``ondol home``: be the home of other devices, or join one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import Group, command, model_option, option, output_of, pass_output, words
from ondol.cli.house import house, keep_log
from ondol.cli.invites import show_invite, url_of
from ondol.cli.output import Output, clean, name_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.home.registry import Registry
    from ondol.home.serving import Address

SHORT_KEY = 12
NOTABLE_SECONDS = 5.0


@click.pass_context
def _home(context: click.Context, host: str | None, port: int | None, model: str | None) -> None:
    if context.invoked_subcommand is None:
        _serve(output_of(context), host, port, model)


_home = option("--host", key="host", metavar="ADDRESS")(_home)
_home = option("--port", key="port", type=click.IntRange(0, 65535), metavar="N")(_home)
_home = model_option()(_home)

home = Group(
    "home",
    help=t("cli.home_help"),
    subcommand_metavar="[COMMAND …]",
    invoke_without_command=True,
    callback=_home,
    params=list(reversed(getattr(_home, "__click_params__", []))),
)


def _serve(output: Output, host: str | None, port: int | None, model: str | None) -> None:
    from ondol import database, paths
    from ondol.cli.pulling import ensure_model
    from ondol.home.serving import serve

    with house(output, home_host=host, home_port=port, home_model=model) as parts:
        # Asks for a passphrase while there is somebody to ask.
        database.connect(paths.database_file()).close()
        if not parts.config["home.upstreams"]:
            name = parts.config["home.model"] or parts.config["models.chat"]
            ensure_model(parts, name, output)
        if not output.debug:
            keep_log(logging.WARNING)
        serve(parts, on_ready=lambda address: _announce(address, output))


def _announce(address: Address, output: Output) -> None:
    from ondol.home.serving import own_certificate, reachable_url

    url = reachable_url(address.host, address.port)
    fingerprint = own_certificate().fingerprint.hex()
    if output.json:
        output.emit(
            {"url": url, "port": address.port, "fingerprint": fingerprint, "hub": address.hub}
        )
    elif output.quiet:
        output.line(url)
    else:
        output.line(t("home.is_up", url=url, fingerprint=f"{fingerprint[:16]}…"))
        if address.hub:
            output.line(t("home.hub_is_up", url=address.hub))
        output.note(t("home.is_up_hint"))
    sys.stdout.flush()


@command("invite", home)
@option("--name", key="device_name", metavar="NAME", type=words, default="")
@option("--address", key="home_address", metavar="HOST[:PORT]", default="")
@pass_output
def invite(output: Output, name: str, address: str) -> None:
    from ondol.home.serving import own_certificate

    with house(output) as parts, _registry() as registry:
        url = url_of(address, parts)
        made = registry.invite(url, own_certificate().fingerprint, name)
    show_invite(made, name, url, output)


@command("devices", home)
@pass_output
def devices(output: Output) -> None:
    with house(output), _registry() as registry:
        found = [(device, registry.share(device)) for device in registry.devices()]
    if output.json:
        rows: list[dict[str, Any]] = [
            {
                "name": device.name,
                "id": device.id,
                "enrolled_at": device.enrolled_at,
                "revoked_at": device.revoked_at,
                "seen_at": device.seen_at,
                "requests_today": share.requests,
                "tokens_today": share.tokens,
                "ledger": device.ledger,
            }
            for device, share in found
        ]
        output.emit({"devices": rows})
        return
    if not found:
        output.note(t("home.no_devices"))
        return
    columns = ("name", "state", "enrolled", "seen", "today", "id")
    table = [
        (
            device.name,
            t("home.state_revoked" if device.revoked_at else "home.state_enrolled"),
            device.enrolled_at[:10],
            (device.seen_at or "–")[:16].replace("T", " "),
            t("home.today", requests=share.requests, tokens=share.tokens),
            device.id[:SHORT_KEY],
        )
        for device, share in found
    ]
    output.table([t(f"home.column_{name}") for name in columns], table)


@command("revoke", home)
@click.argument("name", type=words)
@pass_output
def revoke(output: Output, name: str) -> None:
    from ondol.home.serving import note

    with house(output) as parts, _registry() as registry:
        device = registry.revoke(name)
        note(parts.ledger, "revoked", device)
    if output.json:
        output.emit({"name": device.name, "id": device.id, "revoked_at": device.revoked_at})
    else:
        output.line(t("home.revoked", name=clean(device.name)))


@command("join", home)
@click.argument("code", required=False)
@option("--name", key="device_name", metavar="NAME", type=words, default="")
@pass_output
def join(output: Output, code: str | None, name: str) -> None:
    from ondol.homes import enrolment
    from ondol.homes.invite import decode
    from ondol.ledger.entries import Entry

    given = code or click.prompt(t("home.paste_code"), err=True)
    invite = decode(given)
    if invite.is_to_federation:
        raise UsageError(t("federation_cli.use_join"), t("federation_cli.use_join_hint"))
    with house(output) as parts:
        homes = parts.oversight.homes
        joined, device = enrolment.join(homes, invite, name)
        parts.ledger.append(Entry("enrolment", destination=joined.url))
    if output.json:
        output.emit({"home": joined.name, "url": joined.url, "device": device})
        return
    output.line(t("home.joined", home=clean(joined.name), device=clean(device)))
    output.note(t("home.joined_hint"))


@command("status", home)
@pass_output
def status(output: Output) -> None:
    from ondol.ledger.witnesses import contradiction

    with house(output) as parts:
        homes = parts.oversight.homes
        states = homes.states()
        # After asking: it may have learned how the clocks differ.
        enrolled, heads = homes.enrolments.all(), homes.heads_at_home(is_fresh=False)
        saw_other = [one for one in enrolled if contradiction(parts.ledger, heads[one.name])]
    if output.json:
        body = [
            {
                "name": one.name,
                "url": one.url,
                "joined_at": one.joined_at,
                "available": state.available,
                "reason": state.reason,
                "model": state.model,
                "num_ctx": state.num_ctx,
                "wait_seconds": state.wait_seconds,
                "answer_seconds": state.answer_seconds,
                "joules_per_token": state.joules_per_token,
                "clock_offset_seconds": one.clock_offset_seconds,
                "ledger": heads[one.name],
                "ledger_fits": one not in saw_other,
            }
            for one, state in zip(enrolled, states, strict=True)
        ]
        output.emit({"homes": body})
        return
    if not enrolled:
        output.note(f"{t('homes.none')} {t('homes.none_hint')}")
        return
    rows = [
        (
            one.name,
            t("home.state_ok") if state.available else state.reason,
            state.model or "–",
            f"{state.wait_seconds:.0f} s" if state.available else "–",
            one.url,
        )
        for one, state in zip(enrolled, states, strict=True)
    ]
    columns = ("name", "state", "model", "wait", "address")
    output.table([t(f"home.column_{name}") for name in columns], rows)
    for one in enrolled:
        if abs(one.clock_offset_seconds) >= NOTABLE_SECONDS:
            seconds = round(abs(one.clock_offset_seconds))
            output.note(t("home.clock_off", home=name_line(one.name), seconds=seconds))
    for one in saw_other:
        output.note(t("home.ledger_differs", home=name_line(one.name)))


@command("leave", home)
@click.argument("name", type=words, required=False, default="")
@pass_output
def leave(output: Output, name: str) -> None:
    from ondol.homes import enrolment

    with house(output) as parts:
        homes = parts.oversight.homes
        gone = homes.enrolments.get(name)
        heard = enrolment.leave(homes, gone)
    if output.json:
        output.emit({"left": gone.name, "heard": heard})
        return
    output.line(t("home.left", home=clean(gone.name)))
    if not heard:
        output.note(t("home.left_unheard", home=clean(gone.name)))


@contextmanager
def _registry() -> Iterator[Registry]:
    from ondol import database, paths
    from ondol.home.registry import Registry

    with closing(database.connect(paths.database_file())) as connection:
        yield Registry(connection)
