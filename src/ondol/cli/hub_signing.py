"""``ondol hub sign``: what waits for signatures goes to the keys and comes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import PathName, command, pass_output
from ondol.cli.hub_group import hub
from ondol.cli.hub_keys import key_options, unlocked
from ondol.cli.output import Output, one_line
from ondol.errors import UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.hub.repository import Repository

SHORT = 12
"""Of a key's id, as it is shown: enough to tell keys apart."""


@command("sign", hub, help=t("hub_cli.sign_help"))
@click.argument("what", type=PathName())
@click.option("--to", type=PathName(), help=t("hub_cli.option_request_to"))
@click.option("--from", "brought", type=PathName(), help=t("hub_cli.option_request_from"))
@click.option("--discard", is_flag=True, help=t("hub_cli.option_discard"))
@key_options
@pass_output
def sign(
    output: Output,
    what: Path,
    to: Path | None,
    brought: Path | None,
    discard: bool,
    key_files: tuple[Path, ...],
    passphrase_file: Path | None,
) -> None:
    from ondol.hub.repository import Repository

    if sum((to is not None, brought is not None, discard, bool(key_files))) != 1:
        raise UsageError(t("hub_cli.one_way_to_sign"), t("hub_cli.one_way_to_sign_hint"))
    if key_files:
        _sign_file(output, what, key_files, passphrase_file)
        return
    repository = Repository(what)
    if to is not None:
        _write(to, repository.request())
        if output.json:
            output.emit({"file": str(to), "waiting": rows_of(repository)})
        else:
            output.line(t("hub_cli.request_written", file=to))
        return
    done = ""
    if brought is not None:
        repository.take(_read(brought))
    else:
        done = t("hub_cli.discarded") if repository.waiting() else ""
        repository.discard()
    show_done(repository, done, output)


def _sign_file(
    output: Output, file: Path, key_files: tuple[Path, ...], passphrase_file: Path | None
) -> None:
    """On the machine that the keys are on, which need not know the hub."""
    from ondol.hub.repository import pending

    data = _read(file)
    documents = [_described(role, md) for role, md in pending.opened(data)]
    for one in documents if not output.json else ():
        output.line(one["text"])
    signed = pending.sign(data, unlocked(key_files, passphrase_file))
    _write(file, signed)
    if output.json:
        output.emit({"file": str(file), "documents": documents})
    else:
        output.note(t("hub_cli.signed_file", file=file))


def _described(role: str, md: Any) -> dict[str, Any]:
    """What somebody signs, for them to read before."""
    signed = md.signed
    if role == "root":
        rows = [
            f"{name}: {found.threshold}/{len(found.keyids)} "
            + " ".join(keyid[:SHORT] for keyid in found.keyids)
            for name, found in sorted(signed.roles.items())
        ]
    else:
        delegations = signed.delegations.roles if signed.delegations else {}
        rows = [
            f"{name}: {' '.join(keyid[:SHORT] for keyid in found.keyids)}"
            for name, found in sorted(delegations.items())
        ]
    title = f"{role} {signed.version} ({signed.expires:%Y-%m-%d})"
    return {
        "role": role,
        "version": signed.version,
        "expires_at": signed.expires.isoformat(),
        "text": one_line(title) + "".join(f"\n  {one_line(row)}" for row in rows),
    }


def show_done(repository: Repository, sentence: str, output: Output) -> None:
    """Say what was done, or what it waits for."""
    waiting = repository.waiting()
    if output.json:
        output.emit({"is_done": not waiting, "waiting": rows_of(repository)})
        return
    if waiting:
        output.line(t("hub_cli.now_waits", count=len(waiting)))
        output.note(t("hub_cli.now_waits_hint", folder=repository.folder))
    elif sentence:
        output.line(sentence)
    else:
        output.line(t("hub_cli.nothing_waits"))


def rows_of(repository: Repository) -> list[dict[str, Any]]:
    return [
        {"role": one.role, "version": one.version, "missing": one.missing, "keys": list(one.keyids)}
        for one in repository.waiting()
    ]


def _read(file: Path) -> bytes:
    from ondol.hub.repository.pending import MOST_REQUEST_BYTES

    try:
        with file.open("rb") as stream:
            return stream.read(MOST_REQUEST_BYTES + 1)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UsageError(t("hub_cli.unreadable", file=file, reason=reason)) from error


def _write(file: Path, data: bytes) -> None:
    from ondol import paths

    temporary = file.with_name(f".{file.name}.partial")
    try:
        temporary.write_bytes(data)
        temporary.replace(file)
    except OSError as error:
        raise paths.storage_error(error, file) from error
