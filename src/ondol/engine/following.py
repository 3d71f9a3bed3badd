"""What is done with a model after an answer, in the background: the model stays for it, and a
request that came meanwhile goes first. Nothing that goes wrong there concerns anybody."""

from __future__ import annotations

import logging
import threading
from contextlib import AbstractContextManager
from dataclasses import replace

from ondol.engine.generation import Cancellation, Cancelled
from ondol.engine.request import Loaded
from ondol.engine.resident import Resident
from ondol.engine.states.keeping import Sitting
from ondol.engine.wire import Garbled, Refused
from ondol.errors import OndolError

_log = logging.getLogger(__name__)


def follow(
    lock: threading.Condition,
    resident: Resident,
    held: AbstractContextManager[None],
    loaded: Loaded,
    sitting: Sitting,
) -> None:
    """Do what ``sitting`` left for later, if anything. Meanwhile ``resident`` has one more user, of
    which ``held`` lets go; ``lock`` is the pool's."""
    work = sitting.later
    if work is None:
        return

    def still() -> bool:
        if resident.gone:
            raise Cancelled
        return True

    def run() -> None:
        import httpx2

        with held:
            try:
                with resident.seated(sitting.keeping, Cancellation(), still) as another:
                    work(replace(loaded, sitting=another))
            except Cancelled:
                pass
            except (OndolError, Refused, Garbled, httpx2.HTTPError, OSError, RuntimeError) as error:
                _log.debug("Nothing was saved: %s", type(error).__name__)

    with lock:
        resident.users += 1
    threading.Thread(target=run, name="ondol-engine-follow", daemon=True).start()
