"""``ondol hub init``, ``key``, ``refresh``: a hub is made and kept alive."""

from __future__ import annotations

from pathlib import Path

import click

from ondol.cli.command import PathName, command, pass_output, words
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import hub_argument, new_passphrase, passphrase_option, public_key
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t


@command("init", hub, help=t("hub_cli.init_help"))
@hub_argument
@click.option("--name", type=words, required=True, help=t("hub_cli.option_name"))
@click.option("--keys", "key_folder", type=PathName(), help=t("hub_cli.option_keys"))
@click.option("--root-keys", type=click.IntRange(1, 20), default=3, help=t("hub_cli.option_roots"))
@click.option("--threshold", type=click.IntRange(1, 20), help=t("hub_cli.option_threshold"))
@click.option("--root-key", "public_roots", multiple=True, help=t("hub_cli.option_root_key"))
@click.option("--targets-key", "public_targets", help=t("hub_cli.option_targets_key"))
@passphrase_option
@pass_output
def init(
    output: Output,
    folder: Path,
    name: str,
    key_folder: Path | None,
    root_keys: int,
    threshold: int | None,
    public_roots: tuple[str, ...],
    public_targets: str | None,
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository, keys

    repository = Repository(folder)
    if repository.is_begun:
        raise UsageError(t("hub_repository.hub_exists", folder=folder))
    threshold = threshold or min(2, len(public_roots) or root_keys)
    if bool(public_roots) != bool(public_targets) or bool(public_roots) == bool(key_folder):
        raise UsageError(t("hub_cli.keys_or_public"), param="keys")
    files: list[Path] = []
    if key_folder is None:
        roots = [public_key(text) for text in public_roots]
        repository.init(
            name, threshold=threshold, root=roots, targets_key=public_key(str(public_targets))
        )
    else:
        if key_folder.resolve().is_relative_to(folder.resolve()):
            raise UsageError(t("hub_cli.keys_inside"), t("hub_cli.keys_inside_hint"), param="keys")
        # The keys before the hub: a hub whose keys are nowhere would be lost with this process.
        files = [key_folder / f"root-{number}.json" for number in range(1, root_keys + 1)]
        files.append(key_folder / "targets.json")
        made = keys.make_offline(root_keys)
        keys.save_all(
            [*zip(files, (*made.root, made.targets), strict=True)], new_passphrase(passphrase_file)
        )
        repository.init(name, threshold=threshold, root=made.root, targets_key=made.targets)
    fingerprint = repository.fingerprint
    if output.json:
        output.emit(
            {
                "folder": str(folder),
                "name": name,
                "fingerprint": fingerprint,
                "keys": [str(file) for file in files],
                "is_waiting": not repository.exists,
            }
        )
    elif output.quiet:
        output.line(fingerprint)
    else:
        output.line(t("hub_cli.made", name=name, fingerprint=fingerprint))
        for file in files:
            output.line(f"  {file}")
        output.note(t("hub_cli.keep_keys" if files else "hub_cli.waits_for_roots", folder=folder))
        if files:
            output.note(t("hub_cli.next_publisher", folder=folder, file=files[-1]))


@command("key", hub, help=t("hub_cli.key_help"))
@click.argument("file", type=PathName())
@passphrase_option
@pass_output
def key(output: Output, file: Path, passphrase_file: Path | None) -> None:
    from ondol.hub.repository import keys

    if file.exists():
        public = keys.public_of(file)
    else:
        made = keys.make()
        keys.save_all([(file, made)], new_passphrase(passphrase_file))
        public = keys.public_text(made)
    if output.json:
        output.emit({"file": str(file), "public": public, "keyid": keys.public_key(public).keyid})
    else:
        output.line(public)


@command("refresh", hub, help=t("hub_cli.refresh_help"))
@hub_argument
@pass_output
def refresh(output: Output, folder: Path) -> None:
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    repository.refresh()
    until = repository.state().timestamp.signed.expires
    if output.json:
        output.emit({"expires_at": until.isoformat()})
    else:
        output.line(t("hub_cli.refreshed", until=f"{until:%Y-%m-%d %H:%M} UTC"))
