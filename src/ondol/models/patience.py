"""Trying again: how long to put up with a bad line, and who is waiting meanwhile.

Knows nothing about HTTP. ``persist`` runs an action until it succeeds, fails for good, or brings
nothing new too often; the one who waits can call it off (``DownloadError``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event
from typing import TypeVar

from ondol.errors import DownloadError
from ondol.i18n import t

T = TypeVar("T")

STATUSES = (408, 425, 429, 500, 502, 503, 504)
"""Answers that may be different next time."""


@dataclass(frozen=True, slots=True)
class Patience:
    """``attempts`` counts tries that brought nothing new; pauses between them double."""

    read_timeout_seconds: float = 30.0
    attempts: int = 6
    backoff_seconds: float = 1.0
    longest_wait_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Watch:
    """The one who waits: hears of bytes that have arrived, and may call the whole thing off."""

    on_bytes: Callable[[int, int | None], None] = lambda completed, total: None
    cancel: Event = field(default_factory=Event)

    def check(self) -> None:
        if self.cancel.is_set():
            raise DownloadError(t("models.cancelled"), t("models.cancelled_hint"))


class TryAgainError(Exception):
    """It may work next time. ``weight`` is how much of the patience it costs."""

    def __init__(self, why: str, after_seconds: float | None = None, *, weight: int = 1) -> None:
        super().__init__(why)
        self.after_seconds = after_seconds
        self.weight = weight


def persist(
    action: Callable[[], T],
    patience: Patience,
    watch: Watch,
    where: str,
    progress: Callable[[], int] = lambda: 0,
) -> T:
    """The result of ``action``, tried again after each TryAgainError.

    ``progress`` (bytes here) tells whether a failed try brought something new.
    """
    failures, best = 0, progress()
    while True:
        watch.check()
        try:
            return action()
        except TryAgainError as error:
            size = progress()
            failures = error.weight if size > best else failures + error.weight
            best = max(best, size)
            if failures >= patience.attempts:
                raise _passing(failed(where, str(error), kept=size)) from error
            seconds = _pause(error, failures, patience)
            if seconds > patience.longest_wait_seconds:
                busy = t("models.busy", seconds=round(seconds))
                raise _passing(failed(where, busy, kept=size)) from error
        watch.cancel.wait(seconds)


def _pause(error: TryAgainError, failures: int, patience: Patience) -> float:
    if error.after_seconds is not None:
        return error.after_seconds
    pause: float = patience.backoff_seconds * 2 ** (failures - 1)
    return min(pause, patience.longest_wait_seconds)


def _passing(error: DownloadError) -> DownloadError:
    error.is_passing = True
    return error


def failed(where: str, reason: str, *, kept: int = 0) -> DownloadError:
    """The error after which nobody tries again; ``kept`` bytes wait for the next pull."""
    hint = t("models.kept_hint") if kept else t("models.failed_hint")
    return DownloadError(t("models.failed", where=where, reason=reason), hint)
