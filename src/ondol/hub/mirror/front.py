"""All that a hub answers by HTTP, put together: its own files, huggingface_hub's API, Ollama's
registry, and the pull-through where it has an upstream. ``ondol hub serve`` and home serve it.

Raises ``HubNotFoundError`` where the folder is no hub.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette

from ondol.egress import Egress
from ondol.errors import UsageError
from ondol.hub.freshness import kept_fresh
from ondol.hub.mirror import hf, registry
from ondol.hub.mirror.bringing import MOST_BYTES, Bringer
from ondol.hub.mirror.pulling import PullThrough
from ondol.hub.mirror.quarantine import Quarantine
from ondol.hub.mirror.shelf import Shelf
from ondol.hub.mirror.upstream import Upstream
from ondol.hub.repository import Repository
from ondol.hub.serving import create_app
from ondol.i18n import t

HUGGING_FACE = "huggingface"
"""What an owner may write for its address."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where a mirror brings from: an address or ``huggingface``; which repositories clients may
    make it bring (any, where ``allow`` is empty), and how many bytes may wait in all."""

    url: str
    allow: Sequence[str] = ()
    most_bytes: int = MOST_BYTES


@contextmanager
def opened(folder: Path, egress: Egress, source: Source | None = None) -> Iterator[Starlette]:
    """The app of the hub in ``folder``, which is kept fresh inside the block."""
    hub_in(folder)
    shelf = Shelf(folder)
    pull = None
    if source is not None:
        pull = PullThrough(bringer(folder, egress, source), source.allow)
    try:
        with kept_fresh(folder):
            yield create_app(folder, [*registry.routes(shelf), *hf.routes(shelf, pull)])
    finally:
        if pull is not None:
            pull.close()


def hub_in(folder: Path) -> str:
    """The fingerprint of the hub in ``folder``; HubNotFoundError where there is none."""
    return Repository(folder).fingerprint


def bringer(folder: Path, egress: Egress, source: Source) -> Bringer:
    """What brings snapshots of ``source`` to the hub in ``folder``."""
    upstream = Upstream(address(source.url), egress, token=os.environ.get("HF_TOKEN", ""))
    shelf = Shelf(folder)
    return Bringer(
        upstream,
        Quarantine(folder),
        have=shelf.blob,
        approved=shelf.paths_of,
        most_bytes=source.most_bytes,
    )


def address(text: str) -> str:
    """The URL of the upstream that ``text`` names; UsageError where it names none."""
    if text == HUGGING_FACE:
        from huggingface_hub import constants

        # Not its endpoint, which HF_ENDPOINT may have made this very hub.
        return str(constants.HUGGINGFACE_CO_URL_HOME).rstrip("/")
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment or parts.username:
        raise UsageError(
            t("hub_mirror.bad_upstream", url=text[:200]), t("hub_mirror.bad_upstream_hint")
        )
    return text.rstrip("/")
