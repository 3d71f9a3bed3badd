"""How far documents may travel at this moment, whatever was read of them before.

An answer takes its time, and its owner may tighten a label meanwhile. What is in no library has no
label here, and keeps the one that it brought along.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable

from ondol.database import Connection
from ondol.types import Sensitivity


class CurrentLabels:
    """The labels in one library; ``lock`` guards its ``connection``."""

    def __init__(self, connection: Connection, lock: threading.RLock) -> None:
        self._connection = connection
        self._lock = lock

    def strictest(self, sources: Iterable[str]) -> Sensitivity:
        """The strictest label of the documents named ``sources``."""
        with self._lock:
            (found,) = self._connection.execute(
                "SELECT min(l.sensitivity) FROM json_each(?) "
                "JOIN documents d ON d.source = value JOIN labels l ON l.document_id = d.id",
                (json.dumps(sorted(set(sources))),),
            ).fetchone()
        return Sensitivity.PUBLIC if found is None else Sensitivity(found)
