"""Personal trainings that a server runs for its owner, one at a time: start, pause, resume, cancel.

How each stands is in its folder, which other processes write to as well (``ondol train``): so what
a server that was killed left behind is listed as paused and goes on from there, and a training of
the command line is seen here too. Raises ``TrainingNotFoundError``, ``TrainingError`` and what a
training raises before its work begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from functools import partial

from ondol import trainable
from ondol.errors import OndolError, TrainingError
from ondol.i18n import t
from ondol.parts import Parts
from ondol.personal import planning, standing, training
from ondol.personal.standing import Standing, Training
from ondol.training import control

LAST_SECONDS = 10.0


class Runs:
    """Of one server; safe to use from several threads. ``close`` it: what runs is paused then."""

    def __init__(self, parts: Parts, is_busy: Callable[[], bool] | None = None) -> None:
        self._parts = parts
        self._is_busy = is_busy
        self._lock = threading.Lock()
        self._id = ""
        self._thread: threading.Thread | None = None
        self._begun = threading.Event()
        self._refusal: OndolError | None = None

    def list(self) -> list[Standing]:
        """Every training on this machine that is kept, the latest first."""
        return standing.listed()

    def get(self, id: str) -> Standing:
        return standing.read(id)

    def start(self, wanted: Training) -> Standing:
        """Begin ``wanted``, or go on with it where the very same was interrupted. What could not be
        trained is refused here, before anything runs."""
        made = planning.plan(self._parts, wanted)
        return self._go(made.id, wanted, None)

    def resume(self, id: str) -> Standing:
        """Go on with a training that is paused or failed."""
        before = standing.read(id)
        if before.state not in ("paused", "failed"):
            return before
        planning.plan(self._parts, before.training, before)
        return self._go(id, before.training, before)

    def pause(self, id: str) -> Standing:
        """Stop after the step that is under way; what was learned is kept."""
        before = standing.read(id)
        if before.state in ("running", "waiting"):
            stop(before, "pause")
        return standing.read(id)

    def cancel(self, id: str) -> None:
        """Stop it, and erase what it kept; an adapter that it made already stays."""
        before = standing.read(id)
        if before.state in ("running", "waiting"):
            stop(before, "cancel")
            thread = self._thread if self._id == id else None
            if thread is not None:
                thread.join(LAST_SECONDS)
            return
        with trainable.alone(id):
            standing.erase(id)

    def close(self) -> None:
        """Pause what runs; the next server lists it as paused."""
        with self._lock:
            thread, id = self._thread, self._id
        if thread is None or not thread.is_alive():
            return
        with suppress(OndolError):
            stop(standing.read(id), "pause")
        thread.join(LAST_SECONDS)

    def _go(self, id: str, wanted: Training, pinned: Standing | None) -> Standing:
        with self._lock:
            self._let_go()
            if self._thread is not None and self._thread.is_alive():
                if self._id == id:
                    return standing.read(id)
                raise TrainingError(t("personal.busy"), t("personal.busy_hint"))
            if standing.is_held(training.ALONE):
                raise TrainingError(t("personal.busy"), t("personal.busy_hint"))
            begun = self._begun = threading.Event()
            self._id, self._refusal = id, None
            work = partial(copy_context().run, self._run, wanted, pinned, begun)
            self._thread = threading.Thread(target=work, name="ondol-training", daemon=True)
            self._thread.start()
        # Until it is in its folder, so that who asks next finds it.
        begun.wait(LAST_SECONDS)
        if self._refusal is not None:
            raise self._refusal
        return standing.read(id)

    def _let_go(self) -> None:
        """One that has said how it ended is on its way out, and not what keeps the next waiting."""
        if self._thread is None or not self._begun.is_set():
            return
        with suppress(OndolError):
            if standing.read(self._id).state in ("running", "waiting"):
                return
        self._thread.join(LAST_SECONDS)

    def _run(self, wanted: Training, pinned: Standing | None, begun: threading.Event) -> None:
        def changed(now: Standing) -> None:
            begun.set()

        try:
            training.train_personal(
                self._parts,
                wanted,
                on_progress=changed,
                pinned=pinned,
                is_busy=self._is_busy if wanted.when_idle else None,
            )
        except OndolError as error:
            # How one that began ends is in its folder: refused, paused, or failed and why.
            if not begun.is_set():
                self._refusal = error
        finally:
            begun.set()


def stop(before: Standing, wanted: standing.Wanted) -> None:
    """Ask whoever is at a training, in whichever process, to pause or to cancel it."""
    standing.request(before.id, wanted)
    if before.stage in standing.JOBS:
        ask = control.cancel if wanted == "cancel" else control.pause
        with suppress(OndolError):
            ask(before.folder / before.stage)
