"""``ondol mcp``: which programs may see what of the documents."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ondol.cli import mcp_servers
from ondol.cli.command import command, option, pass_output
from ondol.cli.house import house, keep_log
from ondol.cli.mcp_group import mcp
from ondol.cli.output import Output, one_line
from ondol.i18n import t
from ondol.types import Sensitivity

if TYPE_CHECKING:
    from ondol.connections.clients import Client
    from ondol.parts import Parts

__all__ = ["mcp", "mcp_servers"]


@command("serve", mcp)
@option("--client", "client", key="mcp_client", metavar="NAME", default="")
@pass_output
def serve(output: Output, client: str) -> None:
    from ondol.config import load
    from ondol.parts import Parts
    from ondol.server.mcp.stdio import serve as serve_stdio

    # Nobody can be asked for a passphrase: who would be is a program.
    keep_log(logging.DEBUG if output.debug else logging.CRITICAL)
    code = 0
    with Parts(load()) as parts:
        try:
            serve_stdio(parts, client)
        except SystemExit as ended:
            code = int(ended.code or 0)
    if code:
        # A thread still waits for stdin, which nobody may ever close.
        sys.stderr.flush()
        os._exit(code)


@command("allow", mcp)
@click.argument("client")
@option("--collection", "collections", key="mcp_collection", metavar="NAME", multiple=True)
@option("--remember/--no-remember", "remembers", key="mcp_remember", default=None)
@option("--local/--not-local", "is_local", key="mcp_local", default=None)
@pass_output
def allow(
    output: Output,
    client: str,
    collections: tuple[str, ...],
    remembers: bool | None,
    is_local: bool | None,
) -> None:
    with house(output) as parts:
        made = parts.kept.clients.allow(client, collections, is_local=is_local, remembers=remembers)
        held_back = 0 if made.is_local else _private(parts, made)
    if output.json:
        output.emit(asdict(made) | {"private_passages": held_back})
        return
    output.line(_shown(made))
    if held_back:
        output.note(t("mcp.private_stay", count=held_back))


@command("deny", mcp)
@click.argument("client")
@option("--collection", "collections", key="mcp_collection", metavar="NAME", multiple=True)
@pass_output
def deny(output: Output, client: str, collections: tuple[str, ...]) -> None:
    with house(output) as parts:
        left = parts.kept.clients.deny(client, collections)
    if output.json:
        output.emit(asdict(left))
    else:
        output.line(_shown(left) if left.allowed_at else t("mcp.denied", client=client))


@command("clients", mcp)
@pass_output
def clients(output: Output) -> None:
    with house(output) as parts:
        found = parts.kept.clients.all()
    if output.json:
        output.emit({"clients": [asdict(one) for one in found]})
        return
    columns = ("client", "collections", "local", "remembers")
    rows = [
        (one.name, ", ".join(one.collections), _yes(one.is_local), _yes(one.remembers))
        for one in found
    ]
    output.table([t(f"mcp.column_{name}") for name in columns], rows)
    if not found:
        output.note(t("mcp.no_clients"))


def _private(parts: Parts, client: Client) -> int:
    """How many passages of what it may see are not for it."""
    from ondol.retrieval.filters import Filter

    if not client.collections:
        return 0
    where = Filter(collections=client.collections)
    return parts.library.inventory.count_stricter(where, Sensitivity.TRUSTED)


def _shown(client: Client) -> str:
    return one_line(
        t(
            "mcp.allowed",
            client=client.name,
            collections=", ".join(client.collections) or "-",
            local=_yes(client.is_local),
            remembers=_yes(client.remembers),
        )
    )


def _yes(is_so: bool) -> str:
    return t("mcp.yes") if is_so else t("mcp.no")
