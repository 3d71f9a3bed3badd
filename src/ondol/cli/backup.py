"""``ondol backup`` and ``restore``: library and settings in one encrypted file, and back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from ondol.cli.command import command, option, pass_output
from ondol.cli.house import house
from ondol.cli.lock import passphrase_file_option
from ondol.cli.output import Output, clean
from ondol.cli.passphrase import new_passphrase
from ondol.i18n import t

file_argument = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))


@command("backup")
@file_argument
@option("--force", key="backup_force", is_flag=True)
@passphrase_file_option()
@pass_output
def backup(output: Output, file: Path, force: bool, passphrase_file: Path | None) -> None:
    from ondol import backup as backups
    from ondol import encryption, keys, paths
    from ondol.models.blobs import readable_size

    database = paths.database_file()
    target = file.absolute()
    with house(output):
        backups.check_target(database, target, force=force)
        passphrase = None
        if not encryption.is_locked(database):
            given = None if passphrase_file else keys.given()
            passphrase = given or new_passphrase(passphrase_file)
        made = backups.backup(
            database, target, paths.config_file(), passphrase=passphrase, force=force
        )
    if output.json:
        output.emit(asdict(made))
        return
    size = readable_size(made.size_bytes)
    output.line(
        t("encryption.backed_up", documents=made.documents, file=clean(str(target)), size=size)
    )
    output.note(t("encryption.backed_up_hint"))


@command("restore")
@file_argument
@option("--force", key="restore_force", is_flag=True)
@pass_output
def restore(output: Output, file: Path, force: bool) -> None:
    from ondol import backup as backups
    from ondol import paths

    with house(output) as parts:
        done = backups.restore(
            file.absolute(), paths.database_file(), paths.config_file(), force=force
        )
        parts.ledger.acknowledge("restored")
    if output.json:
        output.emit(asdict(done))
        return
    made = done.backup
    output.line(t("encryption.restored", documents=made.documents, date=made.created_at[:10]))
    output.line(t(f"encryption.config_{done.config}"))
    if done.is_locked:
        output.note(t("encryption.restored_locked"))
    for kept in done.kept:
        output.line(t("encryption.moved_aside", file=clean(kept)))
