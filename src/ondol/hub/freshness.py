"""A hub that is served stays fresh: its timestamp is signed anew long before it expires.

Only where its online keys are: a copy of a hub is as fresh as what it was copied from. What goes
wrong is logged and tried again; the hub is served meanwhile.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ondol.errors import OndolError

EVERY_SECONDS = 3600.0

_log = logging.getLogger(__name__)


@contextmanager
def kept_fresh(folder: Path, every_seconds: float = EVERY_SECONDS) -> Iterator[None]:
    """Keep the hub in ``folder`` fresh inside the block."""
    ended = threading.Event()

    def keep() -> None:
        while True:
            refresh(folder)
            if ended.wait(every_seconds):
                return

    thread = threading.Thread(target=keep, name="hub-freshness", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def refresh(folder: Path) -> bool:
    """Sign what is past the middle of its life, if the keys for it are here; whether they are."""
    from ondol.hub.repository import Repository

    repository = Repository(folder)
    if not any(repository.layout.keys.glob("*.json")):
        return False
    try:
        repository.refresh(force=False)
    except OndolError as error:
        _log.warning("the hub could not be refreshed: %s", error.message)
        return False
    return True
