"""Pulls that go on in the server, whoever looks: start, pause, resume, give up, follow.

A broken line is no failure: the pull says so, waits, and tries again by itself. What is unfinished
is remembered in a file of the state directory, so that a server that starts again lists it as
paused. Raises ``UsageError``, ``ModelNotFoundError`` and ``StorageError``.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from ondol.errors import DownloadError, ModelError, OndolError
from ondol.i18n import t
from ondol.models.patience import Patience
from ondol.server.errors import body_in, failure_of
from ondol.server.native.pull_state import Pull, read, write

if TYPE_CHECKING:
    from ondol.models.pull import Progress
    from ondol.parts import Parts

# Short, because the pull itself waits and tries again, where everybody can see that it does.
PATIENCE = Patience(read_timeout_seconds=10.0, attempts=2, backoff_seconds=0.5)
PAUSES_SECONDS = (2.0, 5.0, 10.0, 30.0, 60.0)
UNFINISHED = ("running", "waiting", "paused")


class PullNotFoundError(ModelError):
    """There is no pull of that id."""

    code = "pull_not_found"
    status = 404


class Pulls:
    """All pulls of one server; safe to use from several threads. ``changed`` is notified at every
    event; ``number`` counts them, and goes on rising over restarts."""

    def __init__(
        self,
        parts: Parts,
        *,
        patience: Patience = PATIENCE,
        pauses_seconds: tuple[float, ...] = PAUSES_SECONDS,
    ) -> None:
        self._parts = parts
        self._patience = patience
        self._pauses = pauses_seconds
        self._pulls: dict[str, Pull] | None = None
        self.changed = threading.Condition()
        self.number = self.first_number = int(time.time() * 1000)
        self.removed: dict[str, int] = {}
        self.closed = False

    def list(self) -> list[Pull]:
        """Every pull of this run of the server, and what an earlier one left unfinished."""
        with self.changed:
            return list(self._known().values())

    def start(self, model: str) -> tuple[Pull, bool]:
        """Pull ``model``, and whether that is a new pull: one that is under way, or waits, goes
        on instead."""
        from ondol.models import catalog, names

        entry = catalog.load().entry(model)
        self._parts.adapters.refuse(model, "pull")
        name = names.normalize(model)
        with self.changed:
            for pull in self._known().values():
                if pull.model == name and pull.state != "done":
                    return self.resume(pull.id), False
            at = datetime.now(UTC).isoformat(timespec="seconds")
            pull = Pull(uuid4().hex[:12], name, at)
            pull.expected_bytes = entry.size_bytes if entry else 0
            self._known()[pull.id] = pull
            self._go(pull)
            return pull, True

    def pause(self, id: str) -> Pull:
        """Stop a pull and keep what it has."""
        with self.changed:
            pull = self._get(id)
            if pull.state in ("running", "waiting"):
                self._halt(pull)
                pull.state, pull.tries_again_at = "paused", ""
                self._happened(pull)
            return pull

    def resume(self, id: str) -> Pull:
        """Go on with a pull that is paused, waits or failed, now."""
        with self.changed:
            pull = self._get(id)
            if pull.state == "waiting":
                pull.wake.set()
            elif pull.state in ("paused", "failed"):
                self._go(pull)
            return pull

    def remove(self, id: str) -> None:
        """Give a pull up, with what it has; of one that is done, only stop listing it."""
        with self.changed:
            pull = self._get(id)
            self._halt(pull)
            del self._known()[id]
            self.number += 1
            self.removed[id] = self.number
            self._save()
            self.changed.notify_all()
        if pull.thread is None or not pull.thread.is_alive():
            self._abandon(pull)

    def close(self) -> None:
        """Stop every pull; the next server lists them as paused."""
        with self.changed:
            self.closed = True
            running = [one for one in self._known().values() if one.thread] if self._pulls else []
            for pull in running:
                self._halt(pull)
            self.changed.notify_all()
        for pull in running:
            if pull.thread is not None:
                pull.thread.join(2)

    def _get(self, id: str) -> Pull:
        pull = self._known().get(id)
        if pull is None:
            raise PullNotFoundError(t("pulls.no_such_pull"))
        return pull

    def _go(self, pull: Pull) -> None:
        pull.state, pull.status, pull.error, pull.tries = "running", "", None, 0
        pull.cancel, pull.wake, pull.samples = threading.Event(), threading.Event(), []
        work = partial(copy_context().run, self._run, pull, pull.cancel)
        pull.thread = threading.Thread(target=work, name="ondol-pull", daemon=True)
        self._happened(pull)
        pull.thread.start()

    def _halt(self, pull: Pull) -> None:
        pull.cancel.set()
        pull.wake.set()

    def _run(self, pull: Pull, cancel: threading.Event) -> None:
        while not cancel.is_set():
            before = pull.completed_bytes
            error = self._try(pull, cancel)
            with self.changed:
                if cancel.is_set():
                    break
                if error is None:
                    pull.state = "done"
                    self._happened(pull)
                    return
                pull.error = body_in("native", failure_of(error))["error"]
                if not (isinstance(error, DownloadError) and error.is_passing):
                    pull.state = "failed"
                    self._happened(pull)
                    return
                if pull.completed_bytes > before:
                    pull.tries = 0
                seconds = self._pauses[min(pull.tries, len(self._pauses) - 1)]
                pull.tries += 1
                again = datetime.now(UTC) + timedelta(seconds=seconds)
                pull.state, pull.tries_again_at = "waiting", again.isoformat(timespec="seconds")
                self._happened(pull)
            pull.wake.wait(seconds)
            with self.changed:
                if not cancel.is_set():
                    pull.wake.clear()
                    pull.state, pull.tries_again_at, pull.samples = "running", "", []
                    self._happened(pull)
        if self._pulls is not None and pull.id not in self._pulls:
            self._abandon(pull)

    def _try(self, pull: Pull, cancel: threading.Event) -> Exception | None:
        from ondol.models.pull import pull as fetch

        def on_progress(progress: Progress) -> None:
            with self.changed:
                if not cancel.is_set():
                    new = progress.key and progress.key not in pull.files
                    pull.error = None if progress.completed_bytes else pull.error
                    pull.tell(progress)
                    self._happened(pull, is_kept=bool(new))

        try:
            fetch(
                pull.model,
                self._parts.store,
                self._parts.egress,
                on_progress=on_progress,
                cancel=cancel,
                patience=self._patience,
            )
        except Exception as error:
            return error
        return None

    def _abandon(self, pull: Pull) -> None:
        from ondol.models.abandoning import abandon

        with suppress(OndolError):
            abandon(pull.model, pull.files, self._parts.store)

    def _happened(self, pull: Pull, *, is_kept: bool = True) -> None:
        self.number += 1
        pull.number = self.number
        if is_kept:
            self._save()
        self.changed.notify_all()

    def _known(self) -> dict[str, Pull]:
        if self._pulls is None:
            self._pulls = {pull.id: pull for pull in read()}
            for pull in self._pulls.values():
                self.number += 1
                pull.number = self.number
        return self._pulls

    def _save(self) -> None:
        write([one for one in self._known().values() if one.state in UNFINISHED])
