"""``ondol key``: keys of programs. The secret is on stdout once, and nowhere else ever again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import F, Group, command, complete_models, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean, one_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.config import Config
    from ondol.server.door.key_records import ProgramKey
    from ondol.server.door.program_keys import ProgramKeys

SHORT_MOMENT = 16

key = Group("key", help=t("cli.key_help"), subcommand_metavar="COMMAND …")


def _option(*names: str, help: str, **settings: Any) -> Callable[[F], F]:
    return click.option(*names, help=help, **settings)


@command("create", key)
@click.argument("name", type=words)
@_option("--dialect", "dialects", help=t("keys.option_dialect"), multiple=True, metavar="NAME")
@_option(
    "--model",
    "models",
    help=t("keys.option_model"),
    multiple=True,
    metavar="NAME",
    shell_complete=complete_models,
)
@_option(
    "--collection",
    "collections",
    help=t("keys.option_collection"),
    multiple=True,
    metavar="NAME",
    type=words,
)
@_option("--all-collections", help=t("keys.option_all_collections"), is_flag=True)
@_option("--manage-models", help=t("keys.option_manage_models"), is_flag=True)
@_option("--expires", help=t("keys.option_expires"), metavar="90d")
@_option("--max-running", help=t("keys.option_max_running"), type=click.IntRange(1), metavar="N")
@_option("--per-minute", help=t("keys.option_per_minute"), type=click.IntRange(1), metavar="N")
@pass_output
def create(
    output: Output,
    name: str,
    dialects: Sequence[str],
    models: Sequence[str],
    collections: Sequence[str],
    all_collections: bool,
    manage_models: bool,
    expires: str | None,
    max_running: int | None,
    per_minute: int | None,
) -> None:
    from ondol.server.door.key_records import USUAL_DIALECTS, Scope
    from ondol.server.native.keys import span

    if collections and all_collections:
        raise UsageError(t("keys.scope_conflict"))
    scope = Scope(
        _unique(dialects) or USUAL_DIALECTS,
        _unique(models) or None,
        None if all_collections else _unique(collections),
        manage_models,
        max_running,
        per_minute,
    )
    ends = span(expires) if expires else None
    with _keys(output) as (keys, config):
        secret, made = keys.create(name, scope, expires_in=ends)
    if output.json:
        output.emit({"secret": secret, "key": made.json()})
        return
    output.note(t("keys.created", name=clean(made.name)))
    output.line(secret)
    output.note(
        t(
            "keys.created_hint",
            dialects=", ".join(scope.dialects or ()),
            models=_named(scope.models),
            collections=_named(scope.collections),
        )
    )
    if not config["server.api_key"]:
        output.note(t("keys.open_house"))


@command("list", key)
@pass_output
def list_keys(output: Output) -> None:
    with _keys(output) as (keys, _):
        found = keys.all()
    if output.json:
        output.emit({"keys": [one.json() for one in found]})
        return
    rows = [
        (
            one.name,
            f"{one.prefix}-…",
            t(f"keys.state_{one.state()}"),
            _named(one.scope.dialects),
            _named(one.scope.models),
            _named(one.scope.collections),
            _moment(one.used_at),
            _moment(one.expires_at),
        )
        for one in found
    ]
    columns = ("name", "key", "state", "dialects", "models", "collections", "used", "expires")
    output.table([t(f"keys.column_{name}") for name in columns], rows)
    if not found:
        output.note(t("keys.nothing"))


@command("show", key)
@click.argument("name", type=words)
@pass_output
def show(output: Output, name: str) -> None:
    with _keys(output) as (keys, _):
        found = keys.get(name)
    if output.json:
        output.emit(found.json())
        return
    for field, value in _fields(found):
        output.line(t("keys.field", name=field, value=one_line(value)))


@command("revoke", key)
@click.argument("name", type=words)
@pass_output
def revoke(output: Output, name: str) -> None:
    with _keys(output) as (keys, _):
        gone = keys.revoke(name)
    if output.json:
        output.emit(gone.json())
    else:
        output.line(t("keys.revoked", name=clean(gone.name)))


@command("rm", key)
@click.argument("name", type=words)
@pass_output
def rm(output: Output, name: str) -> None:
    with _keys(output) as (keys, _):
        found = keys.get(name)
        keys.remove(found.id)
    if output.json:
        output.emit({"removed": found.id})
    else:
        output.line(t("keys.removed", name=clean(found.name)))


@contextmanager
def _keys(output: Output) -> Iterator[tuple[ProgramKeys, Config]]:
    from ondol.server.native.keys import open_keys

    with house(output) as parts, closing(open_keys()) as keys:
        yield keys, parts.config


def _fields(found: ProgramKey) -> Iterator[tuple[str, str]]:
    scope = found.scope
    yield t("keys.column_name"), found.name
    yield t("keys.column_key"), f"{found.prefix}-…"
    yield t("keys.column_state"), t(f"keys.state_{found.state()}")
    yield t("keys.column_dialects"), _named(scope.dialects)
    yield t("keys.column_models"), _named(scope.models)
    yield t("keys.column_collections"), _named(scope.collections)
    yield t("keys.field_manages"), t("keys.yes" if scope.manages_models else "keys.no")
    limits = [
        t(f"keys.limit_{word}", count=count)
        for word, count in (("running", scope.max_running), ("minute", scope.requests_per_minute))
        if count is not None
    ]
    yield t("keys.field_limits"), ", ".join(limits) or t("keys.none")
    yield t("keys.field_created"), _moment(found.created_at)
    yield t("keys.column_used"), _moment(found.used_at)
    yield t("keys.column_expires"), _moment(found.expires_at)
    if found.revoked_at:
        yield t("keys.field_revoked"), _moment(found.revoked_at)


def _unique(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _named(names: Sequence[str] | None) -> str:
    return t("keys.any") if names is None else ", ".join(names) or t("keys.none")


def _moment(moment: str | None) -> str:
    return moment[:SHORT_MOMENT].replace("T", " ") if moment else t("keys.never")
