"""``ondol hub publish``, ``yank``, ``resign``, ``accept``, ``approve``: what a hub offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import PathName, command, complete_models, pass_output, words
from ondol.cli.house import house
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument, key_options, one_key
from ondol.cli.output import Output, clean
from ondol.cli.stdin import is_terminal
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.offering import Offered
    from ondol.hub.release import Release

_to = click.option("--to", type=PathName(), help=t("hub_cli.option_to"))


@command("publish", hub, help=t("hub_cli.publish_help"))
@hub_argument
@click.argument("reference", type=words)
@click.option(
    "--model", metavar="NAME", shell_complete=complete_models, help=t("hub_cli.option_model")
)
@click.option(
    "--adapter", metavar="NAME", shell_complete=complete_models, help=t("hub_cli.option_adapter")
)
@click.option("--pack", type=PathName(), help=t("hub_cli.option_pack"))
@click.option("--title", type=words, default="", help=t("hub_cli.option_title"))
@click.option("--description", type=words, default="", help=t("hub_cli.option_description"))
@click.option("--licence", type=words, default="", help=t("hub_cli.option_licence"))
@click.option("--language", "languages", multiple=True, help=t("hub_cli.option_language"))
@click.option("--channel", type=click.Choice(["stable", "beta"]), help=t("hub_cli.option_channel"))
@click.option("--min-ondol", type=words, default="", help=t("hub_cli.option_min_ondol"))
@click.option("--yes-i-may-share-it", "may_share", is_flag=True, help=t("hub_cli.option_share"))
@_to
@key_options
@pass_output
def publish(
    output: Output,
    /,
    folder: Path,
    reference: str,
    model: str | None,
    adapter: str | None,
    pack: Path | None,
    may_share: bool,
    to: Path | None,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
    **said: str | tuple[str, ...] | None,
) -> None:
    from ondol.hub.offering import told
    from ondol.hub.repository import Repository

    publisher, item, version = _reference(reference)
    if sum(one is not None for one in (model, adapter, pack)) != 1:
        raise UsageError(t("hub_cli.one_of"), param="model")
    with house(output) as parts:
        offered = told(_offered(parts, model, adapter, pack), **said)
        number = version or str(offered.version or "")
        if not number:
            raise UsageError(t("hub_cli.no_version", reference=reference), param="reference")
        _agreed(offered, may_share, output)
        signer = one_key(key_files, passphrase_file)
        repository = Repository(folder)
        repository.state()
        total = sum(file.stat().st_size for file in offered.files.values())
        with output.bar(total) as bar:

            def on_bytes(done: int) -> None:
                if bar is not None:
                    bar.update(done - bar.n)

            made = repository.publish(
                publisher,
                item or offered.item,
                number,
                offered.card,
                offered.files,
                signer,
                on_bytes=on_bytes,
                to=to,
            )
    _show(made, "published" if to is None else "signed_to", output, to)
    if not made.card.licence and not output.json:
        output.note(t("hub_cli.no_licence"))


@command("yank", hub, help=t("hub_cli.yank_help"))
@hub_argument
@click.argument("reference", type=words)
@click.option("--reason", type=words, required=True, help=t("hub_cli.option_reason"))
@_to
@key_options
@pass_output
def yank(
    output: Output,
    folder: Path,
    reference: str,
    reason: str,
    to: Path | None,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    publisher, item, version = _reference(reference)
    if not version or not item:
        raise UsageError(t("hub_cli.no_version", reference=reference), param="reference")
    signer = one_key(key_files, passphrase_file)
    made = Repository(folder).yank(publisher, item, version, reason, signer, to=to)
    _show(made, "yanked" if to is None else "signed_to", output, to)


@command("resign", hub, help=t("hub_cli.resign_help"))
@hub_argument
@click.argument("publisher", type=words)
@click.option("--without", multiple=True, metavar="RELEASE", help=t("hub_cli.option_without"))
@_to
@key_options
@pass_output
def resign(
    output: Output,
    folder: Path,
    publisher: str,
    without: tuple[str, ...],
    to: Path | None,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    signer = one_key(key_files, passphrase_file)
    Repository(folder).resign(publisher, signer, without=without, to=to)
    if output.json:
        output.emit({"publisher": publisher, "without": list(without)})
    else:
        output.line(t("hub_cli.resigned", publisher=publisher))


@command("accept", hub, help=t("hub_cli.accept_help"))
@hub_argument
@click.argument("change", type=PathName())
@pass_output
def accept(output: Output, folder: Path, change: Path) -> None:
    from ondol.hub.repository import Repository

    new = Repository(folder).accept(change)
    if output.json:
        output.emit({"releases": [release.json() for release in new]})
        return
    for release in new:
        output.line(t("hub_cli.published", release=release.reference))
    if not new:
        output.line(t("hub_cli.accepted"))


@command("approve", hub, help=t("hub_cli.approve_help"))
@hub_argument
@click.argument("name", type=words)
@click.option("--publisher", type=words, default="mirror", help=t("hub_cli.option_publisher"))
@click.option("--version", type=words, help=t("hub_cli.option_version"))
@click.option("--any-revision", is_flag=True, help=t("hub_cli.option_any_revision"))
@key_options
@pass_output
def approve(
    output: Output,
    folder: Path,
    name: str,
    publisher: str,
    version: str | None,
    any_revision: bool,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.mirror.quarantine import Quarantine
    from ondol.hub.mirror.shelf import MAIN
    from ondol.hub.repository import Repository

    asked_for = Quarantine(folder).get(name).origin.revision
    if asked_for != MAIN and not any_revision:
        # Anybody may propose a change upstream, and devices follow the highest version.
        raise UsageError(
            t("hub_cli.not_main", name=name, revision=clean(asked_for)),
            t("hub_cli.not_main_hint"),
            param="any_revision",
        )
    signer = one_key(key_files, passphrase_file)
    made = Repository(folder).approve(name, signer, publisher=publisher, version=version)
    _show(made, "published", output)


def _reference(text: str) -> tuple[str, str, str]:
    """``PUBLISHER/ITEM@VERSION``, of which all but the publisher may be missing."""
    name, _, version = text.partition("@")
    publisher, _, item = name.partition("/")
    return publisher, item, version


def _offered(parts: object, model: str | None, adapter: str | None, pack: Path | None) -> Offered:
    from ondol.hub import offering
    from ondol.parts import Parts

    assert isinstance(parts, Parts)
    if pack is not None:
        return offering.of_pack(pack)
    if adapter is not None:
        found = parts.adapters.find(adapter)
        return offering.of_adapter(found, parts.adapters.path(found))
    return offering.of_model(parts.store.get(str(model)), parts.store)


def _agreed(offered: Offered, may_share: bool, output: Output) -> None:
    """Show what there is to know, and go on only if its owner says that it may be shared."""
    if not offered.warnings:
        return
    for sentence in offered.warnings:
        output.warn(clean(sentence))
    if may_share:
        return
    if output.json or not is_terminal():
        raise UsageError(t("hub_cli.may_share"), t("hub_cli.may_share_hint"), param="may_share")
    if not click.confirm(t("hub_cli.share_question", name=offered.name), err=True):
        raise UsageError(t("hub_cli.not_shared"))


def _show(made: Release, word: str, output: Output, to: Path | None = None) -> None:
    if output.json:
        output.emit(made.json() | ({"to": str(to)} if to else {}))
    elif output.quiet:
        output.line(made.reference)
    else:
        output.line(t(f"hub_cli.{word}", release=made.reference, to=to or ""))
