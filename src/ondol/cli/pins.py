"""``ondol pin``, ``unpin`` and ``pins``: documents that the model has read before it is asked."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from ondol.cli.command import PathName, command, model_option, option, pass_output, words
from ondol.cli.house import house
from ondol.cli.output import Output, clean, name_line, place
from ondol.errors import OndolError, UsageError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.pins import Pin


@command("pin")
@click.argument("path", required=False, type=PathName())
@option("--collection", key="pin_collection", metavar="NAME", type=words)
@option("--name", key="pin_name", metavar="NAME", type=words)
@model_option()
@pass_output
def pin(
    output: Output, path: Path | None, collection: str | None, name: str | None, model: str | None
) -> None:
    from ondol import pinned
    from ondol.cli import remote

    if (path is None) == (collection is None):
        raise UsageError(t("pins.one_of_both"), t("cli.see_help", command="ondol pin"))
    with house(output, models_chat=model) as parts:
        server = remote.find(parts.config)
        made = pinned.pin(parts.library, path, collection or "", name or "")
        if server:
            reading = f"/ondol/v1/pins/{quote(made.name, safe='')}/read"
            server.request("POST", reading, {"model": model})
            output.note(t("pins.reading_there"))
            found: dict[str, Any] = asdict(made)
        else:
            output.note(t("pins.reading", name=clean(made.name)))
            found = asdict(made) | _read(parts, made)
    if output.json:
        output.emit(found)
        return
    output.line(t("pins.pinned", what=_what(made), name=clean(made.name)))
    if found.get("state_bytes"):
        from ondol.models.blobs import readable_size

        size = readable_size(found["state_bytes"])
        output.note(t("pins.read", name=made.name, tokens=found["tokens"], size=size))
    elif "tokens" in found:
        output.note(t("pins.read_unsaved", tokens=found["tokens"]))


@command("unpin")
@click.argument("name", type=words)
@pass_output
def unpin(output: Output, name: str) -> None:
    from ondol import pinned
    from ondol.cli import remote

    with house(output) as parts:
        pinned.unpin(parts.library, name)
        if server := remote.find(parts.config):
            with suppress(OndolError):  # it is an older one, or just ending
                server.request("DELETE", f"/ondol/v1/pins/{quote(name, safe='')}/read")
    if output.json:
        output.emit({"unpinned": name})
    else:
        output.line(t("pins.unpinned", name=clean(name)))


@command("pins")
@pass_output
def pins(output: Output) -> None:
    from ondol import pinned
    from ondol.models.blobs import readable_size

    with house(output) as parts:
        found = pinned.listed(parts.library)
    if output.json:
        output.emit({"pins": found})
        return
    rows = [
        (
            name_line(one["name"]),
            place(one["source"]) if one["source"] else _collection(one["collection"]),
            readable_size(one["state_bytes"]) if one["state_bytes"] else t("pins.state_none"),
        )
        for one in found
    ]
    output.table([t(f"pins.column_{key}") for key in ("pin", "what", "tokens")], rows)
    if not found:
        output.note(t("pins.nothing"))


def _read(parts: Parts, pin: Pin) -> dict[str, int]:
    from ondol import pinned

    saved = pinned.prepare_in(parts, pin.name)
    return {"tokens": saved.tokens, "state_bytes": saved.size_bytes}


def _what(pin: Pin) -> str:
    return place(pin.source) if pin.source else _collection(pin.collection)


def _collection(name: str) -> str:
    return t("pins.collection", name=clean(name))
