"""Follows remembered folders: what changes on the disk is in the library a moment later.

The file system says that something changed (watchfiles), a sync of that folder finds out what. A
file that is being written is left alone until it is quiet. What is not told of — a folder that was
missing, a file that was added by itself, a folder that is new to the list — is looked at now and
then.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ondol.retrieval.folders import Folder
from ondol.retrieval.ignore_rules import RULE_FILES
from ondol.retrieval.loaders.names import is_passed_over
from ondol.retrieval.reports import AddReport

if TYPE_CHECKING:
    from ondol.retrieval.library import Library

# Changes that come within this time are one.
DEBOUNCE_MILLISECONDS = 800
LOOK_MILLISECONDS = 2000
# A file that changed within this time is still being written.
QUIET_SECONDS = 1.0
# Who writes for longer is read as far as the file goes, and again later.
PATIENCE_SECONDS = 60.0
# How long nothing is tried after something went wrong.
PAUSE_SECONDS = 30.0
# Links lead to places that are not watched, and some disks tell nothing.
LOOK_AGAIN_SECONDS = 600.0
POLL_SECONDS = 30.0
NICENESS = 10


class _StoppedError(Exception):
    """The follower was closed in the middle of a sync."""


class Follower:
    """A thread that keeps the library up with the folders that ``chosen`` gives; a context manager.

    ``report`` is told of each sync that changed something or found a new failure, ``fail`` of what
    went wrong, after which it goes on. ``is_busy`` says that somebody needs the processors more;
    until ``is_due`` the library is not even opened.
    """

    def __init__(
        self,
        library: Callable[[], Library],
        chosen: Callable[[Library], Sequence[Folder]],
        *,
        report: Callable[[AddReport], None] = lambda report: None,
        fail: Callable[[Exception], None] = lambda error: None,
        is_busy: Callable[[], bool] = lambda: False,
        is_due: Callable[[], bool] = lambda: True,
    ) -> None:
        self._library = library
        self._chosen = chosen
        self._report = report
        self._fail = fail
        self._is_busy = is_busy
        self._is_due = is_due
        self._waiting_since = math.inf
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="follower", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        if sys.platform == "linux":  # elsewhere the whole process would have to wait
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        while not self._stopped.is_set():
            try:
                self._follow()
            except _StoppedError:
                return
            except Exception as error:
                self._fail(error)
                self._stopped.wait(PAUSE_SECONDS)

    def _follow(self) -> None:
        """Until the list of folders changes."""
        folders = list(self._chosen(self._library())) if self._is_due() else []
        if not folders:
            self._stopped.wait(LOOK_MILLISECONDS / 1000)
            return
        library = self._library()
        watched = [folder.path for folder in folders if os.path.isdir(folder.path)]
        alone = [folder.path for folder in folders if folder.path not in watched]
        before, places = _stamps(alone), _places(watched)
        looked_at = time.monotonic()
        waiting: Sequence[Folder] = []
        for changes in self._changes(watched):
            now = _stamps(alone)
            changed = {path for path in alone if now[path] != before[path]}
            before = now
            if changes is None or time.monotonic() - looked_at > LOOK_AGAIN_SECONDS:
                due, looked_at = folders, time.monotonic()
            else:
                due = [f for f in folders if f.path in changed or _touches(f.path, changes)]
            due = [folder for folder in folders if folder in due or folder in waiting]
            waiting = due if due and self._sync(library, due) else []
            # A folder that came, went or was replaced has to be watched anew.
            is_other = _places(watched) != places or any(map(os.path.isdir, alone))
            if is_other or list(self._chosen(library)) != folders:
                return

    def _changes(self, paths: Sequence[str]) -> Iterator[set[str] | None]:
        """The paths that changed, again and again; ``None`` when anything may have."""
        try:
            # The first look comes after the watch has begun, or what happens in between is missed.
            events = self._events(paths)
            found = next(events)
            yield None
            yield found
            yield from events
        except StopIteration:
            return
        except (OSError, RuntimeError) as error:  # more folders than the system can watch
            self._fail(error)
            while not self._stopped.wait(POLL_SECONDS):
                yield None

    def _events(self, paths: Sequence[str]) -> Iterator[set[str]]:
        if not paths:
            yield set()
            while not self._stopped.wait(LOOK_MILLISECONDS / 1000):
                yield set()
            return
        from watchfiles import watch

        for found in watch(
            *paths,
            watch_filter=None,
            debounce=DEBOUNCE_MILLISECONDS,
            rust_timeout=LOOK_MILLISECONDS,
            yield_on_timeout=True,
            stop_event=self._stopped,
            raise_interrupt=False,
            ignore_permission_denied=True,
        ):
            yield {path for _, path in found}

    def _sync(self, library: Library, due: Sequence[Folder]) -> bool:
        """Whether something has been left for later, because it is being written."""
        is_patient = time.monotonic() - self._waiting_since < PATIENCE_SECONDS
        report = library.sync(
            [Path(folder.path) for folder in due],
            settle_seconds=QUIET_SECONDS if is_patient else 0.0,
            wait=self._wait,
        )
        if not report.waiting:
            self._waiting_since = math.inf
        elif math.isinf(self._waiting_since):
            self._waiting_since = time.monotonic()
        if report.has_changes or any(failure.is_new for failure in report.failed):
            self._report(report)
        return bool(report.waiting)

    def _wait(self) -> None:
        while self._is_busy() and not self._stopped.wait(0.2):
            pass
        if self._stopped.is_set():
            raise _StoppedError


def _touches(folder: str, changes: set[str]) -> bool:
    """Whether one of ``changes`` may be a document in ``folder``."""
    begin = len(folder.rstrip("/")) + 1
    for path in changes:
        if path == folder:
            return True
        if path.startswith(f"{folder.rstrip('/')}/"):
            names = path[begin:].split("/")
            if names[-1] in RULE_FILES or not any(is_passed_over(name) for name in names):
                return True
    return False


def _stamps(paths: Sequence[str]) -> dict[str, tuple[int, int] | None]:
    return {path: _stamp(path) for path in paths}


def _places(paths: Sequence[str]) -> list[tuple[int, int] | None]:
    """Which folders are at ``paths``."""
    places: list[tuple[int, int] | None] = []
    for path in paths:
        try:
            status = os.stat(path)
            places.append((status.st_dev, status.st_ino))
        except OSError:
            places.append(None)
    return places


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
