"""``ondol hub``: make a hub, publish on it, add one that others made, and take from it."""

from __future__ import annotations

from ondol.cli import (
    hub_client,
    hub_install,
    hub_interop,
    hub_mirror,
    hub_operating,
    hub_publish,
    hub_repository,
    hub_scan,
    hub_serve,
    hub_signing,
)
from ondol.cli.hub_group import hub

__all__ = [
    "hub",
    "hub_client",
    "hub_install",
    "hub_interop",
    "hub_mirror",
    "hub_operating",
    "hub_publish",
    "hub_repository",
    "hub_scan",
    "hub_serve",
    "hub_signing",
]
