"""Tunings that a server makes for its owner, one at a time, in the background.

The server answers meanwhile, and slower; the model that is tuned is unloaded when it begins. Raises
``EvaluationBusyError``, and what a tuning raises before it measures.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ondol.errors import EvaluationBusyError, LedgerError, LockedError, OndolError, UsageError
from ondol.i18n import t
from ondol.lab.tuning.mix import Mix, mix_of
from ondol.lab.tuning.tuning import Tuning
from ondol.parts import Parts

State = Literal["running", "done", "failed", "stopped"]
LAST_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """``apply`` is a format, or "" for the best; with ``dry_run`` nothing is changed."""

    model: str
    apply: str = ""
    dry_run: bool = False
    quick: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How the latest tuning stands: the ``step`` that it is at, its ``report`` once it is done,
    or why it failed."""

    model: str
    state: State = "running"
    step: str = ""
    report: dict[str, Any] | None = None
    error: dict[str, str] | None = None

    def json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class _Stopped(Exception):
    pass


class Jobs:
    """Of one server. Safe to use from several threads; ``close`` it: what runs is stopped then."""

    def __init__(self, parts: Parts, tuning: Callable[..., Tuning] = Tuning) -> None:
        self._parts, self._tuning = parts, tuning
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._now: Standing | None = None

    @property
    def now(self) -> Standing | None:
        """How the latest one stands; None before the first."""
        return self._now

    def start(self, wanted: Wanted) -> Standing:
        """Begin. What could not be tuned is refused here, before anything runs."""
        with self._lock:
            if self._now is not None and self._now.state == "running":
                raise EvaluationBusyError(t("tune.busy_server"), t("tune.busy_server_hint"))
            if self._thread is not None:
                # It has said how it ended, and is on its way out.
                self._thread.join()
            tuning = self._tuning(
                self._parts,
                wanted.model,
                mix_of_owner(self._parts),
                is_quick=wanted.quick,
                on_step=self._step,
            )
            format = known_format(tuning, wanted.apply)
            self._stop.clear()
            self._now = Standing(tuning.model)
            work = partial(copy_context().run, self._run, tuning, format, wanted.dry_run)
            self._thread = threading.Thread(target=work, name="ondol-tuning", daemon=True)
            self._thread.start()
            return self._now

    def stop(self) -> Standing | None:
        """Stop what runs after its step; how it stands then."""
        self._stop.set()
        thread = self._thread
        if thread is not None:
            thread.join(LAST_SECONDS)
        return self._now

    def close(self) -> None:
        """The same, for good."""
        self.stop()

    def _run(self, tuning: Tuning, format: str, is_dry: bool) -> None:
        try:
            with tuning:
                with suppress(OndolError):
                    self._parts.stop(tuning.model)
                report = tuning.run(format)
                if not is_dry and tuning.apply(report):
                    report = report.as_applied()
            self._say(state="done", step="", report=report.json())
        except _Stopped:
            self._say(state="stopped", step="")
        except OndolError as error:
            told = {"code": error.code, "message": error.message, "hint": error.hint}
            self._say(state="failed", error=told)
        except BaseException:
            self._say(state="failed", error={"code": "internal_error", "message": "", "hint": ""})
            raise

    def _step(self, told: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._say(step=told)

    def _say(self, **what: Any) -> None:
        if self._now is not None:
            self._now = replace(self._now, **what)


def mix_of_owner(parts: Parts) -> Mix:
    """What the owner asks, as far as there is a ledger that says so."""
    from ondol import paths

    if paths.database_file().exists():
        # Where it is locked nobody can say what was asked.
        with suppress(LockedError, LedgerError):
            return mix_of(parts.ledger.entries(kind="answer"))
    return Mix()


def known_format(tuning: Tuning, format: str) -> str:
    """``format`` as it is written; UsageError for one that cannot be made."""
    known = {name.lower(): name for name in tuning.formats()}
    if format and format.lower() not in known:
        said = {"name": tuning.model, "format": format[:40], "formats": ", ".join(known.values())}
        hint = t("tune.unknown_format_hint", name=tuning.model)
        raise UsageError(t("tune.unknown_format", **said), hint, param="apply")
    return known[format.lower()] if format else ""
