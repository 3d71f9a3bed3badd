"""``ondol up``, ``serve`` and ``down``: the server of this user."""

from __future__ import annotations

import logging
import os
import sys
from functools import partial
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from ondol.cli.command import F, command, model_option, option, pass_output
from ondol.cli.house import house, keep_log
from ondol.cli.output import Output
from ondol.errors import OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.server.address_file import ServerInfo

START_SECONDS = 60.0


def _address_options(function: F) -> F:
    host = option("--host", key="host", metavar="ADDRESS")
    port = option("--port", key="port", type=click.IntRange(0, 65535), metavar="N")
    tls = option("--tls", key="tls", is_flag=True, default=None)
    cert = option("--tls-cert", key="tls_cert", metavar="FILE")
    tls_key = option("--tls-key", key="tls_key", metavar="FILE")
    return host(port(tls(cert(tls_key(model_option()(function))))))


@command("up")
@_address_options
@option("--phone", key="phone", is_flag=True)
@option("--foreground", key="foreground", is_flag=True)
@pass_output
def up(
    output: Output,
    /,
    phone: bool,
    foreground: bool,
    **address: Any,
) -> None:
    from ondol.server.background import running, start_in_background

    with house(output, **_settings(address)) as parts:
        info = running()
        key = parts.config["server.api_key"]
        if info is not None:
            _welcome(info, key, output, is_new=False, phone=phone)
            return
        _open_library()
        _fetch_models(parts, output)
        if foreground:
            _serve(parts, output, phone)
            return
    arguments = [
        text
        for name, value in address.items()
        if value is not None
        for text in (f"--{name.replace('_', '-')}", *([] if value is True else [str(value)]))
    ]
    with output.bar(None, bar_format="{desc} {elapsed}", desc=t("cli.starting")) as bar:
        info = start_in_background(
            arguments, on_wait=lambda waited: bar.update(0), timeout_seconds=START_SECONDS
        )
    _welcome(info, key, output, is_new=True, phone=phone)


@command("serve")
@_address_options
@option("--phone", key="phone", is_flag=True)
@pass_output
def serve(output: Output, /, phone: bool, **address: Any) -> None:
    with house(output, **_settings(address)) as parts:
        _open_library()
        _serve(parts, output, phone)


def _settings(address: dict[str, Any]) -> dict[str, Any]:
    """The settings that the options of an address stand for."""
    chat = address.get("model")
    return {f"server_{name}": v for name, v in address.items() if name != "model"} | {
        "models_chat": chat
    }


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


def _serve(parts: Parts, output: Output, phone: bool = False) -> None:
    from ondol.server.background import serve

    if not output.debug:
        keep_log(logging.WARNING)
    key = parts.config["server.api_key"]

    def on_ready(info: ServerInfo) -> None:
        welcome = partial(_welcome, info, key, output, is_new=True, phone=phone, is_here=True)
        if phone:
            # The server cannot answer before this call returns.
            Thread(target=welcome, daemon=True).start()
        else:
            welcome()

    serve(parts, on_ready=on_ready)


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


def _welcome(
    info: ServerInfo, key: str, output: Output, *, is_new: bool, phone: bool, is_here: bool = False
) -> None:
    from ondol.cli.phone import invite, show
    from ondol.cli.remote import Server

    server = Server(info.url, key, info.certificate)
    invitation = invite(server, output) if phone else None
    if output.json:
        state: dict[str, Any] = {"url": info.url, "pid": info.pid, "started": is_new}
        output.emit(state | ({"phone": invitation} if phone else {}))
        return
    if output.quiet:
        output.line(info.url)
    else:
        output.line(t("cli.is_up" if is_new else "cli.is_up_already", url=info.url))
        output.note(t("cli.serve_hint") if is_here else t("cli.up_hint"))
        _say_whom_to_trust(info, output)
        if is_new and not is_here:
            _open_page(info.url)
    if invitation is not None:
        show(invitation, output)


def _say_whom_to_trust(info: ServerInfo, output: Output) -> None:
    """Where the server's certificate is of Ondol's own authority: what programs have to trust."""
    from ondol.server.door.tls import own_authority

    own = own_authority(info.certificate)
    if own is not None:
        output.note(t("tls.trust_hint", file=own[0]))
        output.note(t("tls.fingerprint", fingerprint=own[1]))


def _open_page(url: str) -> None:
    """Show the web app where somebody sits before a screen; elsewhere the address was told."""
    has_screen = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")
    )
    import webbrowser

    if has_screen and sys.stdout.isatty() and not os.environ.get("SSH_CONNECTION"):
        webbrowser.open(url)
