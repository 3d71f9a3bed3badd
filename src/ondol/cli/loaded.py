"""``ondol ps`` and ``stop``: the models that the running server has in memory."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ondol.cli.command import command, model_argument, option, pass_output
from ondol.cli.house import house
from ondol.cli.output import Output
from ondol.errors import UsageError
from ondol.i18n import t


@command("ps")
@pass_output
def ps(output: Output) -> None:
    from ondol.cli import remote
    from ondol.models.blobs import readable_size

    with house(output) as parts:
        server = remote.find(parts.config)
        loaded = server.loaded() if server else []
    if output.json:
        output.emit({"loaded": loaded})
        return
    rows = [
        (m["model"], readable_size(m["size_bytes"]), _cache(m), f"{m['num_ctx']:,}", _until(m))
        for m in loaded
    ]
    columns = ("name", "memory", "cache", "context", "until")
    output.table([t(f"cli.column_{name}") for name in columns], rows)
    if server is None:
        output.note(t("cli.not_running"))


@command("stop")
@model_argument(required=False)
@option("--server", key="server", is_flag=True)
@pass_output
def stop(output: Output, name: str | None, server: bool) -> None:
    if server:
        from ondol.cli.server import stop_server

        stop_server(output)
        return
    if name is None:
        raise UsageError(t("cli.missing", name="NAME"), t("cli.see_help", command="ondol stop"))
    was_loaded = _stop(name, output)
    if output.json:
        output.emit({"stopped": was_loaded})
    else:
        output.line(t("cli.stopped" if was_loaded else "cli.was_not_loaded", name=name))


def _stop(name: str, output: Output) -> bool:
    from ondol.cli import remote

    with house(output) as parts:
        running = remote.find(parts.config)
        return running.unload(name) if running else False


def _cache(model: dict[str, Any]) -> str:
    """What of its memory is for the prompts that it has read, and as what that is kept."""
    from ondol.models.blobs import readable_size

    if not model["kv_cache_bytes"]:
        return "–"
    return f"{readable_size(model['kv_cache_bytes'])} {model['cache_type']}"


def _until(model: dict[str, Any]) -> str:
    """When the model leaves memory if nobody asks it anything."""
    if model["expires_at"] is None:
        return t("cli.for_ever")
    seconds = (datetime.fromisoformat(model["expires_at"]) - datetime.now(UTC)).total_seconds()
    if model["in_use"]:
        return t("cli.in_use")
    if seconds < 60:
        return t("cli.in_seconds", count=max(0, round(seconds)))
    return t("cli.in_minutes", count=round(seconds / 60))
