"""Which adapters answer where only their model is named, since when, and what was before.

One row is one activation and the last row of a model counts, so that it is switched over in one
moment. A row names the digests of the files that were measured: one that is gone, changed, stale or
on trial is never served, and the model then answers as it is. Models are named as the store names
them. Raises what the database raises, and ``UsageError`` for a rollback of nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondol.errors import ModelError, UsageError
from ondol.i18n import t
from ondol.models.adapters import Adapter
from ondol.place import Place, Placed
from ondol.types import Task

if TYPE_CHECKING:
    from ondol.database import Connection
    from ondol.models.adapters import AdapterStore

__all__ = ["NOTHING", "Activation", "Activations", "Chosen"]

ROLLED_BACK = "rolled_back"
"""The ``reason`` of a row that takes back the one before it."""
UPDATED = "updated"
"""Of a row under which a newer release has the name of the one before. It counts while that is in
its place, and the row before it until then: one rename switches both."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Adapters by name with their scales: ``chat`` answer where only the model is named,
    ``grounded`` questions about documents (none: as without any activation). ``digests`` are those
    of their files as they were measured."""

    chat: Mapping[str, float] = field(default_factory=dict)
    grounded: Mapping[str, float] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    def of(self, task: Task) -> Mapping[str, float]:
        """The scales for one task."""
        return self.grounded if task == "grounded" else self.chat

    @property
    def names(self) -> tuple[str, ...]:
        """Every adapter that it needs, sorted."""
        return tuple(sorted({*self.chat, *self.grounded}))

    def with_files(self, newer: Mapping[str, str]) -> Chosen:
        """The same adapters, of whose files ``newer`` has other digests."""
        digests = {name: newer.get(digest, digest) for name, digest in self.digests.items()}
        return Chosen(self.chat, self.grounded, digests)


NOTHING = Chosen()
"""The model alone."""


@dataclass(frozen=True, slots=True)
class Activation:
    """A row. ``reason`` is a code ("activated", "rolled_back", "deactivated", …), ``ledger_id`` the
    entry that says it was done, ``at`` ISO 8601 in UTC."""

    number: int
    model: str
    chosen: Chosen
    reason: str
    ledger_id: str
    at: str

    def json(self) -> dict[str, Any]:
        """For the CLI and the API."""
        return {
            "number": self.number,
            "model": self.model,
            "adapters": dict(self.chosen.chat),
            "grounded": dict(self.chosen.grounded),
            "digests": dict(self.chosen.digests),
            "reason": self.reason,
            "ledger_id": self.ledger_id,
            "at": self.at,
        }


class OvertakenError(Exception):
    """Another activation came between reading and writing."""


class Activations(Placed):
    """Safe to use from several threads and processes; ``close`` it. ``adapters`` gives those that
    are installed."""

    def __init__(self, place: Place, adapters: Callable[[], AdapterStore]) -> None:
        super().__init__(place)
        self._adapters = adapters
        self._lock = threading.Lock()
        self._hashed: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._warned: set[tuple[str, tuple[str, ...]]] = set()

    def active(self, model: str, task: Task = "chat") -> Mapping[str, float]:
        """Names and scales of the adapters that answer where only ``model`` is named: all that were
        activated together, or none when one of them may not be served."""
        chosen = self.chosen(model)
        wanted = chosen.of(task)
        if not wanted:
            return {}
        missing = self._missing(model, chosen, wanted)
        if not missing:
            return dict(wanted)
        with self._lock:
            is_new = (model, missing) not in self._warned
            self._warned.add((model, missing))
        if is_new:
            _log.warning("%s answers without its adapters: %s", model, ", ".join(missing))
        return {}

    def chosen(self, model: str) -> Chosen:
        """What was activated last, whether it can be served or not."""
        number = sys.maxsize
        while True:
            with self.place.reading() as connection:
                row = connection.execute(
                    f"{_SELECT} WHERE model = ? AND number < ? ORDER BY number DESC LIMIT 1",
                    [model, number],
                ).fetchone()
            if row is None:
                return NOTHING
            found = _activation(row)
            if found.reason != UPDATED or self._is_in_place(found):
                return found.chosen
            number = found.number

    def _is_in_place(self, row: Activation) -> bool:
        here = {one.name: one.digest for one in self._adapters().list(row.model)}
        return all(here.get(name) == digest for name, digest in row.chosen.digests.items())

    def missing(self, model: str) -> tuple[str, ...]:
        """The active adapters of ``model`` that may not be served: gone, changed or stale."""
        chosen = self.chosen(model)
        return self._missing(model, chosen, chosen.names)

    def activate(
        self,
        model: str,
        adapters: Mapping[str, float],
        digests: Mapping[str, str],
        reason: str,
        ledger_id: str,
        grounded: Mapping[str, float] | None = None,
    ) -> Activation:
        """From now on ``model`` answers with ``adapters``; with none, alone."""
        with self.place.writing() as connection:
            return self.write(
                connection, model, Chosen(adapters, grounded or {}, digests), reason, ledger_id
            )

    def write(
        self,
        connection: Connection,
        model: str,
        chosen: Chosen,
        reason: str,
        ledger_id: str,
        after: int | None = None,
    ) -> Activation:
        """The same inside the caller's own transaction on the same database. Where ``chosen`` comes
        of what was read before, ``after`` was the ``latest``: else ``OvertakenError``."""
        if after is not None and after != _latest(connection, model):
            raise OvertakenError
        at = datetime.now(UTC).isoformat(timespec="seconds")
        texts = [_json(part) for part in (chosen.chat, chosen.grounded, chosen.digests)]
        (number,) = connection.execute(
            "INSERT INTO activations (model, adapters, grounded, digests, reason, ledger_id, at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
            [model, *texts, reason, ledger_id, at],
        ).fetchone()
        return Activation(number, model, chosen, reason, ledger_id, at)

    def rollback(self, model: str, ledger_id: str = "") -> Activation:
        """Return to what answered before the last activation that was not taken back yet."""
        with self.place.writing() as connection:  # nobody else writes meanwhile
            before = self.before(model)
            return self.write(connection, model, before, ROLLED_BACK, ledger_id)

    def latest(self, model: str) -> int:
        """The number of the last activation of ``model``; 0 where there was none."""
        with self.place.reading() as connection:
            return _latest(connection, model)

    def before(self, model: str) -> Chosen:
        """What a rollback of ``model`` returns to."""
        states = self._states(model)
        if len(states) < 2:
            told = t("activation.nothing_to_roll_back", model=model)
            raise UsageError(told, t("activation.nothing_to_roll_back_hint"), param="model")
        return states[-2]

    def has_before(self, model: str) -> bool:
        """Whether there is something that a rollback of ``model`` returns to."""
        return len(self._states(model)) > 1

    def _states(self, model: str) -> list[Chosen]:
        """What answered, one activation that stands after the other; the last one counts."""
        states = [NOTHING]
        for one in reversed(self.history(model)):
            if one.reason == ROLLED_BACK:
                states = states[:-1] or [NOTHING]
            elif one.reason == UPDATED:
                # A rollback is to other adapters, not to older releases of the same.
                old, new = states[-1].digests, one.chosen.digests
                newer = {old[name]: new[name] for name in old.keys() & new.keys()}
                states = [*(each.with_files(newer) for each in states[:-1]), one.chosen]
            else:
                states.append(one.chosen)
        return states

    def history(self, model: str | None = None) -> list[Activation]:
        """Every activation of ``model``, or of all models; the latest first."""
        where, values = ("WHERE model = ?", [model]) if model is not None else ("", [])
        with self.place.reading() as connection:
            rows = connection.execute(f"{_SELECT} {where} ORDER BY number DESC", values).fetchall()
        return [_activation(row) for row in rows]

    def digest_of(self, adapter: Adapter) -> str:
        """The digest of what is in the adapter's file now; "" when it cannot be read. A file is
        read again only when it looks changed."""
        try:
            path = self._adapters().path(adapter)
            known = path.stat()
            stamp = known.st_ctime_ns, known.st_size, known.st_ino
            with self._lock:
                if path in self._hashed and self._hashed[path][0] == stamp:
                    return self._hashed[path][1]
            with path.open("rb") as file:
                digest = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        except (OSError, ModelError):
            return ""
        with self._lock:
            self._hashed[path] = stamp, digest
        return digest

    def _missing(self, model: str, chosen: Chosen, names: Iterable[str]) -> tuple[str, ...]:
        try:
            here = {one.name: one for one in self._adapters().list(model) if not one.stale}
        except (ModelError, UsageError):
            here = {}
        return tuple(
            sorted(
                name
                for name in names
                if name not in here or not self._is_measured(here[name], chosen.digests.get(name))
            )
        )

    def _is_measured(self, adapter: Adapter, digest: str | None) -> bool:
        return (
            not adapter.is_candidate
            and adapter.digest == digest
            and self.digest_of(adapter) == digest
        )


_SELECT = (
    "SELECT number, model, adapters, grounded, digests, reason, ledger_id, at FROM activations"
)


def _latest(connection: Connection, model: str) -> int:
    (number,) = connection.execute(
        "SELECT coalesce(max(number), 0) FROM activations WHERE model = ?", [model]
    ).fetchone()
    return int(number)


def _activation(row: Any) -> Activation:
    number, model, adapters, grounded, digests, reason, ledger_id, at = row
    chosen = Chosen(json.loads(adapters), json.loads(grounded), json.loads(digests))
    return Activation(number, model, chosen, reason, ledger_id or "", at)


def _json(found: Mapping[str, Any]) -> str:
    return json.dumps(dict(found), sort_keys=True, allow_nan=False)
