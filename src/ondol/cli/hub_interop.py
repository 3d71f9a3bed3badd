"""``ondol hub bundle``, ``bundle-key``, ``verify-bundle``: releases for tools that know no hubs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ondol.cli import passphrase as asking
from ondol.cli.command import PathName, command, pass_output, words
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument, new_passphrase, passphrase_option
from ondol.cli.output import Output
from ondol.cli.stdin import is_terminal
from ondol.errors import HubNotFoundError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.release import Release
    from ondol.hub.repository import Repository

FORMATS = ("model-signing", "modelpack")


@command("bundle", hub, help=t("hub_interop.bundle_help"))
@hub_argument
@click.argument("reference", metavar="PUBLISHER/ITEM[@VERSION]", type=words)
@click.argument("to", type=PathName())
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default=FORMATS[0],
    help=t("hub_interop.option_format"),
)
@click.option("--key", "key_file", type=PathName(), help=t("hub_interop.option_key"))
@passphrase_option
@pass_output
def bundle(
    output: Output,
    folder: Path,
    reference: str,
    to: Path,
    form: str,
    key_file: Path | None,
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.interop import export_bundle, export_layout
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    release = _release(repository, reference)
    said: dict[str, object] = {"release": release.reference, "folder": str(to), "format": form}
    shown = {"release": release.reference, "folder": to, "files": len(release.files)}
    if form == "modelpack":
        digest = export_layout(release, repository.blob, to)
        said["manifest"] = digest
        sentence = t("hub_interop.laid_out", digest=digest, **shown)
    else:
        if key_file is None:
            raise UsageError(
                t("hub_interop.needs_key"), t("hub_interop.needs_key_hint"), param="key"
            )
        secret = _passphrase(key_file, passphrase_file)
        export_bundle(release, repository.blob, to, key_file, secret)
        sentence = t("hub_interop.bundled", **shown)
    output.emit(said) if output.json else output.line(sentence)


@command("bundle-key", hub, help=t("hub_interop.bundle_key_help"))
@click.argument("file", type=PathName())
@passphrase_option
@pass_output
def bundle_key(output: Output, file: Path, passphrase_file: Path | None) -> None:
    from ondol.hub.interop import make_key

    public = make_key(file, new_passphrase(passphrase_file))
    if output.json:
        output.emit({"file": str(file), "public": str(public)})
    else:
        output.line(t("hub_interop.key_made", file=file, public=public))


@command("verify-bundle", hub, help=t("hub_interop.verify_bundle_help"))
@click.argument("folder", type=PathName())
@click.option(
    "--public-key",
    "public_key",
    type=PathName(),
    required=True,
    help=t("hub_interop.option_public_key"),
)
@click.option("--signature", type=PathName(), help=t("hub_interop.option_signature"))
@pass_output
def verify_bundle(output: Output, folder: Path, public_key: Path, signature: Path | None) -> None:
    from ondol.hub import interop

    found = interop.verify_bundle(folder, public_key, signature)
    if output.json:
        output.emit({"folder": str(folder), "name": found.name, "files": dict(found.files)})
    else:
        output.line(
            t("hub_interop.verified", folder=folder, files=len(found.files), name=found.name)
        )


def _release(repository: Repository, reference: str) -> Release:
    """The release that ``reference`` names; its highest version that is not withdrawn where it
    names none."""
    from ondol.hub.release import newest
    from ondol.hub.targets import Version

    name, _, version = reference.partition("@")
    found = [release for release in repository.releases() if release.name == name]
    if version:
        wanted = Version.of(version)
        release = next((one for one in found if one.version == wanted), None)
    else:
        release = newest(found, "beta")
    if release is None:
        raise HubNotFoundError(
            t("hub_interop.no_release", reference=reference), t("hub_interop.no_release_hint")
        )
    return release


def _passphrase(key_file: Path, passphrase_file: Path | None) -> str:
    from ondol import keys as passphrases
    from ondol.hub.interop import bundle_keys

    if not bundle_keys.is_locked(key_file):
        return ""
    if passphrase_file is not None:
        return passphrases.read_file(passphrase_file)
    return passphrases.given() or (asking.ask(key_file, 0) if is_terminal() else "")
