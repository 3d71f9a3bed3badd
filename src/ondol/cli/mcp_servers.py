"""``ondol mcp add`` and its kin: the MCP servers whose tools the owner's models get."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.house import house
from ondol.cli.mcp_group import mcp
from ondol.cli.output import Output, clean, one_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.connections.offers import Offer
    from ondol.connections.servers import ToolServer
    from ondol.parts import Parts

LONGEST_SHOWN = 400


@command("add", mcp)
@click.argument("name")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND …]")
@option("--url", key="mcp_url", metavar="URL", default="")
@option("--env", "variables", key="mcp_env", metavar="NAME[=VALUE]", multiple=True)
@option("--header", "headers", key="mcp_header", metavar="NAME:VALUE", multiple=True)
@option("--network", "has_network", key="mcp_network", is_flag=True)
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def add(
    output: Output,
    name: str,
    words: tuple[str, ...],
    url: str,
    variables: tuple[str, ...],
    headers: tuple[str, ...],
    has_network: bool,
    is_sure: bool,
) -> None:
    from ondol.connections.servers import ToolServer

    if words and not has_network and sys.platform != "linux":
        raise UsageError(t("mcp.no_network_here"), t("mcp.no_network_here_hint"))
    wanted = ToolServer(
        name,
        command=tuple(words),
        url=url,
        variables=dict(_variable(one) for one in variables),
        headers=dict(_header(one) for one in headers),
        has_network=has_network,
    )
    with house(output) as parts:
        # Kept first: one that cannot be kept is not started.
        made = parts.kept.tool_servers.add(wanted)
        try:
            shown = _approve(parts, made, output, is_sure=is_sure)
        except BaseException:
            parts.kept.tool_servers.remove(name)
            raise
    if output.json:
        output.emit(made.json() | {"tools": shown})
    else:
        output.line(t("mcp.added", name=name, count=len(shown)))
        output.note(_where(made))


@command("approve", mcp)
@click.argument("name")
@option("--yes", "is_sure", key="yes", is_flag=True)
@pass_output
def approve(output: Output, name: str, is_sure: bool) -> None:
    with house(output) as parts:
        shown = _approve(parts, parts.kept.tool_servers.get(name), output, is_sure=is_sure)
    if output.json:
        output.emit({"name": name, "tools": shown})
    else:
        output.line(t("mcp.approved", name=name, count=len(shown)))


@command("list", mcp)
@pass_output
def list_servers(output: Output) -> None:
    with house(output) as parts:
        found = parts.kept.tool_servers.all()
        counts = {one.name: len(parts.kept.tool_servers.approved(one.name)) for one in found}
    if output.json:
        output.emit({"servers": [one.json() | {"tools": counts[one.name]} for one in found]})
        return
    columns = ("server", "tools", "enabled", "reach", "how")
    rows = [
        (
            one.name,
            str(counts[one.name]),
            t("mcp.yes") if one.is_enabled else t("mcp.no"),
            t("mcp.stays") if one.stays_here else t("mcp.leaves"),
            one.url or " ".join(one.command),
        )
        for one in found
    ]
    output.table([t(f"mcp.column_{column}") for column in columns], rows)
    if not found:
        output.note(t("mcp.no_servers"))


@command("test", mcp)
@click.argument("name")
@pass_output
def test(output: Output, name: str) -> None:
    with house(output) as parts:
        server = parts.kept.tool_servers.get(name)
        offers, left_out = _offers(parts, server)
        approved = parts.kept.tool_servers.approved(name)
    if output.json:
        output.emit({"name": name, "tools": _told(offers, approved), "left_out": left_out})
        return
    rows = [
        (
            one.name,
            t("mcp.yes") if approved.get(one.name) == one.digest else t("mcp.no"),
            one_line(one.tool.description)[:LONGEST_SHOWN],
        )
        for one in offers
    ]
    output.table([t(f"mcp.column_{column}") for column in ("tool", "approved", "says")], rows)
    if left_out:
        output.note(t("mcp.left_out", names=one_line(", ".join(left_out))))


@command("enable", mcp)
@click.argument("name")
@pass_output
def enable(output: Output, name: str) -> None:
    _switch(output, name, True)


@command("disable", mcp)
@click.argument("name")
@pass_output
def disable(output: Output, name: str) -> None:
    _switch(output, name, False)


@command("remove", mcp)
@click.argument("name")
@pass_output
def remove(output: Output, name: str) -> None:
    with house(output) as parts:
        parts.kept.tool_servers.remove(name)
    if output.json:
        output.emit({"removed": name})
    else:
        output.line(t("mcp.removed", name=name))


def _switch(output: Output, name: str, is_enabled: bool) -> None:
    with house(output) as parts:
        changed = parts.kept.tool_servers.enable(name, is_enabled)
    if output.json:
        output.emit(changed.json())
    else:
        output.line(t("mcp.enabled" if is_enabled else "mcp.disabled", name=name))


def _approve(
    parts: Parts, server: ToolServer, output: Output, *, is_sure: bool
) -> list[dict[str, Any]]:
    """Show what ``server`` offers, and have it approved."""
    offers, left_out = _offers(parts, server)
    if not (output.json or output.quiet):
        for one in offers:
            output.note(f"{one.name}: {clean(one.tool.description)[:LONGEST_SHOWN]}")
        if left_out:
            output.note(t("mcp.left_out", names=one_line(", ".join(left_out))))
    if not is_sure:
        if not sys.stdin.isatty() or output.json:
            raise UsageError(t("mcp.needs_yes"), t("mcp.needs_yes_hint"))
        click.confirm(t("mcp.sure", count=len(offers)), abort=True, err=True)
    digests = {one.name: one.digest for one in offers}
    parts.kept.tool_servers.approve(server.name, digests)
    return _told(offers, digests)


def _offers(parts: Parts, server: ToolServer) -> tuple[list[Offer], list[str]]:
    from ondol.connections.sessions import Sessions

    sessions = Sessions(parts.egress)
    try:
        return sessions.offers(server)
    finally:
        sessions.close()


def _told(offers: Sequence[Offer], approved: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "name": one.name,
            "description": one.tool.description,
            "approved": approved.get(one.name) == one.digest,
        }
        for one in offers
    ]


def _where(server: ToolServer) -> str:
    """What adding it means, in a sentence."""
    if server.url:
        return t("mcp.address_stays") if server.stays_here else t("mcp.address_leaves")
    return t("mcp.program_no_network") if server.stays_here else t("mcp.program_network")


def _variable(text: str) -> tuple[str, str]:
    """``NAME=VALUE``, or ``NAME`` of what is set here: no secret has to stand on a command line."""
    name, has_value, value = text.partition("=")
    if has_value:
        return name, value
    if name not in os.environ:
        raise UsageError(t("mcp.not_set", name=name[:80]), param="env")
    return name, os.environ[name]


def _header(text: str) -> tuple[str, str]:
    name, has_value, value = text.partition(":")
    if not has_value:
        raise UsageError(t("mcp.bad_variable"), param="header")
    return name.strip(), value.strip()
