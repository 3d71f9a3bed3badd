"""From a native engine that fails to the bundled one: its owner is told once, and it rests.

Knows neither processes nor models. ``records.use`` is what takes an engine up again.
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ondol.engine.native import records
from ondol.engine.starter import NoProcess
from ondol.errors import EngineCrashedError, InvalidModelError, ModelTooLargeError, OndolError
from ondol.i18n import t

if TYPE_CHECKING:
    from ondol.engine.process import Launch

P = TypeVar("P")

# How a process ends that its owner, or a system without memory, ended.
NOT_ITS_FAULT = (None, 0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT)

_log = logging.getLogger(__name__)
_unfit: set[tuple[str, str]] = set()


def begun(first: Launch, bundled: Callable[[], Launch], begin: Callable[[Launch], P]) -> P:
    """What ``begin`` makes of ``first`` or, where that is a native engine that cannot, of the
    bundled one. An engine is left only if the bundled one can what it cannot."""
    try:
        return begin(first)
    except OndolError as error:
        if not first.engine:
            raise
        process = begin(bundled())
        if isinstance(error, ModelTooLargeError | NoProcess):
            # A moment without memory is nobody's fault: the next start tries it again.
            _log.info("%s had no memory for %s", first.engine, first.name)
        elif isinstance(error, InvalidModelError):
            _unfit.add((first.engine, first.model))
            _log.warning(t("native.unfit", engine=first.engine, model=first.name))
        elif not isinstance(error, EngineCrashedError):  # that one was killed, as it was loading
            leave(first.engine, error.message)
        return process


def ended(engine: str, code: int | None, reason: str) -> None:
    """The process of the native ``engine`` ended in the middle of an answer."""
    if engine and code not in NOT_ITS_FAULT:
        leave(engine, reason)


def leave(engine: str, reason: str) -> None:
    """Let the bundled engine serve from now on."""
    records.blame(engine, reason.rstrip("."))
    _log.warning(t("native.left", engine=engine, reason=reason.rstrip(".")))


def untold() -> list[tuple[str, str]]:
    """Engines that were left and why, each said once."""
    return [(one.name, one.failure.reason) for one in records.untold() if one.failure]


def fits(engine: str, model: str) -> bool:
    """Whether ``engine`` is not known to be unable to load the file ``model``."""
    return (engine, model) not in _unfit
