"""While a server is up: hear of engines that fail, look at the health of what was updated, and ask
the hubs once a day where the owner wants that (``update.check``). Nothing is installed by itself.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ondol import paths
from ondol.errors import OndolError

if TYPE_CHECKING:
    from ondol.parts import Parts

LOOK_SECONDS = 600.0
DAY = timedelta(days=1)

_log = logging.getLogger(__name__)


class Attending:
    """Of one process. ``start`` it, ``close`` it in the end."""

    def __init__(self, parts: Parts, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._parts = parts
        self._look_seconds = look_seconds
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._open = ExitStack()

    def start(self) -> None:
        """Begin, in a thread of its own."""
        from ondol.updating.watching import watching

        self._open.enter_context(watching(self._parts))
        run = copy_context().run
        work = lambda: run(self._run)  # noqa: E731
        self._thread = threading.Thread(target=work, name="ondol-updates", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End; what is under way is waited for."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._open.close()

    def look(self) -> None:
        """Look once. Raises nothing that a hub or a locked library is the reason of."""
        if not paths.database_file().exists():
            return
        try:
            if not self._knows_any():
                return
            from ondol.updating import health, updater

            health.look(self._parts)
            if self._parts.config["update.check"] and self._is_due():
                found = updater.check(self._parts)
                newer = sum(one.release is not None for one in found.offers)
                _log.info("hubs were asked: %d updates, %d troubles", newer, len(found.troubles))
        except OndolError as error:
            _log.info("updates were not looked at: %s", error.message)

    def _knows_any(self) -> bool:
        from ondol.hub.client.rows import Hubs
        from ondol.updating.installs import Installs

        with Hubs.open() as hubs, Installs.open() as kept:
            return bool(hubs.list()) or bool(kept.rows())

    def _is_due(self) -> bool:
        """Whether a hub was not asked for a day, or was asked in vain."""
        from ondol.hub.client.rows import Hubs

        with Hubs.open() as hubs:
            rows = hubs.list()
        now = datetime.now(UTC)
        return any(
            row.refreshed_at is None or now - datetime.fromisoformat(row.refreshed_at) > DAY
            for row in rows
        )

    def _run(self) -> None:
        while not self._closing.wait(self._look_seconds):
            self.look()
