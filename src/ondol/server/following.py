"""The server keeps the library up with the folders that are watched, behind everything else.

Its thread has the lowest claim on the processors, and waits while a model gives an answer. What
goes wrong there is logged and tried again; it never ends the server.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from socket import socket
from typing import TYPE_CHECKING

from ondol import paths
from ondol.errors import OndolError
from ondol.retrieval.watch import Follower

if TYPE_CHECKING:
    from ondol.parts import Parts
    from ondol.retrieval.folders import Folder
    from ondol.retrieval.library import Library
    from ondol.server.door.tls import Certificate

logger = logging.getLogger(__name__)


def run(
    parts: Parts,
    sockets: Sequence[socket],
    on_started: Callable[[], None],
    certificate: Certificate | None = None,
) -> None:
    """Serve ``parts`` on ``sockets`` until told to stop, to phones too where the settings say so,
    and follow the watched folders."""
    from ondol.server.app import create_app
    from ondol.server.door.phone import PhoneDoor
    from ondol.server.listening import run

    door = None
    if parts.config["server.phone"]:
        door = PhoneDoor(parts.config)
        door.bind()
    with follower(parts):
        run(create_app(parts, door), sockets, on_started, certificate=certificate)


def follower(parts: Parts) -> Follower:
    """A context manager: the library of ``parts`` follows its watched folders inside the block."""

    def watched(library: Library) -> list[Folder]:
        return [folder for folder in library.folders() if folder.watch]

    def fail(error: Exception) -> None:
        # Never the names of files: a log outlives what was forgotten.
        said = error.code if isinstance(error, OndolError) else type(error).__name__
        logger.warning("The watched folders could not be followed: %s", said)

    return Follower(
        lambda: parts.library,
        watched,
        fail=fail,
        is_busy=lambda: any(model.in_use for model in parts.pool.loaded()),
        is_due=lambda: paths.database_file().exists(),
    )
