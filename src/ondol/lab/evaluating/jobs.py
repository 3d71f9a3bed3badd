"""Evaluations that a server makes for its owner, one at a time, in the background.

What is asked and said stays in memory, and only scores reach the history. Raises
``EvaluationBusyError``, and what an evaluation raises before its first question.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ondol.errors import OndolError
from ondol.errors.evaluations import EvaluationBusyError, EvaluationStoppedError
from ondol.i18n import t
from ondol.lab.evaluating.evaluate import Wanted, evaluate, plan, subject_of
from ondol.parts import Parts

State = Literal["running", "done", "failed", "stopped"]
LAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How the latest evaluation stands. ``evaluation`` is its id in the history once it is done;
    ``error`` says why it failed."""

    model: str
    state: State = "running"
    done: int = 0
    total: int = 0
    evaluation: str = ""
    error: dict[str, str] | None = None

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class Jobs:
    """Of one server. Safe to use from several threads; ``close`` it: what runs is stopped then."""

    def __init__(self, parts: Parts, run: Callable[..., Any] = evaluate) -> None:
        self._parts = parts
        self._evaluate = run
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._now: Standing | None = None

    @property
    def now(self) -> Standing | None:
        """How the latest one stands; None before the first."""
        return self._now

    def start(self, wanted: Wanted) -> Standing:
        """Begin. What could not be asked is refused here, before anything runs."""
        subject = subject_of(self._parts, wanted.model)
        sets, _ = plan(self._parts, wanted, subject)
        with self._lock:
            if self._now is not None and self._now.state == "running":
                raise EvaluationBusyError(t("evaluating.busy"), t("evaluating.busy_hint"))
            if self._thread is not None:
                # It has said how it ended, and is on its way out.
                self._thread.join()
            self._stop.clear()
            self._now = Standing(subject.model, total=sum(map(len, sets.values())))
            work = partial(copy_context().run, self._run, wanted)
            self._thread = threading.Thread(target=work, name="ondol-evaluation", daemon=True)
            self._thread.start()
            return self._now

    def stop(self) -> Standing | None:
        """Stop what runs; how it stands then."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(LAST_SECONDS)
        return self._now

    def close(self) -> None:
        """The same, for good."""
        self.stop()

    def _run(self, wanted: Wanted) -> None:
        try:
            found = self._evaluate(
                self._parts, wanted, on_progress=self._progress, is_stopped=self._stop.is_set
            )
            self._say(state="done", evaluation=found.evaluation.id)
        except EvaluationStoppedError:
            self._say(state="stopped")
        except OndolError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            self._say(state="failed", error=told)
        except BaseException:
            self._say(state="failed", error={"code": "internal_error", "message": "", "hint": ""})
            raise

    def _progress(self, done: int, total: int) -> None:
        self._say(done=done, total=total)

    def _say(self, **what: Any) -> None:
        assert self._now is not None
        self._now = replace(self._now, **what)
