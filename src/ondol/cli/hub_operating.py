"""``ondol hub publisher``, ``rotate-keys``, ``status``, ``export``: a hub is looked after."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli.command import Group, PathName, command, pass_output, words
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument, key_options, public_key, unlocked
from ondol.cli.hub_signing import SHORT, show_done
from ondol.cli.output import Output, one_line
from ondol.i18n import t
from ondol.models.blobs import readable_size

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner, SSlibKey

    from ondol.hub.repository.status import Status

publisher = Group("publisher", help=t("hub_cli.publisher_help"), subcommand_metavar="COMMAND …")
hub.add_command(publisher)


@command("add", publisher, help=t("hub_cli.publisher_add_help"))
@hub_argument
@click.argument("name", type=words)
@click.argument("public")
@key_options
@pass_output
def add(
    output: Output,
    folder: Path,
    name: str,
    public: str,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    repository.state()
    signers = unlocked(key_files, passphrase_file)
    repository.add_publisher(name, public_key(public), signers[0] if signers else None)
    show_done(repository, t("hub_cli.publisher_added", publisher=name), output)


@command("remove", publisher, help=t("hub_cli.publisher_remove_help"))
@hub_argument
@click.argument("name", type=words)
@key_options
@pass_output
def remove(
    output: Output,
    folder: Path,
    name: str,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    repository.state()
    signers = unlocked(key_files, passphrase_file)
    repository.remove_publisher(name, signers[0] if signers else None)
    show_done(repository, t("hub_cli.publisher_removed", publisher=name), output)


@command("rotate-keys", hub, help=t("hub_cli.rotate_help"))
@hub_argument
@click.argument("roles", nargs=-1, required=True)
@click.option("--new", "new", multiple=True, help=t("hub_cli.option_new"))
@click.option("--remove", "gone", multiple=True, help=t("hub_cli.option_remove"))
@click.option("--threshold", type=click.IntRange(1, 20), help=t("hub_cli.option_threshold"))
@click.option("--without", multiple=True, metavar="RELEASE", help=t("hub_cli.option_without"))
@key_options
@pass_output
def rotate(
    output: Output,
    folder: Path,
    roles: tuple[str, ...],
    new: tuple[str, ...],
    gone: tuple[str, ...],
    threshold: int | None,
    without: tuple[str, ...],
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    repository.state()
    files = [Path(text).expanduser() for text in new]
    at_hand = [file for file in files if file.is_file()]
    signers = unlocked([*key_files, *at_hand], passphrase_file)
    others = [
        public_key(text) for text, file in zip(new, files, strict=True) if file not in at_hand
    ]
    made: list[SSlibKey | CryptoSigner] = [*signers[len(key_files) :], *others]
    if roles == ("targets",) and not new:
        repository.renew_targets(signers)
    else:
        repository.rotate(
            roles,
            signers[: len(key_files)],
            new=made,
            remove=gone,
            threshold=threshold,
            without=without,
        )
    show_done(repository, t("hub_cli.rotated", roles=", ".join(roles)), output)


@command("status", hub, help=t("hub_cli.status_help"))
@hub_argument
@click.option("--check", is_flag=True, help=t("hub_cli.option_check"))
@pass_output
def status(output: Output, folder: Path, check: bool) -> None:
    from ondol.hub.repository import Repository

    found = Repository(folder).status(check=check)
    if output.json:
        output.emit(found.json())
        return
    _show(found, output)
    if check and not found.problems:
        output.note(t("hub_cli.blobs_are_whole"))


def _show(found: Status, output: Output) -> None:
    output.line(f"{one_line(found.name)}  {found.fingerprint}", bold=True)
    for role, end in found.expires.items():
        keys = found.keyids[role]
        threshold = found.threshold if role == "root" else 1
        ids = " ".join(keyid[:SHORT] for keyid in keys)
        end_text = t("hub_cli.until", at=f"{end:%Y-%m-%d %H:%M}")
        output.line(f"  {role}: {threshold}/{len(keys)} {ids}  {end_text}")
    for one in found.publishers:
        ids = " ".join(keyid[:SHORT] for keyid in one.keyids)
        output.line("  " + t("hub_cli.publisher_row", name=one.name, count=one.releases, keys=ids))
    if found.releases and not output.quiet:
        rows = [
            (
                release.reference,
                t("hub_cli.withdrawn") if release.yanked else release.card.channel,
                readable_size(release.size_bytes),
                one_line(release.yanked or release.card.title or release.card.name),
            )
            for release in found.releases
        ]
        output.table(
            [t(f"hub_cli.column_{name}") for name in ("release", "channel", "size", "what")], rows
        )
    for waits in found.waiting:
        ids = " ".join(keyid[:SHORT] for keyid in waits.keyids)
        output.line(
            t(
                "hub_cli.waits",
                role=waits.role,
                version=waits.version,
                missing=waits.missing,
                keys=ids,
            )
        )
    for sentence in found.half_done:
        output.note(t("hub_cli.half_done", what=sentence))
    for sentence in found.problems:
        output.warn(sentence)


@command("export", hub, help=t("hub_cli.export_help"))
@hub_argument
@click.argument("to", type=PathName())
@pass_output
def export(output: Output, folder: Path, to: Path) -> None:
    from ondol.hub.repository import Repository

    copied = Repository(folder).export(to)
    if output.json:
        output.emit({"to": str(to), "copied_bytes": copied})
    else:
        output.line(t("hub_cli.exported", to=to, size=readable_size(copied)))
