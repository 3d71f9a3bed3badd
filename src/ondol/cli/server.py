"""``ondol up``, ``serve`` and ``down``: the server of this user."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import F, command, model_option, option, pass_output
from ondol.cli.house import house, keep_log
from ondol.cli.output import Output
from ondol.errors import OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.server.background import ServerInfo

START_SECONDS = 60.0


def _address_options(function: F) -> F:
    host = option("--host", key="host", metavar="ADDRESS")
    port = option("--port", key="port", type=click.IntRange(0, 65535), metavar="N")
    return host(port(model_option()(function)))


@command("up")
@_address_options
@option("--foreground", key="foreground", is_flag=True)
@pass_output
def up(
    output: Output, host: str | None, port: int | None, model: str | None, foreground: bool
) -> None:
    from ondol.server.background import running, start_in_background

    flags = {"--host": host, "--port": port, "--model": model}
    with house(output, server_host=host, server_port=port, models_chat=model) as parts:
        info = running()
        if info is not None:
            _announce(info, output, is_new=False)
            return
        _open_library()
        _fetch_models(parts, output)
        if foreground:
            _serve(parts, output)
            return
    arguments = [
        text for flag, value in flags.items() if value is not None for text in (flag, str(value))
    ]
    with output.bar(None, bar_format="{desc} {elapsed}", desc=t("cli.starting")) as bar:
        info = start_in_background(
            arguments, on_wait=lambda waited: bar.update(0), timeout_seconds=START_SECONDS
        )
    _announce(info, output, is_new=True)


@command("serve")
@_address_options
@pass_output
def serve(output: Output, host: str | None, port: int | None, model: str | None) -> None:
    with house(output, server_host=host, server_port=port, models_chat=model) as parts:
        _open_library()
        _serve(parts, output)


@command("down")
@pass_output
def down(output: Output) -> None:
    stop_server(output)


def stop_server(output: Output) -> None:
    """End the running server, if there is one."""
    from ondol.server.background import running, stop

    info = running()
    if info is not None and not stop(info):
        raise OndolError(t("cli.would_not_stop", pid=info.pid), t("cli.would_not_stop_hint"))
    if output.json:
        output.emit({"stopped": info is not None})
    elif info is not None:
        output.line(t("cli.stopped_server", url=info.url))
    else:
        output.note(t("cli.not_running"))


def _serve(parts: Parts, output: Output) -> None:
    from ondol.server.background import serve

    if not output.debug:
        keep_log(logging.WARNING)
    serve(parts, on_ready=lambda info: _announce(info, output, is_new=True, is_here=True))


def _open_library() -> None:
    """Ask for the passphrase of a locked library while there is somebody to ask. The key stays in
    this process, and goes to the server that it starts."""
    from ondol import database, encryption, paths

    if encryption.is_locked(paths.database_file()):
        database.connect(paths.database_file()).close()


def _fetch_models(parts: Parts, output: Output) -> None:
    from ondol.cli.pulling import ensure_model

    for name in ("models.embedding", "models.chat"):
        ensure_model(parts, parts.config[name], output)


def _announce(info: ServerInfo, output: Output, *, is_new: bool, is_here: bool = False) -> None:
    if output.json:
        state: dict[str, Any] = {"url": info.url, "pid": info.pid, "started": is_new}
        output.emit(state)
        return
    if output.quiet:
        output.line(info.url)
        return
    output.line(t("cli.is_up" if is_new else "cli.is_up_already", url=info.url))
    output.note(t("cli.serve_hint") if is_here else t("cli.up_hint"))
